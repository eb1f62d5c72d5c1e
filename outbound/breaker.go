package outbound

import (
	"errors"
	"sync"
	"time"
)

// ErrOpen: the calls that a breaker counts have failed too often, and this one was
// not made.
var ErrOpen = errors.New("outbound: not called, because the last calls failed")

// BreakerConfig is what NewBreaker needs.
type BreakerConfig struct {
	Failures int           // that open it, one after the other; default 5
	Pause    time.Duration // how long nobody is called then; default 10 s
	Now      func() time.Time
}

// Breaker spares people from waiting for a peer that does not answer, and the peer
// from being called by all of them. After a number of failures in a row nobody
// calls for a while; then one call goes through (half-open), and what becomes of it
// decides for all. Safe for concurrent use.
type Breaker struct {
	cfg BreakerConfig

	mu       sync.Mutex // guards what follows
	failures int        // in a row
	until    time.Time  // open until then
	probing  bool       // one call is finding out
}

// NewBreaker returns a closed breaker. It refuses a missing clock.
func NewBreaker(c BreakerConfig) (*Breaker, error) {
	if c.Now == nil || c.Failures < 0 || c.Pause < 0 {
		return nil, errors.New("outbound: a breaker needs a clock, and no negative number")
	}
	if c.Failures == 0 {
		c.Failures = 5
	}
	if c.Pause == 0 {
		c.Pause = 10 * time.Second
	}
	return &Breaker{cfg: c}, nil
}

// Allow asks for one call. The caller must tell done, once, what became of it; on
// ErrOpen there is no call and nothing to tell.
func (b *Breaker) Allow() (done func(worked bool), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < b.cfg.Failures {
		return func(worked bool) { b.settle(worked, false) }, nil
	}
	if b.probing || b.cfg.Now().Before(b.until) {
		return nil, ErrOpen
	}
	b.probing = true
	return func(worked bool) { b.settle(worked, true) }, nil
}

// Open reports whether the peer counts as out of order, half-open included.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= b.cfg.Failures
}

// BreakerState is whether calls go through.
type BreakerState string

// The states.
const (
	Closed   BreakerState = "closed"    // all of them
	Opened   BreakerState = "open"      // none
	HalfOpen BreakerState = "half_open" // one, which finds out
)

// State is the state at this moment; the pause may have passed without anybody
// having called since.
func (b *Breaker) State() BreakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.failures < b.cfg.Failures:
		return Closed
	case b.probing || !b.cfg.Now().Before(b.until):
		return HalfOpen
	}
	return Opened
}

// settle counts a call. One that began before the breaker opened may still close
// it: the peer has answered, after all.
func (b *Breaker) settle(worked, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	if worked {
		b.failures = 0
		return
	}
	b.failures++
	if b.failures >= b.cfg.Failures {
		b.until = b.cfg.Now().Add(b.cfg.Pause)
	}
}
