package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

// Sessions checks login.SessionStore. open returns an empty store and closes it
// with the test.
func Sessions(t *testing.T, open func(t *testing.T) login.SessionStore) {
	fresh := func(t *testing.T) login.Session {
		return login.Session{Digest: bytes32(t), ID: login.SessionID(flowID(t)), Sealed: []byte("sealed"), Expires: base.Add(30 * time.Minute)}
	}
	wantNone := func(t *testing.T, s login.SessionStore, d [32]byte, now time.Time) {
		t.Helper()
		if _, err := s.GetSession(t.Context(), d, now); !errors.Is(err, login.ErrNoSession) {
			t.Errorf("GetSession = %v, want ErrNoSession", err)
		}
	}
	t.Run("a session comes back until the instant it expires", func(t *testing.T) {
		s, want := open(t), fresh(t)
		wantNone(t, s, want.Digest, base)
		must(t, s.PutSession(t.Context(), want))
		got, err := s.GetSession(t.Context(), want.Digest, want.Expires.Add(-time.Microsecond))
		must(t, err)
		same(t, "GetSession", got, want)
		wantNone(t, s, want.Digest, want.Expires)
	})
	t.Run("putting again replaces and prolongs", func(t *testing.T) {
		s, first := open(t), fresh(t)
		must(t, s.PutSession(t.Context(), first))
		second := first
		second.Sealed, second.Expires = []byte("sealed again"), first.Expires.Add(time.Hour)
		must(t, s.PutSession(t.Context(), second))
		got, err := s.GetSession(t.Context(), first.Digest, first.Expires)
		must(t, err)
		same(t, "GetSession", got, second)
	})
	t.Run("an ended session is gone, the others stay", func(t *testing.T) {
		s, ended, other := open(t), fresh(t), fresh(t)
		must(t, s.PutSession(t.Context(), ended))
		must(t, s.PutSession(t.Context(), other))
		must(t, s.DeleteSession(t.Context(), ended.Digest))
		wantNone(t, s, ended.Digest, base)
		if _, err := s.GetSession(t.Context(), other.Digest, base); err != nil {
			t.Errorf("GetSession of another = %v, want it", err)
		}
		if err := s.DeleteSession(t.Context(), ended.Digest); err != nil {
			t.Errorf("DeleteSession of none = %v, want nil", err)
		}
	})
	upstream(t, open, fresh)
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s, x := open(t), fresh(t)
		ctx := cancelled(t)
		wantUnknown(t, "PutSession", s.PutSession(ctx, x), login.ErrNoSession)
		_, err := s.GetSession(ctx, x.Digest, base)
		wantUnknown(t, "GetSession", err, login.ErrNoSession)
		_, err = s.SessionsFrom(ctx, login.Upstream{Subject: make([]byte, 32)}, 10, base)
		wantUnknown(t, "SessionsFrom", err, login.ErrNoSession)
		wantUnknown(t, "DeleteSession", s.DeleteSession(ctx, x.Digest), login.ErrNoSession)
	})
}
