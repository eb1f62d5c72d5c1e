package storetest

import (
	"testing"

	"github.com/voussoir-id/voussoir/login"
)

// upstream checks how sessions are found by the names that a provider has for them.
func upstream(t *testing.T, open func(t *testing.T) login.SessionStore, fresh func(t *testing.T) login.Session) {
	name := func(t *testing.T) []byte { d := bytes32(t); return d[:] }
	find := func(t *testing.T, s login.SessionStore, u login.Upstream, want ...login.Session) {
		t.Helper()
		got, err := s.SessionsFrom(t.Context(), u, 10, base)
		must(t, err)
		same(t, "SessionsFrom", got, want)
	}
	t.Run("a provider's names find the sessions that have all of them, oldest first", func(t *testing.T) {
		s := open(t)
		her, his, here, there := name(t), name(t), name(t), name(t)
		put := func(u login.Upstream) login.Session {
			x := fresh(t)
			x.From = u
			must(t, s.PutSession(t.Context(), x))
			return x
		}
		a := put(login.Upstream{Subject: her, Session: here})
		b := put(login.Upstream{Subject: her, Session: there})
		c := put(login.Upstream{Subject: his, Session: here}) // a provider that names two sessions alike
		put(login.Upstream{})
		d := put(login.Upstream{Subject: his})
		find(t, s, login.Upstream{Subject: her}, a, b)
		find(t, s, login.Upstream{Session: here}, a, c)
		find(t, s, login.Upstream{Subject: his, Session: here}, c)
		find(t, s, login.Upstream{Subject: his}, c, d)
		find(t, s, login.Upstream{Subject: here}) // a name of the other kind is another name
		find(t, s, login.Upstream{Subject: name(t)})
		if got, err := s.SessionsFrom(t.Context(), login.Upstream{}, 10, base); err == nil {
			t.Errorf("no name at all finds %d sessions", len(got))
		}
		got, err := s.SessionsFrom(t.Context(), login.Upstream{Subject: her}, 1, base)
		must(t, err)
		same(t, "no more than the limit", got, []login.Session{a})
		back, err := s.GetSession(t.Context(), d.Digest, base)
		must(t, err)
		same(t, "GetSession", back, d)
	})
	t.Run("what is over is not found, and a new sign-in has new names", func(t *testing.T) {
		s, x := open(t), fresh(t)
		first, second := login.Upstream{Subject: name(t)}, login.Upstream{Subject: name(t)}
		x.From = first
		must(t, s.PutSession(t.Context(), x))
		x.From = second
		must(t, s.PutSession(t.Context(), x))
		find(t, s, first)
		find(t, s, second, x)
		expired, err := s.SessionsFrom(t.Context(), second, 10, x.Expires)
		must(t, err)
		same(t, "expired", len(expired), 0)
		_, err = s.EndSession(t.Context(), x.Digest, x.ID, x.Expires)
		must(t, err)
		find(t, s, second)
	})
}
