package login

import (
	"slices"
	"sync"
	"testing"

	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registry"
)

// meter keeps what it heard.
type meter struct {
	mu    sync.Mutex
	heard []string
}

func (m *meter) Begun(p protocol.ProviderID) { m.add("begun at " + string(p)) }

func (m *meter) Ended(p protocol.ProviderID, outcome string) { m.add(outcome + " at " + string(p)) }

func (m *meter) add(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = append(m.heard, what)
}

func TestMeter_HearsOfEachSignInWhereItWasAndHowItEnded(t *testing.T) {
	for _, tt := range []struct {
		name, who string
		down      bool
		want      []string
	}{
		{"she signs in", "alice", false, []string{"begun at tax", "verified at tax"}},
		{"an answer that does not verify", "mallory", false, []string{"begun at tax", "invalid at tax"}},
		{"the provider cannot be reached", "", true, []string{"begun at tax", "unavailable at tax"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.tax.down.Store(tt.down)
			b := w.browser()
			page := b.get(b.mustStart(request()))
			to := b.post(page.Choose.Action, map[string][]string{"provider": {"tax"}}).To
			if tt.who != "" {
				b.signIn("tax", stateIn(t, to), tt.who)
			}
			if !slices.Equal(w.meter.heard, tt.want) {
				t.Errorf("heard %q, want %q", w.meter.heard, tt.want)
			}
		})
	}
}

func TestMeter_HearsWhatTheCivilRegistrySaid(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryRequire)
	c.says = registry.Deceased
	comesBack(w.browser(), "tax", "alice")
	if want := []string{"begun at tax", "registry_deceased at tax"}; !slices.Equal(w.meter.heard, want) {
		t.Errorf("heard %q, want %q", w.meter.heard, want)
	}
}

// docs/metrics.md promises a fixed list of outcomes.
func TestMeter_EndingsAreDifferentWords(t *testing.T) {
	got := slices.Sorted(slices.Values(Endings()))
	want := []string{
		"bad_identity", "cancelled", "invalid", "refused", "registry_ambiguous", "registry_deceased", "registry_none", "registry_not_civil",
		"registry_refused", "registry_several", "registry_unavailable", "too_old", "too_weak", "unavailable", "unknown", "verified",
	}
	if !slices.Equal(got, want) {
		t.Errorf("Endings = %q, want %q", got, want)
	}
}
