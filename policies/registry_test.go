package policies

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
)

func TestVouch(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	month := Period{Months: 1}
	tests := []struct {
		name      string
		policy    Policy
		confirmed bool
		before    time.Time
		want      Vouching
	}{
		{"the registry is not wanted", Policy{}, false, time.Time{}, Unasked},
		{"and not asked although it could confirm", Policy{}, true, now, Unasked},
		{"required and confirmed", Policy{Registry: RegistryRequire}, true, now, Vouched},
		{"required and not confirmed", Policy{Registry: RegistryRequire}, false, time.Time{}, Unvouched},
		{"required, and an earlier word is not enough", Policy{Registry: RegistryRequire, RegistryGrace: month}, false, now, Unvouched},
		{"preferred and confirmed", Policy{Registry: RegistryPrefer, RegistryGrace: month}, true, now, Vouched},
		{"preferred, and never heard of", Policy{Registry: RegistryPrefer, RegistryGrace: month}, false, time.Time{}, Unvouched},
		{"preferred, within the grace", Policy{Registry: RegistryPrefer, RegistryGrace: month}, false, now.AddDate(0, -1, 0).Add(time.Second), Grace},
		{"preferred, as the grace ends", Policy{Registry: RegistryPrefer, RegistryGrace: month}, false, now.AddDate(0, -1, 0), Unvouched},
		{"preferred without a grace", Policy{Registry: RegistryPrefer}, false, now.Add(-time.Second), Unvouched},
		{"a word that we do not know lets nobody pass", Policy{Registry: "maybe"}, false, now, Unvouched},
	}
	for _, tt := range tests {
		tt.policy.ID = "p"
		if got := NewTable(&tt.policy).Vouch(&clients.Client{Policy: "p"}, tt.confirmed, tt.before, now); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
