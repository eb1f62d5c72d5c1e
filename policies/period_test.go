package policies

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParsePeriod(t *testing.T) {
	good := map[string]Period{
		"P1Y": {Years: 1}, "P6M": {Months: 6}, "P30D": {Days: 30}, "P2W": {Days: 14},
		"P1Y6M10D": {Years: 1, Months: 6, Days: 10}, "PT0S": {}, "P0D": {}, "P0Y": {},
	}
	for s, want := range good {
		if got, err := ParsePeriod(s); err != nil || got != want {
			t.Errorf("ParsePeriod(%q) = %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "P", "1Y", "PY", "P1", "P-1Y", "P1Y1Y", "P1D1Y", "PT1H", "P1YT0S", "P1.5Y", "P1y", "P99999D", "P1Y ", "p1Y", "P٣D", "P1é"} {
		if got, err := ParsePeriod(s); err == nil {
			t.Errorf("ParsePeriod(%q) = %+v, want an error", s, got)
		}
	}
}

func TestPeriod_String_isReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, maxPeriodNumber)
		p := Period{Years: n.Draw(t, "years"), Months: n.Draw(t, "months"), Days: n.Draw(t, "days")}
		if got, err := ParsePeriod(p.String()); err != nil || got != p {
			t.Fatalf("%+v is written %q and read back as %+v, %v", p, p, got, err)
		}
	})
}

func TestPeriod_AddTo(t *testing.T) {
	tests := []struct{ from, period, want string }{
		{"2026-03-14", "P1Y", "2027-03-14"},
		{"2024-02-29", "P1Y", "2025-02-28"},
		{"2026-01-31", "P1M", "2026-02-28"},
		{"2026-01-31", "P1M1D", "2026-03-01"},
		{"2026-12-31", "P2M", "2027-02-28"},
		{"2026-03-14", "P2W", "2026-03-28"},
		{"2026-03-14", "PT0S", "2026-03-14"},
	}
	for _, tt := range tests {
		from, err := time.Parse(time.DateOnly, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePeriod(tt.period)
		if err != nil {
			t.Fatal(err)
		}
		from = from.Add(13*time.Hour + 5*time.Nanosecond)
		got := p.AddTo(from)
		if got.Format(time.DateOnly) != tt.want || got.Hour() != 13 || got.Nanosecond() != 5 {
			t.Errorf("%s after %s is %v, want %s at the same time of day", tt.period, tt.from, got, tt.want)
		}
	}
}
