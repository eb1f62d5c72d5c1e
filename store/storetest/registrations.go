package storetest

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registration"
)

// Registry is a registration.Store with the audit entries of its changes.
type Registry interface {
	registration.Store
	audit.Store
}

// Registrations checks registration.Store. open returns an empty store and closes
// it with the test.
func Registrations(t *testing.T, open func(t *testing.T) Registry) {
	all := func(t *testing.T, s Registry) []registration.Registration {
		t.Helper()
		list, err := s.Registrations(t.Context())
		must(t, err)
		return list
	}
	t.Run("what was registered is listed, oldest first, each with its entry", func(t *testing.T) {
		s, first, second := open(t), newRegistration(t), newRegistration(t)
		second.Issued, second.Secret = base.Add(time.Second), nil
		e := newEntry(t)
		must(t, s.AddRegistration(t.Context(), second, 2, newEntry(t)))
		must(t, s.AddRegistration(t.Context(), first, 2, e))
		same(t, "Registrations", all(t, s), []registration.Registration{first, second})
		wantEntry(t, s, e, true)
	})
	t.Run("of fifty at once exactly as many come to be as may, and leave an entry", func(t *testing.T) {
		s := open(t)
		entries := make([]audit.Entry, 50)
		errs := together(len(entries), func(i int) error {
			entries[i] = newEntry(t)
			return s.AddRegistration(t.Context(), newRegistration(t), 7, entries[i])
		})
		added := 0
		for i, err := range errs {
			wantEntry(t, s, entries[i], err == nil)
			if err == nil {
				added++
			} else if !errors.Is(err, registration.ErrFull) {
				t.Errorf("AddRegistration = %v, want ErrFull", err)
			}
		}
		if n := len(all(t, s)); added != 7 || n != 7 {
			t.Errorf("%d of 50 were added and %d are there, want 7", added, n)
		}
	})
	t.Run("the limit is that of one token, and a removed one makes room", func(t *testing.T) {
		s, mine, other := open(t), newRegistration(t), newRegistration(t)
		other.Initial = "other"
		must(t, s.AddRegistration(t.Context(), mine, 1, newEntry(t)))
		must(t, s.AddRegistration(t.Context(), other, 1, newEntry(t)))
		must(t, s.RemoveRegistration(t.Context(), mine.ID, newEntry(t)))
		must(t, s.AddRegistration(t.Context(), newRegistration(t), 1, newEntry(t)))
	})
	t.Run("an id is taken once", func(t *testing.T) {
		s, r := open(t), newRegistration(t)
		must(t, s.AddRegistration(t.Context(), r, 9, newEntry(t)))
		again := r
		again.Metadata = []byte(`{"client_name":"another"}`)
		e := newEntry(t)
		wantUnknown(t, "AddRegistration", s.AddRegistration(t.Context(), again, 9, e), registration.ErrFull, registration.ErrUnknown)
		same(t, "Registrations", all(t, s), []registration.Registration{r})
		wantEntry(t, s, e, false)
	})
	t.Run("replacing changes the metadata and the secret, and neither the token nor the birth", func(t *testing.T) {
		s, r := open(t), newRegistration(t)
		must(t, s.AddRegistration(t.Context(), r, 9, newEntry(t)))
		next := newRegistration(t)
		next.ID, next.Changed, next.Metadata, next.Secret = r.ID, base.Add(time.Hour), []byte(`{}`), nil
		must(t, s.ReplaceRegistration(t.Context(), next, newEntry(t)))
		r.Changed, r.Metadata, r.Secret = next.Changed, next.Metadata, nil
		same(t, "Registrations", all(t, s), []registration.Registration{r})
	})
	t.Run("what is not there is neither replaced nor removed, and leaves no entry", func(t *testing.T) {
		s, replaced, removed := open(t), newEntry(t), newEntry(t)
		if err := s.ReplaceRegistration(t.Context(), newRegistration(t), replaced); !errors.Is(err, registration.ErrUnknown) {
			t.Errorf("ReplaceRegistration = %v, want ErrUnknown", err)
		}
		if err := s.RemoveRegistration(t.Context(), "nobody", removed); !errors.Is(err, registration.ErrUnknown) {
			t.Errorf("RemoveRegistration = %v, want ErrUnknown", err)
		}
		wantEntry(t, s, replaced, false)
		wantEntry(t, s, removed, false)
	})
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s, r := open(t), newRegistration(t)
		words := []error{registration.ErrFull, registration.ErrUnknown}
		wantUnknown(t, "AddRegistration", s.AddRegistration(cancelled(t), r, 9, newEntry(t)), words...)
		wantUnknown(t, "ReplaceRegistration", s.ReplaceRegistration(cancelled(t), r, newEntry(t)), words...)
		wantUnknown(t, "RemoveRegistration", s.RemoveRegistration(cancelled(t), r.ID, newEntry(t)), words...)
		_, err := s.Registrations(cancelled(t))
		wantUnknown(t, "Registrations", err, words...)
	})
}

func newRegistration(t *testing.T) registration.Registration {
	t.Helper()
	id, secret := bytes16(t), bytes32(t)
	return registration.Registration{
		ID: protocol.ClientID(hex.EncodeToString(id[:])), Initial: "onboarding", Issued: base, Changed: base,
		Metadata: []byte(`{"client_name":"Library"}`), Secret: secret[:], Access: bytes32(t),
	}
}
