// Package health knows which identity providers work: it looks at each one now and
// then, hears of calls that failed, and keeps what goes wrong at one of them from the
// others (a limit of calls and a breaker for each). It decides nothing: a provider
// that does not work is still offered, with a word of warning. What a person does
// wrong is no fault of a provider, and nothing that comes by her browser counts: else
// anyone could put a provider out of service for everybody. Read on in
// docs/operate.md.
package health

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	tick     = time.Second
	every    = time.Minute     // between two looks at a provider that works
	again    = 5 * time.Second // between two looks at one that does not
	patience = 3 * time.Second // for one look: with it a failure shows within 5 s
	abreast  = 32              // looks at once
	failures = 3               // calls in a row that open a breaker
)

// Checker is a provider that can be looked at. Check asks for what the provider
// publishes, past what is remembered.
type Checker interface {
	Check(ctx context.Context) error
}

// Config is what New needs. All fields are required.
type Config struct {
	// Directory returns the providers that are in service now. Those that are no
	// Checker are taken to work.
	Directory func() *federation.Directory
	Now       func() time.Time
	// Changed hears of each provider that stops working or works again. It does not
	// block.
	Changed func(id protocol.ProviderID, s federation.State, why error)
}

// Monitor watches the providers. It outlives reloads of the configuration. Safe for
// concurrent use.
type Monitor struct {
	cfg   Config
	nudge chan struct{} // holds one: somebody's turn has come early

	mu      sync.Mutex // guards what follows
	watched map[protocol.ProviderID]*watched
}

// watched is one provider; mu of the monitor guards all but the breaker.
type watched struct {
	breaker *outbound.Breaker
	next    time.Time // of the next look; zero: at once
	looking bool
	failing bool // at the last look
	state   federation.State
}

// New looks at nobody yet.
func New(c Config) (*Monitor, error) {
	if c.Directory == nil || c.Now == nil || c.Changed == nil {
		return nil, errors.New("health: a directory, a clock and a listener are needed")
	}
	return &Monitor{cfg: c, nudge: make(chan struct{}, 1), watched: map[protocol.ProviderID]*watched{}}, nil
}

// Guard returns c with the provider's limit and breaker. The breaker is the same for
// each call with one id, so a reload of the configuration forgets nothing.
func (m *Monitor) Guard(id protocol.ProviderID, c *http.Client) (*http.Client, error) {
	m.mu.Lock()
	w := m.of(id)
	m.mu.Unlock()
	return outbound.Bulkhead(c, outbound.BulkheadConfig{Breaker: w.breaker, Failed: func() { m.suspect(id) }})
}

// of returns what is known of a provider. The caller holds mu.
func (m *Monitor) of(id protocol.ProviderID) *watched {
	w := m.watched[id]
	if w == nil {
		b, err := outbound.NewBreaker(outbound.BreakerConfig{Failures: failures, Now: m.cfg.Now})
		if err != nil {
			panic(err) // only without a clock, and New has refused that
		}
		w = &watched{breaker: b, state: federation.State{Since: m.cfg.Now()}}
		m.watched[id] = w
	}
	return w
}

// suspect looks at a provider now, because a call to it has failed.
func (m *Monitor) suspect(id protocol.ProviderID) {
	m.mu.Lock()
	m.of(id).next = time.Time{}
	m.mu.Unlock()
	select {
	case m.nudge <- struct{}{}:
	default:
	}
}

// State says whether a provider works, and since when it has or has not.
func (m *Monitor) State(id protocol.ProviderID) federation.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.watched[id]
	if w == nil {
		return federation.State{}
	}
	m.judge(id, w, outbound.ErrOpen)
	return w.state
}

// Breaker is the state of a provider's breaker; "" when nobody has called or looked.
func (m *Monitor) Breaker(id protocol.ProviderID) outbound.BreakerState {
	m.mu.Lock()
	w := m.watched[id]
	m.mu.Unlock()
	if w == nil {
		return ""
	}
	return w.breaker.State()
}

// judge brings the state up to date. The caller holds mu.
func (m *Monitor) judge(id protocol.ProviderID, w *watched, why error) {
	down := w.failing || w.breaker.Open()
	if down == w.state.Down {
		return
	}
	w.state = federation.State{Down: down, Since: m.cfg.Now()}
	m.cfg.Changed(id, w.state, why)
}

// Run looks at the providers until ctx ends, and returns when the last look is over.
func (m *Monitor) Run(ctx context.Context) error {
	var looks errgroup.Group
	looks.SetLimit(abreast)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		m.round(ctx, &looks)
		select {
		case <-ctx.Done():
			return looks.Wait()
		case <-t.C:
		case <-m.nudge:
		}
	}
}

// turn is a look that is due.
type turn struct {
	id protocol.ProviderID
	c  Checker
	at time.Time
}

// round begins the looks that are due, as many as there is room for: those that have
// waited longest first, so that many providers that hang keep no other from its turn.
func (m *Monitor) round(ctx context.Context, looks *errgroup.Group) {
	for _, t := range m.due() {
		if !looks.TryGo(func() error { m.look(ctx, t.id, t.c); return nil }) {
			m.mu.Lock()
			w := m.of(t.id)
			w.looking = false
			if !w.next.IsZero() {
				w.next = t.at
			}
			m.mu.Unlock()
		}
	}
}

// due takes all looks that are due for the caller, longest due first; zero is before
// everything.
func (m *Monitor) due() []turn {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []turn
	now := m.cfg.Now()
	for _, e := range m.cfg.Directory().All() {
		c, ok := e.Provider.(Checker)
		w := m.of(e.ID)
		if !ok || w.looking || now.Before(w.next) {
			continue
		}
		out = append(out, turn{e.ID, c, w.next})
		w.looking = true
		w.next = now.Add(every) // suspect may bring it forward while we look
	}
	slices.SortStableFunc(out, func(a, b turn) int { return a.at.Compare(b.at) })
	return out
}

// look looks at one provider. It stands at the top of a goroutine.
func (m *Monitor) look(ctx context.Context, id protocol.ProviderID, c Checker) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	err := check(ctx, c)
	cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.of(id)
	w.looking, w.failing = false, err != nil
	if !w.next.IsZero() { // else somebody asked for another look meanwhile
		pause := every
		if err != nil {
			pause = again
		}
		// Jitter: a thousand providers must not all be asked in the same second.
		w.next = m.cfg.Now().Add(pause*3/4 + rand.N(pause/2))
	}
	m.judge(id, w, err)
}

// check contains a panic: what is parsed was written by strangers.
func check(ctx context.Context, c Checker) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the look panicked")
		}
	}()
	return c.Check(ctx)
}
