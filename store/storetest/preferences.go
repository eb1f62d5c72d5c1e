package storetest

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/preferences"
)

// Choices is a preferences.Store with the people who choose and the audit entries.
type Choices interface {
	preferences.Store
	identity.PersonStore
	audit.Store
}

// Preferences checks preferences.Store. open returns an empty store and closes it with
// the test.
func Preferences(t *testing.T, open func(t *testing.T) Choices) {
	somebody := func(t *testing.T, s Choices) identity.PersonID {
		t.Helper()
		p, err := s.Resolve(t.Context(), bytes32(t), newPerson(t), base)
		must(t, err)
		return p.ID
	}
	read := func(t *testing.T, s Choices, p identity.PersonID) []preferences.Choice {
		t.Helper()
		cs, err := s.Choices(t.Context(), p)
		must(t, err)
		return cs
	}
	tax := preferences.Choice{Provider: "tax", Blocked: true, Since: base}
	t.Run("somebody who has said nothing has said nothing", func(t *testing.T) {
		s := open(t)
		same(t, "Choices", read(t, s, somebody(t, s)), nil)
	})
	t.Run("what one person said is read again with its entry, and is nobody else's", func(t *testing.T) {
		s, e := open(t), newEntry(t)
		her, him := somebody(t, s), somebody(t, s)
		must(t, s.Choose(t.Context(), her, []preferences.Choice{tax}, nil, e))
		same(t, "hers", read(t, s, her), []preferences.Choice{tax})
		same(t, "his", read(t, s, him), nil)
		wantEntry(t, s, e, true)
	})
	t.Run("what she says later counts, and what is fresh fills gaps only", func(t *testing.T) {
		s := open(t)
		her, now := somebody(t, s), base.Add(time.Minute)
		must(t, s.Choose(t.Context(), her, []preferences.Choice{tax}, nil, newEntry(t)))
		all := preferences.Choice{Provider: preferences.Future, Blocked: true, Since: now}
		must(t, s.Choose(t.Context(), her, []preferences.Choice{all}, []preferences.Choice{{Provider: "post", Since: now}, {Provider: "tax", Since: now}}, newEntry(t)))
		same(t, "Choices", read(t, s, her), []preferences.Choice{all, {Provider: "post", Since: now}, tax})
		allowed := preferences.Choice{Provider: "tax", Since: now}
		must(t, s.Choose(t.Context(), her, []preferences.Choice{allowed}, nil, newEntry(t)))
		same(t, "Choices", read(t, s, her), []preferences.Choice{all, {Provider: "post", Since: now}, allowed})
	})
	t.Run("with an entry that cannot be written nothing is kept", func(t *testing.T) {
		s, e := open(t), newEntry(t)
		her := somebody(t, s)
		must(t, s.AppendEntries(t.Context(), e))
		wantUnknown(t, "Choose with an entry that is there", s.Choose(t.Context(), her, []preferences.Choice{tax}, nil, e))
		same(t, "Choices", read(t, s, her), nil)
	})
	t.Run("a call that ended is no answer", func(t *testing.T) {
		s := open(t)
		_, err := s.Choices(cancelled(t), somebody(t, s))
		wantUnknown(t, "Choices", err)
	})
}
