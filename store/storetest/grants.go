package storetest

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/provider"
)

// Grants checks provider.GrantStore. open returns an empty store and closes it
// with the test.
func Grants(t *testing.T, open func(t *testing.T) provider.GrantStore) {
	t.Run("a grant comes back until the instant it expires", func(t *testing.T) {
		s, want := open(t), newGrant(t, provider.CodeGrant)
		wantNoGrant(t, s, want, base)
		must(t, s.PutGrant(t.Context(), want))
		got, err := s.GetGrant(t.Context(), want.Kind, want.Digest, want.Expires.Add(-time.Microsecond))
		must(t, err)
		same(t, "GetGrant", got, want)
		wantNoGrant(t, s, want, want.Expires)
	})
	t.Run("a code never passes for a token, nor a token for a code", func(t *testing.T) {
		s := open(t)
		code, token := newGrant(t, provider.CodeGrant), newGrant(t, provider.AccessGrant)
		must(t, s.PutGrant(t.Context(), code))
		must(t, s.PutGrant(t.Context(), token))
		code.Kind, token.Kind = token.Kind, code.Kind
		wantNoGrant(t, s, code, base)
		wantNoGrant(t, s, token, base)
	})
	t.Run("a digest that is taken is refused and changes nothing", func(t *testing.T) {
		s, want := open(t), newGrant(t, provider.AccessGrant)
		must(t, s.PutGrant(t.Context(), want))
		other := newGrant(t, provider.AccessGrant)
		other.Digest = want.Digest
		wantUnknown(t, "PutGrant", s.PutGrant(t.Context(), other), provider.ErrNoGrant)
		got, err := s.GetGrant(t.Context(), want.Kind, want.Digest, base)
		must(t, err)
		same(t, "GetGrant", got, want)
	})
	t.Run("revoking kills all of one grant and nothing else (RFC 6749 4.1.2)", func(t *testing.T) {
		s := open(t)
		code, token, other := newGrant(t, provider.CodeGrant), newGrant(t, provider.AccessGrant), newGrant(t, provider.AccessGrant)
		token.Grant = code.Grant
		for _, g := range []provider.StoredGrant{code, token, other} {
			must(t, s.PutGrant(t.Context(), g))
		}
		must(t, s.RevokeGrant(t.Context(), code.Grant, base.Add(time.Hour)))
		wantNoGrant(t, s, code, base)
		wantNoGrant(t, s, token, base)
		got, err := s.GetGrant(t.Context(), other.Kind, other.Digest, base)
		must(t, err)
		same(t, "GetGrant of another", got, other)
	})
	t.Run("a token that is put after the revocation is dead too", func(t *testing.T) {
		s, g := open(t), newGrant(t, provider.AccessGrant)
		must(t, s.RevokeGrant(t.Context(), g.Grant, base.Add(time.Hour)))
		must(t, s.PutGrant(t.Context(), g))
		wantNoGrant(t, s, g, base)
	})
	t.Run("revoking twice, in any order of times, does no harm", func(t *testing.T) {
		s, g := open(t), newGrant(t, provider.AccessGrant)
		for _, d := range []time.Duration{time.Hour, time.Minute, 2 * time.Hour} {
			must(t, s.RevokeGrant(t.Context(), g.Grant, base.Add(d)))
		}
		must(t, s.PutGrant(t.Context(), g))
		wantNoGrant(t, s, g, base)
	})
	t.Run("a withdrawal kills like a revocation, and can be told from one", func(t *testing.T) {
		s, revoked, withdrawn, both := open(t), newGrant(t, provider.AccessGrant), newGrant(t, provider.AccessGrant), newGrant(t, provider.AccessGrant)
		until := base.Add(time.Hour)
		must(t, s.RevokeGrant(t.Context(), revoked.Grant, until))
		must(t, s.RevokeGrant(t.Context(), both.Grant, until))
		must(t, s.WithdrawGrant(t.Context(), both.Grant, until))
		must(t, s.WithdrawGrant(t.Context(), withdrawn.Grant, until))
		must(t, s.RevokeGrant(t.Context(), withdrawn.Grant, until.Add(time.Minute)))
		for g, want := range map[*provider.StoredGrant]bool{&revoked: false, &withdrawn: true, &both: true} {
			must(t, s.PutGrant(t.Context(), *g))
			wantNoGrant(t, s, *g, base)
			got, err := s.Withdrawn(t.Context(), g.Grant)
			must(t, err)
			if got != want {
				t.Errorf("Withdrawn: %t, want %t", got, want)
			}
		}
	})
	t.Run("whatever races with a revocation is dead once it is acknowledged", func(t *testing.T) {
		s, g := open(t), newGrant(t, provider.AccessGrant)
		all := make([]provider.StoredGrant, 20)
		for i := range all {
			all[i] = newGrant(t, provider.AccessGrant)
			all[i].Grant = g.Grant
		}
		errs := together(len(all)+1, func(i int) error {
			if i == len(all) {
				return s.RevokeGrant(t.Context(), g.Grant, base.Add(time.Hour))
			}
			return s.PutGrant(t.Context(), all[i])
		})
		must(t, errors.Join(errs...))
		for _, g := range all {
			wantNoGrant(t, s, g, base)
		}
	})
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s, g := open(t), newGrant(t, provider.CodeGrant)
		ctx := cancelled(t)
		wantUnknown(t, "PutGrant", s.PutGrant(ctx, g), provider.ErrNoGrant)
		_, err := s.GetGrant(ctx, g.Kind, g.Digest, base)
		wantUnknown(t, "GetGrant", err, provider.ErrNoGrant)
		wantUnknown(t, "RevokeGrant", s.RevokeGrant(ctx, g.Grant, base), provider.ErrNoGrant)
	})
}

