package sql_test

import (
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

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
