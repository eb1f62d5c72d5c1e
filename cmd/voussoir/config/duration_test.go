package config

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/policies"
)

// The consent page is given a period as text: it must say what the file said.
func TestPeriod_IsWrittenAsItIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 9999)
		p := policies.Period{Years: n.Draw(t, "years"), Months: n.Draw(t, "months"), Days: n.Draw(t, "days")}
		if got, clock, err := parseDuration(p.String()); err != nil || clock != 0 || got != p {
			t.Fatalf("%+v is written %q and read back as %+v, %v, %v", p, p, got, clock, err)
		}
	})
}