func wantNoGrant(t *testing.T, s provider.GrantStore, g provider.StoredGrant, now time.Time) {
	t.Helper()
	if _, err := s.GetGrant(t.Context(), g.Kind, g.Digest, now); !errors.Is(err, provider.ErrNoGrant) {
		t.Errorf("GetGrant(%s) = %v, want ErrNoGrant", g.Kind, err)
	}
}

func newGrant(t *testing.T, k provider.GrantKind) provider.StoredGrant {
	t.Helper()
	id := bytes16(t)
	return provider.StoredGrant{
		Kind: k, Digest: bytes32(t), Grant: login.GrantID(hex.EncodeToString(id[:])),
		Sealed: []byte("sealed"), Expires: base.Add(time.Minute),
	}
}

// Once checks provider.OnceStore. open returns an empty store and closes it with
// the test.
func Once(t *testing.T, open func(t *testing.T) provider.OnceStore) {
	until := base.Add(time.Minute)
	want := func(t *testing.T, s provider.OnceStore, kind, id string, until, now time.Time, first bool) {
		t.Helper()
		got, err := s.Consume(t.Context(), kind, id, until, now)
		must(t, err)
		if got != first {
			t.Errorf("Consume(%q, %q) = %t, want %t", kind, id, got, first)
		}
	}
	t.Run("of two hundred who consume at once one is first", func(t *testing.T) {
		s := open(t)
		firsts := together(200, func(int) int {
			first, err := s.Consume(t.Context(), "code", "x", until, base)
			if err != nil {
				return 1000
			}
			if first {
				return 1
			}
			return 0
		})
		sum := 0
		for _, n := range firsts {
			sum += n
		}
		if sum != 1 {
			t.Errorf("%d calls were first (1000 and more: errors), want 1", sum)
		}
		want(t, s, "code", "x", until, base, false)
	})
	t.Run("kinds and ids do not mix, however they are put together", func(t *testing.T) {
		s := open(t)
		for _, k := range [][2]string{{"code", "x"}, {"jti", "x"}, {"code", "y"}, {"cod", "ex"}, {"codex", ""}, {"", "codex"}, {"code", "x\x00"}, {"code\x00", "x"}} {
			want(t, s, k[0], k[1], until, base, true)
			want(t, s, k[0], k[1], until, base, false)
		}
	})
	t.Run("a key is remembered until its time and no longer", func(t *testing.T) {
		s := open(t)
		want(t, s, "jti", "x", until, base, true)
		want(t, s, "jti", "x", until.Add(time.Hour), until.Add(-time.Microsecond), false)
		want(t, s, "jti", "x", until.Add(time.Hour), until, true)
		want(t, s, "jti", "x", until.Add(2*time.Hour), until.Add(time.Minute), false)
	})
	t.Run("a later call can neither shorten nor lengthen the time", func(t *testing.T) {
		s := open(t)
		want(t, s, "jti", "x", until, base, true)
		want(t, s, "jti", "x", base.Add(time.Microsecond), base, false)
		want(t, s, "jti", "x", until, base.Add(time.Second), false)
	})
	t.Run("an id may be long and hold any byte", func(t *testing.T) {
		s := open(t)
		long := make([]byte, 64<<10)
		random(t, long)
		want(t, s, "jti", string(long), until, base, true)
		want(t, s, "jti", string(long), until, base, false)
		want(t, s, "jti", string(long[1:]), until, base, true)
	})
	t.Run("a time that is over already is an error and no first", func(t *testing.T) {
		s := open(t)
		if first, err := s.Consume(t.Context(), "code", "x", base, base); err == nil || first {
			t.Errorf("Consume = %t, %v, want false and an error", first, err)
		}
	})
	t.Run("a caller who has gone is never first", func(t *testing.T) {
		s := open(t)
		if first, err := s.Consume(cancelled(t), "code", "x", until, base); err == nil || first {
			t.Errorf("Consume = %t, %v, want false and an error", first, err)
		}
	})
}
