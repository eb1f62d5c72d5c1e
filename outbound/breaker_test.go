package outbound

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newTestBreaker(t *testing.T) (*Breaker, *time.Time) {
	t.Helper()
	now := time.Unix(1_000_000, 0)
	b, err := NewBreaker(BreakerConfig{Failures: 3, Pause: 10 * time.Second, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return b, &now
}

func mustAllow(t *testing.T, b *Breaker) func(bool) {
	t.Helper()
	done, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestBreaker_OpensAfterFailuresInARow(t *testing.T) {
	b, _ := newTestBreaker(t)
	for _, worked := range []bool{false, false, true, false, false} {
		mustAllow(t, b)(worked)
	}
	if b.Open() {
		t.Fatal("open although a call in between worked")
	}
	mustAllow(t, b)(false)
	if _, err := b.Allow(); !errors.Is(err, ErrOpen) || !b.Open() {
		t.Errorf("after three in a row: %v", err)
	}
}

func TestBreaker_LetsOneCallFindOut(t *testing.T) {
	b, now := newTestBreaker(t)
	for range 3 {
		mustAllow(t, b)(false)
	}
	*now = now.Add(10 * time.Second)
	probe := mustAllow(t, b)
	if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
		t.Fatalf("a second call while the first finds out: %v", err)
	}
	probe(false)
	if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
		t.Fatalf("after a failed probe: %v", err)
	}
	*now = now.Add(10 * time.Second)
	mustAllow(t, b)(true)
	if b.Open() {
		t.Error("still open after a probe that worked")
	}
	mustAllow(t, b)(true)
}

// However calls overlap, at most one is on its way while the breaker is open.
func TestBreaker_OneProbeAtATime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(0, 0)
		b, err := NewBreaker(BreakerConfig{Failures: 2, Pause: time.Second, Now: func() time.Time { return now }})
		if err != nil {
			rt.Fatal(err)
		}
		var calls []func(bool)
		probes := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 700).Draw(rt, "ms")) * time.Millisecond)
			if len(calls) > 0 && rapid.Bool().Draw(rt, "settle") {
				i := rapid.IntRange(0, len(calls)-1).Draw(rt, "which")
				calls[i](rapid.Bool().Draw(rt, "worked"))
				calls = append(calls[:i], calls[i+1:]...)
				continue
			}
			open := b.Open()
			done, err := b.Allow()
			if err != nil {
				if !open {
					rt.Fatal("refused while closed")
				}
				continue
			}
			if !open {
				calls = append(calls, done)
				continue
			}
			if probes++; probes > 1 {
				rt.Fatal("two probes at a time")
			}
			calls = append(calls, func(worked bool) { probes--; done(worked) })
		}
	})
}

func TestBreaker_RefusesAConfigurationWithoutAClock(t *testing.T) {
	if _, err := NewBreaker(BreakerConfig{}); err == nil {
		t.Error("no error")
	}
}
