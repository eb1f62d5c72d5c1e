package identity

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func civil(given string) Identity {
	p := angela()
	p.GivenName = given
	return Identity{Pivot: p, Civil: true, AsOf: asOf}
}

func TestCorrected_TheRegistrysWordsLeaveAndTheProvidersStayBesideThem(t *testing.T) {
	before := civil("Angele")
	after := before.Corrected(civil("Angela").Pivot)
	for claim, want := range map[protocol.Claim]any{
		protocol.GivenName: "Angela", protocol.IdPGivenName: "Angele",
		protocol.FamilyName: before.Pivot.FamilyName, protocol.IdPFamilyName: before.Pivot.FamilyName,
		protocol.IdPBirthdate: before.Pivot.Birthdate,
	} {
		if got, ok := after.Value(claim); !ok || got != want {
			t.Errorf("%s = %v, %v; want %v", claim, got, ok, want)
		}
	}
	if got, _ := before.Value(protocol.IdPGivenName); got != "Angele" || before.Original != nil {
		t.Errorf("before: %v, and the original was changed: %v", got, before.Original != nil)
	}
	b, err := json.Marshal(after)
	var again Identity
	if err != nil || json.Unmarshal(b, &again) != nil || !reflect.DeepEqual(again, after) {
		t.Error("it does not survive a seal")
	}
}

func TestResolve_ACorrectionDoesNotChangeThePerson(t *testing.T) {
	wrong, right := civil("Angele"), civil("Angela")
	tests := []struct {
		name  string
		known []Identity
	}{
		{"nobody was known", nil},
		{"she was known as the provider writes it", []Identity{wrong}},
		{"she was known as the registry writes it", []Identity{right}},
	}
	for _, tt := range tests {
		people, _ := newPeople(t)
		var before Person
		for _, id := range tt.known {
			before, _ = people.Resolve(t.Context(), id, "i", "s")
		}
		got, err := people.Resolve(t.Context(), wrong.Corrected(right.Pivot), "i", "s")
		if err != nil || len(tt.known) > 0 && got.ID != before.ID {
			t.Errorf("%s: %v, %v", tt.name, got.ID, err)
		}
		for _, id := range []Identity{wrong, right} {
			if later, err := people.Resolve(t.Context(), id, "i", "s"); err != nil || later.ID != got.ID {
				t.Errorf("%s: afterwards %s leads to somebody else", tt.name, id.Pivot.GivenName)
			}
		}
	}
}

func TestResolve_ACorrectionNeverMerges(t *testing.T) {
	people, _ := newPeople(t)
	a, _ := people.Resolve(t.Context(), civil("Angele"), "i", "s")
	b, _ := people.Resolve(t.Context(), civil("Angela"), "i", "s")
	if p, err := people.Resolve(t.Context(), civil("Angele").Corrected(civil("Angela").Pivot), "i", "s"); !errors.Is(err, ErrAmbiguous) || p.ID != (PersonID{}) {
		t.Errorf("%v, %v; want ErrAmbiguous", p.ID, err)
	}
	a2, _ := people.Resolve(t.Context(), civil("Angele"), "i", "s")
	b2, _ := people.Resolve(t.Context(), civil("Angela"), "i", "s")
	if a.ID != a2.ID || b.ID != b2.ID {
		t.Error("a refused correction changed somebody")
	}
}

// Whatever is corrected into whatever, in any order: an identity that led to a
// person leads to her for good, and two persons never become one.
func TestResolve_CorrectionsKeepEveryPerson(t *testing.T) {
	names := []string{"Ana", "Anna", "Hanna", "Hannah", "Johanna"}
	rapid.Check(t, func(rt *rapid.T) {
		people, _ := newPeople(t)
		leads := map[string]PersonID{}
		for range rapid.IntRange(1, 20).Draw(rt, "sign-ins") {
			said := rapid.SampledFrom(names).Draw(rt, "said")
			written := rapid.SampledFrom(names).Draw(rt, "written")
			id := civil(said)
			if said != written {
				id = id.Corrected(civil(written).Pivot)
			}
			p, err := people.Resolve(rt.Context(), id, "i", "s")
			x, knownX := leads[said]
			y, knownY := leads[written]
			two := knownX && knownY && x != y
			if two != errors.Is(err, ErrAmbiguous) || !two && err != nil {
				rt.Fatalf("%s, written %s: %v", said, written, err)
			}
			if two {
				continue
			}
			if knownX && p.ID != x || knownY && p.ID != y {
				rt.Fatalf("%s, written %s, has become somebody else", said, written)
			}
			if !knownX && !knownY {
				for name, other := range leads {
					if other == p.ID {
						rt.Fatalf("%s and %s are strangers and one person", said, name)
					}
				}
			}
			leads[said], leads[written] = p.ID, p.ID
		}
	})
}

func TestConfirmed(t *testing.T) {
	people, store := newPeople(t)
	id := civil("Angele").Corrected(civil("Angela").Pivot)
	if at, err := people.Confirmed(t.Context(), id); err != nil || !at.IsZero() || len(store.all) != 0 {
		t.Fatalf("a stranger: %v, %v, and %d persons were made", at, err, len(store.all))
	}
	p, err := people.Resolve(t.Context(), id, "i", "s")
	if err != nil || people.Confirm(t.Context(), p.ID) != nil {
		t.Fatal(err)
	}
	for _, known := range []Identity{civil("Angele"), civil("Angela")} {
		if at, err := people.Confirmed(t.Context(), known); err != nil || !at.Equal(asOf) {
			t.Errorf("%v, %v", at, err)
		}
	}
	if err := people.Unconfirm(t.Context(), civil("Angele")); err != nil {
		t.Fatal(err)
	}
	if at, _ := people.Confirmed(t.Context(), civil("Angela")); !at.IsZero() {
		t.Errorf("still confirmed at %v", at.Format(time.RFC3339))
	}
	store.err = errors.New("disk gone")
	if _, err := people.Confirmed(t.Context(), id); !errors.Is(err, store.err) {
		t.Errorf("%v: unknown is not no", err)
	}
	if err := people.Confirm(t.Context(), p.ID); !errors.Is(err, store.err) {
		t.Error(err)
	}
	if err := people.Unconfirm(t.Context(), id); !errors.Is(err, store.err) {
		t.Error(err)
	}
}
