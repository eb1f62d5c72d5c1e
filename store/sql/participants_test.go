package sql_test

import (
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

// She signs in again after eleven hours, at another service: the first one is told of
// her logout all the same.
func TestSweep_KeepsParticipantsAsLongAsTheirSession(t *testing.T) {
	f := openFlows(t, t.TempDir())
	ctx := t.Context()
	for _, id := range []login.SessionID{"renewed", "another"} {
		must(t, f.Join(ctx, login.Participant{Session: id, Peer: random32(), Grant: "g", Expires: day()}))
	}
	must(t, f.PutSession(ctx, login.Session{Digest: random32(), ID: "renewed", Expires: day().Add(time.Hour)}))
	must(t, f.PutSession(ctx, login.Session{Digest: random32(), ID: "renewed", Expires: day().Add(time.Minute)}))
	left := func(id login.SessionID) int {
		got, err := f.Participants(ctx, id)
		must(t, err)
		return len(got)
	}
	for _, x := range []struct {
		at               time.Duration
		renewed, another int
	}{{0, 1, 0}, {time.Hour - time.Microsecond, 1, 0}, {time.Hour, 0, 0}} {
		_, err := f.Sweep(ctx, day().Add(x.at))
		must(t, err)
		if left("renewed") != x.renewed || left("another") != x.another {
			t.Errorf("after %s: %d and %d, want %d and %d", x.at, left("renewed"), left("another"), x.renewed, x.another)
		}
	}
}

// A tombstone must outlive what it keeps dead, and neither stays for ever.
func TestSweep_ForgetsParticipantsAndTombstonesInTheirTime(t *testing.T) {
	f := openFlows(t, t.TempDir())
	ctx := t.Context()
	for i, id := range []login.SessionID{"ended", "alive"} {
		for range 700 { // more than a stretch
			p := login.Participant{Session: id, Peer: random32(), Grant: "g", Expires: day().Add(time.Duration(i) * time.Hour)}
			must(t, f.Join(ctx, p))
		}
	}
	_, err := f.Sweep(ctx, day())
	must(t, err)
	for id, want := range map[login.SessionID]int{"ended": 0, "alive": 700} {
		got, err := f.Participants(ctx, id)
		must(t, err)
		if len(got) != want {
			t.Errorf("%s: %d participants, want %d", id, len(got), want)
		}
	}
	_, err = f.EndSession(ctx, [32]byte{}, "ended", day().Add(time.Hour))
	must(t, err)
	for at, want := range map[time.Duration]error{0: login.ErrNoSession, time.Hour - time.Microsecond: login.ErrNoSession} {
		_, err = f.Sweep(ctx, day().Add(at))
		must(t, err)
		if err := f.Join(ctx, login.Participant{Session: "ended", Expires: day().Add(time.Hour)}); !errors.Is(err, want) {
			t.Errorf("after a sweep at %s: %v, want %v", at, err, want)
		}
	}
	_, err = f.Sweep(ctx, day().Add(time.Hour))
	must(t, err)
	must(t, f.Join(ctx, login.Participant{Session: "ended", Expires: day().Add(2 * time.Hour)}))
}
