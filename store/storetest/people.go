package storetest

import (
	"errors"
	"testing"
	"time"

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
	t.Run("two aliases of nobody lead to the candidate, and joining them again does no harm", func(t *testing.T) {
		s, first, second, candidate := open(t), bytes32(t), bytes32(t), newPerson(t)
		got, err := s.JoinAliases(t.Context(), first, second, candidate, base)
		must(t, err)
		same(t, "Join", got, candidate)
		same(t, "Resolve the first", resolve(t, s, first), candidate)
		same(t, "Resolve the second", resolve(t, s, second), candidate)
		for _, pair := range [][2][32]byte{{first, second}, {second, first}, {first, first}} {
			again, err := s.JoinAliases(t.Context(), pair[0], pair[1], newPerson(t), base)
			must(t, err)
			same(t, "Join again", again, candidate)
		}
	})
	t.Run("a new alias joins somebody who is known, whichever of the two it is", func(t *testing.T) {
		for _, knownFirst := range []bool{true, false} {
			s, known, other := open(t), bytes32(t), bytes32(t)
			p := resolve(t, s, known)
			a, b := known, other
			if !knownFirst {
				a, b = other, known
			}
			got, err := s.JoinAliases(t.Context(), a, b, newPerson(t), base)
			must(t, err)
			same(t, "Join", got, p)
			same(t, "Resolve", resolve(t, s, other), p)
		}
	})
	t.Run("two persons are ambiguous and stay two", func(t *testing.T) {
		s, hers, his := open(t), bytes32(t), bytes32(t)
		her, him := resolve(t, s, hers), resolve(t, s, his)
		if p, err := s.JoinAliases(t.Context(), hers, his, newPerson(t), base); !errors.Is(err, identity.ErrAmbiguous) || p.ID != (identity.PersonID{}) {
			t.Errorf("Join = %v, %v, want ErrAmbiguous", p.ID, err)
		}
		same(t, "Resolve hers", resolve(t, s, hers), her)
		same(t, "Resolve his", resolve(t, s, his), him)
	})
	t.Run("twenty visits that bring in the same two aliases at once are one person", func(t *testing.T) {
		s, a, b := open(t), bytes32(t), bytes32(t)
		persons := together(20, func(i int) identity.Person {
			x, y := a, b
			if i%2 == 1 {
				x, y = b, a
			}
			p, err := s.JoinAliases(t.Context(), x, y, newPerson(t), base)
			if err != nil {
				t.Error(err)
			}
			return p
		})
		for _, p := range persons {
			same(t, "Join", p, persons[0])
		}
		same(t, "Resolve", resolve(t, s, b), persons[0])
	})
	t.Run("a confirmation is found by every alias, the latest counts, and it can be forgotten", func(t *testing.T) {
		s, a, b := open(t), bytes32(t), bytes32(t)
		p, err := s.JoinAliases(t.Context(), a, b, newPerson(t), base)
		must(t, err)
		confirmed := func(want time.Time, aliases ...[32]byte) {
			t.Helper()
			for _, alias := range aliases {
				got, err := s.Confirmed(t.Context(), alias)
				must(t, err)
				if !got.Equal(want) {
					t.Errorf("Confirmed = %v, want %v", got, want)
				}
			}
		}
		confirmed(time.Time{}, a, b, bytes32(t))
		must(t, s.Confirm(t.Context(), p.ID, base))
		confirmed(base, a, b)
		must(t, s.Confirm(t.Context(), p.ID, base.Add(-time.Hour)))
		confirmed(base, a)
		must(t, s.Confirm(t.Context(), p.ID, base.Add(time.Hour)))
		confirmed(base.Add(time.Hour), b)
		must(t, s.Unconfirm(t.Context(), bytes32(t)))
		confirmed(base.Add(time.Hour), a)
		must(t, s.Unconfirm(t.Context(), b))
		confirmed(time.Time{}, a, b)
		must(t, s.Unconfirm(t.Context(), b))
	})
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s := open(t)
		p, err := s.Resolve(cancelled(t), bytes32(t), newPerson(t), base)
		wantUnknown(t, "Resolve", err, identity.ErrAmbiguous)
		same(t, "Resolve", p, identity.Person{})
		p, err = s.JoinAliases(cancelled(t), bytes32(t), bytes32(t), newPerson(t), base)
		wantUnknown(t, "Join", err, identity.ErrAmbiguous)
		same(t, "Join", p, identity.Person{})
		wantUnknown(t, "Confirm", s.Confirm(cancelled(t), newPerson(t).ID, base))
		_, err = s.Confirmed(cancelled(t), bytes32(t))
		wantUnknown(t, "Confirmed", err)
		wantUnknown(t, "Unconfirm", s.Unconfirm(cancelled(t), bytes32(t)))
	})
}

func newPerson(t *testing.T) identity.Person {
	t.Helper()
	key := make([]byte, 60)
	random(t, key)
	return identity.Person{ID: bytes16(t), SealKey: key}
}
