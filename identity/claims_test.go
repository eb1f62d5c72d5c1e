package identity

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestHasAndValue(t *testing.T) {
	full := Identity{
		Pivot: angela(), Civil: true, PreferredUsername: "Martin", Email: "ada@example.org", Residence: "69266",
		Provider: "tax", AMR: []string{"pwd"}, AsOf: asOf,
	}
	if got := full.Has(); !reflect.DeepEqual(got, protocol.Claims()) {
		t.Errorf("Has of a full identity = %v, want every claim", got)
	}
	if got := (Identity{}).Has(); got != nil {
		t.Errorf("Has of nothing = %v", got)
	}

	for claim, code := range map[protocol.Claim]string{
		protocol.ResidentOfRegion: "84", protocol.ResidentOfDepartement: "69", protocol.ResidentOfCommune: "69266",
	} {
		if v, ok := full.Value(claim); v != code || !ok {
			t.Errorf("%s = %v, %v; want %s", claim, v, ok, code)
		}
	}

	abroad := full
	abroad.Pivot.Birthcountry, abroad.Pivot.Birthplace = "99109", ""
	if v, ok := abroad.Value(protocol.Birthplace); v != "" || !ok {
		t.Errorf("birthplace of people born abroad = %v, %v: want it known to be empty", v, ok)
	}
	if v, ok := full.Value("sub"); v != nil || ok {
		t.Errorf("Value(sub) = %v, %v: sub is never chosen by a policy", v, ok)
	}

	v, _ := full.Value(protocol.AMR)
	v.([]string)[0] = "changed"
	if full.AMR[0] != "pwd" {
		t.Error("Value lends out the identity's own slice")
	}
}

func TestAgeOver18(t *testing.T) {
	paris := time.FixedZone("Paris", 2*3600)
	tests := []struct {
		name, birthdate string
		asOf            time.Time
		want            any
	}{
		{"the day before the birthday", "2008-03-02", date(2026, 3, 1), false},
		{"on the birthday", "2008-03-02", date(2026, 3, 2), true},
		{"just after midnight in Paris it is still the day before in UTC", "2008-07-02", time.Date(2026, 7, 2, 0, 30, 0, 0, paris), false},
		{"born on 29 February: not on 28 February", "2008-02-29", date(2026, 2, 28), false},
		{"born on 29 February: on 1 March", "2008-02-29", date(2026, 3, 1), true},
		{"unknown day: not on the first of the month", "2008-03-00", date(2026, 3, 30), false},
		{"unknown day: on the last of the month", "2008-03-00", date(2026, 3, 31), true},
		{"unknown day in a leap February", "2008-02-00", date(2026, 2, 28), false},
		{"unknown day and month: not before 31 December", "1980-00-00", date(1998, 12, 30), false},
		{"unknown day and month: on 31 December", "1980-00-00", date(1998, 12, 31), true},
		{"unknown day in December", "1980-12-00", date(1998, 12, 31), true},
		{"no birth date, no answer", "", date(2026, 3, 1), nil},
		{"no day of verification, no answer", "1980-01-01", time.Time{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := Identity{Pivot: Pivot{Birthdate: tt.birthdate}, AsOf: tt.asOf}
			got, ok := id.Value(protocol.AgeOver18)
			if got != tt.want || ok != (tt.want != nil) {
				t.Fatalf("age_over_18 = %v, %v, want %v", got, ok, tt.want)
			}
		})
	}
}

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// The oracle compares month and day as people do, for every day on which the
// person can have been born: she is that old if she is for all of them.
func TestAgeOver_AgainstTheCalendar(t *testing.T) {
	thresholds := map[protocol.Claim]int{protocol.AgeOver15: 15, protocol.AgeOver16: 16, protocol.AgeOver18: 18}
	oldEnough := func(born, on time.Time, years int) bool {
		age := on.Year() - born.Year()
		if on.Month() < born.Month() || on.Month() == born.Month() && on.Day() < born.Day() {
			age--
		}
		return age >= years
	}
	rapid.Check(t, func(t *rapid.T) {
		born := date(rapid.IntRange(1990, 2015).Draw(t, "year"), 1, 1).AddDate(0, 0, rapid.IntRange(0, 364).Draw(t, "day"))
		on := born.AddDate(rapid.IntRange(14, 19).Draw(t, "years"), 0, rapid.IntRange(-3, 3).Draw(t, "days"))
		birthdate, first, end := born.Format(time.DateOnly), born, born.AddDate(0, 0, 1)
		switch rapid.IntRange(0, 2).Draw(t, "presumed") {
		case 1:
			birthdate = born.Format("2006-01-") + "00"
			first = date(born.Year(), born.Month(), 1)
			end = first.AddDate(0, 1, 0)
		case 2:
			birthdate = fmt.Sprintf("%d-00-00", born.Year())
			first = date(born.Year(), 1, 1)
			end = first.AddDate(1, 0, 0)
		}
		id := Identity{Pivot: Pivot{Birthdate: birthdate}, AsOf: on.Add(23 * time.Hour)}
		for claim, years := range thresholds {
			want := true
			for d := first; d.Before(end); d = d.AddDate(0, 0, 1) {
				want = want && oldEnough(d, on, years)
			}
			if got, ok := id.Value(claim); !ok || got != want {
				t.Fatalf("born %s, on %s: %s = %v, want %v", birthdate, on.Format(time.DateOnly), claim, got, want)
			}
		}
	})
}
