package policies

import (
	"testing"
	"time"
)

func TestPeriod_String_ISO8601(t *testing.T) {
	for want, p := range map[string]Period{
		"P1Y": {Years: 1}, "P6M": {Months: 6}, "P30D": {Days: 30}, "P1Y6M10D": {Years: 1, Months: 6, Days: 10}, "PT0S": {},
	} {
		if got := p.String(); got != want {
			t.Errorf("%+v.String() = %q, want %q", p, got, want)
		}
	}
}

func TestPeriod_AddTo(t *testing.T) {
	tests := []struct {
		from   string
		period Period
		want   string
	}{
		{"2026-03-14", Period{Years: 1}, "2027-03-14"},
		{"2024-02-29", Period{Years: 1}, "2025-02-28"},
		{"2026-01-31", Period{Months: 1}, "2026-02-28"},
		{"2026-01-31", Period{Months: 1, Days: 1}, "2026-03-01"},
		{"2026-12-31", Period{Months: 2}, "2027-02-28"},
		{"2026-03-14", Period{Days: 14}, "2026-03-28"},
		{"2026-03-14", Period{}, "2026-03-14"},
	}
	for _, tt := range tests {
		from, err := time.Parse(time.DateOnly, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		from = from.Add(13*time.Hour + 5*time.Nanosecond)
		got := tt.period.AddTo(from)
		if got.Format(time.DateOnly) != tt.want || got.Hour() != 13 || got.Nanosecond() != 5 {
			t.Errorf("%s after %s is %v, want %s at the same time of day", tt.period, tt.from, got, tt.want)
		}
	}
}
