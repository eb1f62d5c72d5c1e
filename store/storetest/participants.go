package storetest

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/provider"
)

// SessionsAndGrants is what dies together.
type SessionsAndGrants interface {
	login.SessionStore
	provider.GrantStore
}

// Endings checks how sessions end: the part of login.SessionStore that is about who
// takes part. open returns an empty store and closes it with the test.
func Endings(t *testing.T, open func(t *testing.T) SessionsAndGrants) {
	until := base.Add(13 * time.Hour)
	begin := func(t *testing.T, s SessionsAndGrants) login.Session {
		t.Helper()
		x := login.Session{Digest: bytes32(t), ID: login.SessionID(flowID(t)), Sealed: []byte("sealed"), Expires: base.Add(time.Hour)}
		must(t, s.PutSession(t.Context(), x))
		return x
	}
	t.Run("what joined comes back, in order, and dies with the session", func(t *testing.T) {
		s := open(t)
		x, other := begin(t, s), begin(t, s)
		first, second, stranger := participant(t, x.ID), participant(t, x.ID), participant(t, other.ID)
		for _, p := range []login.Participant{first, stranger, second} {
			must(t, s.Join(t.Context(), p))
			must(t, s.PutGrant(t.Context(), grantOf(t, p)))
		}
		got, err := s.Participants(t.Context(), x.ID)
		must(t, err)
		same(t, "Participants", got, []login.Participant{first, second})
		got, err = s.EndSession(t.Context(), x.Digest, x.ID, until)
		must(t, err)
		same(t, "EndSession", got, []login.Participant{first, second})
		for _, p := range []login.Participant{first, second} {
			g := grantOf(t, p)
			must(t, s.PutGrant(t.Context(), g)) // a code that is put after the end is dead too
			wantNoGrant(t, s, g, base)
		}
		if _, err := s.GetSession(t.Context(), x.Digest, base); !errors.Is(err, login.ErrNoSession) {
			t.Errorf("GetSession = %v, want ErrNoSession", err)
		}
		alive := grantOf(t, stranger)
		must(t, s.PutGrant(t.Context(), alive))
		if _, err := s.GetGrant(t.Context(), alive.Kind, alive.Digest, base); err != nil {
			t.Errorf("a grant of another session: %v, want it", err)
		}
		got, err = s.EndSession(t.Context(), x.Digest, x.ID, until)
		must(t, err)
		same(t, "EndSession again", len(got), 0)
	})
	t.Run("a grant for the time when she is away outlives it", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		p := participant(t, x.ID)
		p.Keeps = true
		g := grantOf(t, p)
		must(t, s.Join(t.Context(), p))
		must(t, s.PutGrant(t.Context(), g))
		got, err := s.EndSession(t.Context(), x.Digest, x.ID, until)
		must(t, err)
		same(t, "EndSession", got, []login.Participant{p})
		if _, err := s.GetGrant(t.Context(), g.Kind, g.Digest, base); err != nil {
			t.Errorf("GetGrant = %v, want it", err)
		}
	})
	t.Run("nothing brings an ended session back", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		_, err := s.EndSession(t.Context(), x.Digest, x.ID, until)
		must(t, err)
		again := x
		again.Digest = bytes32(t)
		for _, put := range []login.Session{x, again} {
			if err := s.PutSession(t.Context(), put); !errors.Is(err, login.ErrNoSession) {
				t.Errorf("PutSession = %v, want ErrNoSession", err)
			}
			if _, err := s.GetSession(t.Context(), put.Digest, base); !errors.Is(err, login.ErrNoSession) {
				t.Errorf("GetSession = %v, want ErrNoSession", err)
			}
		}
		if err := s.Join(t.Context(), participant(t, x.ID)); !errors.Is(err, login.ErrNoSession) {
			t.Errorf("Join = %v, want ErrNoSession", err)
		}
	})
	t.Run("it is dead under every handle that it has", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		second := x
		second.Digest = bytes32(t)
		must(t, s.PutSession(t.Context(), second))
		_, err := s.EndSession(t.Context(), x.Digest, x.ID, until)
		must(t, err)
		if _, err := s.GetSession(t.Context(), second.Digest, base); !errors.Is(err, login.ErrNoSession) {
			t.Errorf("GetSession by the other handle = %v, want ErrNoSession", err)
		}
	})
	t.Run("a session that was only forgotten may still be joined", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		must(t, s.DeleteSession(t.Context(), x.Digest))
		must(t, s.Join(t.Context(), participant(t, x.ID)))
	})
	t.Run("of one service the newest are remembered, and every service is", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		quiet, busy := participant(t, x.ID), participant(t, x.ID)
		must(t, s.Join(t.Context(), quiet))
		var last login.Participant
		for range login.MaxPerService + 5 {
			last = participant(t, x.ID)
			last.Peer = busy.Peer
			must(t, s.Join(t.Context(), last))
		}
		got, err := s.Participants(t.Context(), x.ID)
		must(t, err)
		same(t, "how many", len(got), login.MaxPerService+1)
		same(t, "the first", got[0], quiet)
		same(t, "the last", got[len(got)-1], last)
	})
	t.Run("who joins while the session ends is told of, or refused, and has no live grant", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		ps, grants := make([]login.Participant, 30), make([]provider.StoredGrant, 30)
		for i := range ps {
			ps[i] = participant(t, x.ID)
			grants[i] = grantOf(t, ps[i])
		}
		var ended []login.Participant
		errs := together(len(ps)+1, func(i int) (err error) {
			if i == len(ps)/2 {
				ended, err = s.EndSession(t.Context(), x.Digest, x.ID, until)
				return err
			}
			at := i % len(ps)
			if i == len(ps) { // in the place of the one who ends
				at = len(ps) / 2
			}
			if err := s.Join(t.Context(), ps[at]); err != nil {
				return err
			}
			return s.PutGrant(t.Context(), grants[at])
		})
		refused := 0
		for _, err := range errs {
			if errors.Is(err, login.ErrNoSession) {
				refused++
			} else {
				must(t, err)
			}
		}
		if refused+len(ended) != len(ps) {
			t.Errorf("%d refused and %d told of, want %d together", refused, len(ended), len(ps))
		}
		for _, g := range grants {
			wantNoGrant(t, s, g, base)
		}
	})
	t.Run("of many who end a session at once each participant comes back to one", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		for range 5 {
			must(t, s.Join(t.Context(), participant(t, x.ID)))
		}
		sum := 0
		for _, n := range together(20, func(int) int {
			got, err := s.EndSession(t.Context(), x.Digest, x.ID, until)
			if err != nil {
				return 1000
			}
			return len(got)
		}) {
			sum += n
		}
		same(t, "participants (1000 and more: errors)", sum, 5)
	})
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s := open(t)
		x := begin(t, s)
		ctx := cancelled(t)
		wantUnknown(t, "Join", s.Join(ctx, participant(t, x.ID)), login.ErrNoSession)
		_, err := s.Participants(ctx, x.ID)
		wantUnknown(t, "Participants", err, login.ErrNoSession)
		_, err = s.EndSession(ctx, x.Digest, x.ID, until)
		wantUnknown(t, "EndSession", err, login.ErrNoSession)
	})
}

func participant(t *testing.T, id login.SessionID) login.Participant {
	t.Helper()
	g := bytes16(t)
	return login.Participant{
		Session: id, Peer: bytes32(t), Grant: login.GrantID(hex.EncodeToString(g[:])),
		Sealed: []byte("sealed"), Expires: base.Add(12 * time.Hour),
	}
}

// grantOf is a new access token of a participant.
func grantOf(t *testing.T, p login.Participant) provider.StoredGrant {
	t.Helper()
	g := newGrant(t, provider.AccessGrant)
	g.Grant = p.Grant
	return g
}
