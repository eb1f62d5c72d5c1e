package policies

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestDiff_SaysWhatChangesForPeople(t *testing.T) {
	adults := Condition{ID: "adults", When: "!person.age_over(18)", Then: Deny, Reason: protocol.Text{"en": "for adults"}}
	tests := []struct {
		name   string
		change func(from, to *Policy)
		want   []Change
	}{
		{"a new version of the same", func(_, to *Policy) { to.Version++ }, nil},
		{"a claim more", func(_, to *Policy) { to.Claims = append(to.Claims, ClaimRule{Name: protocol.Birthdate}) }, []Change{{true, "The service may now receive birthdate (optional)."}}},
		{"a claim less", func(_, to *Policy) { to.Claims = to.Claims[:2] }, []Change{{false, "The service no longer receives email."}}},
		{"required", func(_, to *Policy) {
			to.Claims = append(append([]ClaimRule{}, to.Claims[:2]...), ClaimRule{protocol.Email, true})
		}, []Change{{true, "email is now required, and was optional."}}},
		{"no longer asked", func(_, to *Policy) { to.Basis = PublicTask }, []Change{{true, "The legal basis is public_task, and was consent."}}},
		{"asked from now on", func(from, _ *Policy) { from.Basis = PublicTask }, []Change{{false, "The legal basis is consent, and was public_task."}}},
		{"another purpose", func(_, to *Policy) { to.Purpose = protocol.Text{"en": "Sell"} }, []Change{{false, `The purpose (en) is "Sell", and was "".`}}},
		{"a weaker level", func(from, _ *Policy) { from.MinACR = protocol.EIDAS2 }, []Change{{true, "A sign-in has to reach eidas1, and had to reach eidas2."}}},
		{"remembered for longer", func(_, to *Policy) { to.ConsentValidity = Period{Years: 2} }, []Change{{true, "An answer is remembered for P2Y, and was for P1Y."}}},
		{"fewer providers", func(_, to *Policy) { to.AllowProviders = []protocol.ProviderID{"tax"} }, []Change{{false, "She may use tax, and could use any provider."}}},
		{"a condition", func(_, to *Policy) { to.Conditions = []Condition{adults} }, []Change{{false, `There is a new condition adults: when !person.age_over(18), the sign-in is denied (en: "for adults").`}}},
		{"a condition less", func(from, _ *Policy) { from.Conditions = []Condition{adults} }, []Change{{true, `The condition adults is gone: when !person.age_over(18), the sign-in is denied (en: "for adults").`}}},
	}
	for _, tt := range tests {
		from, to := library(), library()
		tt.change(from, to)
		if got := Diff(from, to); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

// Every field that a policy has is compared: a new one must not change unseen.
func TestDiff_SeesEveryField(t *testing.T) {
	other := Policy{
		ID: "library", Version: 9, Purpose: protocol.Text{"fr": "x"}, Basis: LegalObligation, Retention: "P9Y", MinACR: protocol.EIDAS3,
		AllowProviders: []protocol.ProviderID{"a"}, DenyProviders: []protocol.ProviderID{"b"}, Claims: []ClaimRule{{Name: protocol.AMR}},
		ConsentValidity: Period{Days: 9}, Registry: RegistryPrefer, RegistryGrace: Period{Days: 3}, Conditions: []Condition{{ID: "a", When: "true", Then: AskAgain}},
	}
	for i := range reflect.TypeFor[Policy]().NumField() {
		name := reflect.TypeFor[Policy]().Field(i).Name
		from, to := library(), library()
		reflect.ValueOf(to).Elem().Field(i).Set(reflect.ValueOf(other).Field(i))
		if seen := len(Diff(from, to)) > 0; seen == (name == "ID" || name == "Version") {
			t.Errorf("%s: seen %v", name, seen)
		}
		unversioned := Unversioned(NewTable(from), NewTable(to))
		if want := name != "ID" && name != "Version"; (len(unversioned) == 1) != want {
			t.Errorf("%s: under the same version: %v", name, unversioned)
		}
	}
}

// What Explain says leaves is what Decide lets leave, and every claim has a reason.
func TestExplain_AgreesWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, f := drawFacts(t)
		table := NewTable(p)
		x, d := table.Explain(f), table.Decide(f)
		if !reflect.DeepEqual(x.Decision, d) {
			t.Fatalf("%+v, and explained %+v", d, x.Decision)
		}
		var leaves, offered []protocol.Claim
		for _, c := range x.Claims {
			if c.Leaves {
				leaves = append(leaves, c.Claim)
			}
			if c.Offered {
				offered = append(offered, c.Claim)
			}
			if c.Why == "" || c.Leaves && strings.Contains(c.Why, "not") {
				t.Fatalf("%+v", c)
			}
		}
		if !reflect.DeepEqual(leaves, d.Release) || !reflect.DeepEqual(offered, d.Optional) {
			t.Fatalf("%+v, and explained %+v", d, x.Claims)
		}
	})
}
