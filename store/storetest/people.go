package storetest

import (
	"errors"
	"testing"

	"github.com/voussoir-id/voussoir/identity"
)

// People checks identity.PersonStore. open returns an empty store and closes it
// with the test.
func People(t *testing.T, open func(t *testing.T) identity.PersonStore) {
	resolve := func(t *testing.T, s identity.PersonStore, alias [32]byte) identity.Person {
		t.Helper()
		p, err := s.Resolve(t.Context(), alias, newPerson(t), base)
		must(t, err)
		return p
	}
	t.Run("somebody new is the candidate, and is found again", func(t *testing.T) {
		s, alias, candidate := open(t), bytes32(t), newPerson(t)
		got, err := s.Resolve(t.Context(), alias, candidate, base)
		must(t, err)
		same(t, "Resolve", got, candidate)
		same(t, "Resolve again", resolve(t, s, alias), candidate)
		if other := resolve(t, s, bytes32(t)); other.ID == candidate.ID {
			t.Error("another alias led to the same person")
		}
	})
	t.Run("fifty visits of one new person at once are one person", func(t *testing.T) {
		s, alias := open(t), bytes32(t)
		type answer struct {
			p   identity.Person
			err error
		}
		answers := together(50, func(int) answer {
			p, err := s.Resolve(t.Context(), alias, newPerson(t), base)
			return answer{p, err}
		})
		for _, a := range answers {
			must(t, a.err)
			same(t, "Resolve", a.p, answers[0].p)
		}
		same(t, "Resolve later", resolve(t, s, alias), answers[0].p)
	})
	t.Run("a second alias leads to the same person, and adding it twice does no harm", func(t *testing.T) {
		s, first, second := open(t), bytes32(t), bytes32(t)
		p := resolve(t, s, first)
		must(t, s.AddAlias(t.Context(), second, p.ID, base))
		must(t, s.AddAlias(t.Context(), second, p.ID, base))
		same(t, "Resolve", resolve(t, s, second), p)
	})
	t.Run("an alias of somebody else is ambiguous and stays with her", func(t *testing.T) {
		s, hers, his := open(t), bytes32(t), bytes32(t)
		her, him := resolve(t, s, hers), resolve(t, s, his)
		if err := s.AddAlias(t.Context(), hers, him.ID, base); !errors.Is(err, identity.ErrAmbiguous) {
			t.Errorf("AddAlias = %v, want ErrAmbiguous", err)
		}
		same(t, "Resolve", resolve(t, s, hers), her)
	})
	t.Run("of two persons who claim one new alias at once one gets it", func(t *testing.T) {
		s, alias := open(t), bytes32(t)
		persons := []identity.Person{resolve(t, s, bytes32(t)), resolve(t, s, bytes32(t))}
		errs := together(2, func(i int) error { return s.AddAlias(t.Context(), alias, persons[i].ID, base) })
		owner := resolve(t, s, alias)
		for i, p := range persons {
			if p.ID == owner.ID && errs[i] != nil {
				t.Errorf("the owner's AddAlias = %v, want nil", errs[i])
			}
			if p.ID != owner.ID && !errors.Is(errs[i], identity.ErrAmbiguous) {
				t.Errorf("the other's AddAlias = %v, want ErrAmbiguous", errs[i])
			}
		}
	})
	t.Run("an alias cannot lead to nobody", func(t *testing.T) {
		s, alias := open(t), bytes32(t)
		wantUnknown(t, "AddAlias", s.AddAlias(t.Context(), alias, newPerson(t).ID, base), identity.ErrAmbiguous)
		candidate := newPerson(t)
		got, err := s.Resolve(t.Context(), alias, candidate, base)
		must(t, err)
		same(t, "Resolve", got, candidate)
	})
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s := open(t)
		p, err := s.Resolve(cancelled(t), bytes32(t), newPerson(t), base)
		wantUnknown(t, "Resolve", err, identity.ErrAmbiguous)
		same(t, "Resolve", p, identity.Person{})
		wantUnknown(t, "AddAlias", s.AddAlias(cancelled(t), bytes32(t), p.ID, base), identity.ErrAmbiguous)
	})
}

func newPerson(t *testing.T) identity.Person {
	t.Helper()
	key := make([]byte, 60)
	random(t, key)
	return identity.Person{ID: bytes16(t), SealKey: key}
}
