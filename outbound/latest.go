package outbound

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrDisowned, wrapped in an error of Fetch, says that the source was reached and
// answered something that makes the value we hold unfit for use: it is forgotten
// instead of being used until Keep has passed.
var ErrDisowned = errors.New("outbound: the source disowned what it said before")

// LatestConfig makes a Latest. All fields without a default are needed.
type LatestConfig[T any] struct {
	Fetch func(ctx context.Context) (T, error) // gets a deadline of TotalTimeout
	TTL   time.Duration                        // how long a value is used without asking again
	Keep  time.Duration                        // how long the last good value is used while fetches fail
	Retry time.Duration                        // shortest time between a failed fetch and the next
	Now   func() time.Time
	// Ahead is how long before the end of TTL a value that is asked for is fetched
	// again, while everybody goes on with the old one. Default: nobody looks ahead.
	Ahead time.Duration
}

// Latest holds the last good value of a document that others publish. It is
// safe for concurrent use. There is at most one fetch at a time, and a fetch
// belongs to nobody: a caller who gives up does not make the others fail. A
// fetch that nobody waits for ends by its own deadline.
type Latest[T any] struct {
	cfg  LatestConfig[T]
	held atomic.Pointer[held[T]] // nil: nothing yet

	mu     sync.Mutex    // guards what follows
	tried  time.Time     // end of the last attempt
	err    error         // of the last attempt
	flight chan struct{} // closed when the running attempt is over; nil: none runs
}

type held[T any] struct {
	value T
	at    time.Time
}

// NewLatest fetches nothing yet.
func NewLatest[T any](c LatestConfig[T]) (*Latest[T], error) {
	if c.Fetch == nil || c.Now == nil || c.TTL <= 0 || c.Keep < c.TTL || c.Retry <= 0 || c.Ahead < 0 || c.Ahead > c.TTL {
		return nil, errors.New("outbound: incomplete LatestConfig")
	}
	return &Latest[T]{cfg: c}, nil
}

// Get returns the value, fetching it when there is none or it is older than TTL.
// While the source fails, the last good value is returned, at once, until it is
// older than Keep; then Get returns the error of the last attempt.
func (l *Latest[T]) Get(ctx context.Context) (T, error) {
	now := l.cfg.Now()
	h := l.held.Load()
	if h != nil && now.Sub(h.at) < l.cfg.TTL {
		if l.cfg.Ahead > 0 && now.Sub(h.at) >= l.cfg.TTL-l.cfg.Ahead {
			l.start(ctx, l.rested(l.cfg.Retry))
		}
		return h.value, nil
	}
	done, failing := l.start(ctx, l.rested(l.cfg.Retry))
	if h != nil && failing && now.Sub(h.at) < l.cfg.Keep {
		return h.value, nil // nobody waits again and again for a source that is known to fail
	}
	err := l.wait(ctx, done)
	if h = l.held.Load(); h != nil && now.Sub(h.at) < l.cfg.Keep {
		return h.value, nil
	}
	if err == nil {
		err = errors.New("outbound: no value")
	}
	var none T
	return none, err
}

// Renew fetches again, if may says so, and returns what is held afterwards. may is
// asked only when no attempt runs, by one caller at a time. An error is that of the
// last attempt: it means that nobody can tell whether what is held is still the latest.
func (l *Latest[T]) Renew(ctx context.Context, may func() bool) (T, error) {
	done, _ := l.start(ctx, may)
	err := l.wait(ctx, done)
	var value T
	if h := l.held.Load(); h != nil {
		value = h.value
	}
	return value, err
}

// RenewAfter is Renew unless there was an attempt less than pause ago.
func (l *Latest[T]) RenewAfter(ctx context.Context, pause time.Duration) (T, error) {
	return l.Renew(ctx, l.rested(pause))
}

// rested is whether there was no attempt for pause; asked with mu held.
func (l *Latest[T]) rested(pause time.Duration) func() bool {
	return func() bool { return l.tried.IsZero() || l.cfg.Now().Sub(l.tried) >= pause }
}

// start begins an attempt unless one runs or may says no, with mu held. failing
// reports whether the last finished attempt failed.
func (l *Latest[T]) start(ctx context.Context, may func() bool) (done <-chan struct{}, failing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	failing = l.err != nil
	if l.flight != nil {
		return l.flight, failing
	}
	if !may() {
		return nil, failing
	}
	flight := make(chan struct{})
	l.flight = flight
	go l.attempt(context.WithoutCancel(ctx), flight)
	return flight, failing
}

func (l *Latest[T]) attempt(ctx context.Context, flight chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, TotalTimeout)
	defer cancel()
	value, err := l.fetch(ctx)
	now := l.cfg.Now()
	switch {
	case err == nil:
		l.held.Store(&held[T]{value: value, at: now})
	case errors.Is(err, ErrDisowned):
		l.held.Store(nil)
	}
	l.mu.Lock()
	l.tried, l.err, l.flight = now, err, nil
	l.mu.Unlock()
	close(flight)
}

// fetch contains a panic: no handler stands above this goroutine, and what is
// parsed was written by strangers.
func (l *Latest[T]) fetch(ctx context.Context) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("outbound: fetch panicked: %v", p)
		}
	}()
	return l.cfg.Fetch(ctx)
}

// wait returns the error of the last attempt once done is closed; nil means that
// nothing runs.
func (l *Latest[T]) wait(ctx context.Context, done <-chan struct{}) error {
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("outbound: gave up waiting: %w", ctx.Err())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
