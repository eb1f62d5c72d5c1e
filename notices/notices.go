// Package notices delivers news to services by HTTP, such as the end of a session.
// What was put into the queue is delivered even if the broker is killed in between,
// at least once; a service that does not answer is tried three times and keeps
// neither the person nor another service waiting. It knows neither what a notice
// says nor how it is signed: for each kind of notice another room makes the request
// and hears how it ended.
//
// Why it is a room of its own: docs/decisions/0023-logout.md.
package notices

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Notice is one piece of news for one service. ID is 128 random bits, the same at
// each try.
type Notice struct {
	ID      string
	Kind    string
	Client  string
	Sealed  []byte // by the room that knows the kind
	Tries   int    // so far
	Due     time.Time
	Expires time.Time // afterwards it is no news any more
}

// Store keeps notices. A write that returned nil survives a crash. Safe for
// concurrent use.
type Store interface {
	AddNotices(ctx context.Context, ns ...Notice) error // all or nothing
	// NextReceiver is the first client after this one, in the order of their names,
	// that something is kept for; "" when there is none.
	NextReceiver(ctx context.Context, after string) (string, error)
	// DueNotices are those for a client that are due at now, the longest due first.
	DueNotices(ctx context.Context, client string, now time.Time, limit int) ([]Notice, error)
	PostponeNotice(ctx context.Context, id string, tries int, due time.Time) error
	RemoveNotice(ctx context.Context, id string) error
}

// Kind knows one kind of notice. Safe for concurrent use.
type Kind interface {
	// Request makes the call, anew for each try. ErrUnwanted: nobody is to be told
	// any more. Any other error is one of ours, and the notice is tried again.
	Request(ctx context.Context, n Notice) (*http.Request, error)
	// Accepts reads the status of an answer.
	Accepts(status int) Verdict
	// Over hears how it ended: outcome is "ok", or why not. The notice is kept, and
	// told again, until Over returns nil.
	Over(ctx context.Context, n Notice, outcome string) error
}

// ErrUnwanted: the service does not want this notice any more, or is gone.
var ErrUnwanted = errors.New("nobody is to be told")

// Verdict is what an answer means.
type Verdict uint8

// The verdicts.
const (
	Again   Verdict = iota // it may do better next time
	Taken                  // it has it
	Refused                // it will never take it
)

// Outcomes that Over hears.
const (
	OK          = "ok"
	NoAnswer    = "no answer"  // connection, time, TLS, an address that we do not call
	BadAnswer   = "bad answer" // a status that is no yes
	RefusedIt   = "refused"
	OutOfDate   = "too late"
	NotWanted   = "not wanted"
	unreachable = 3 // tries
)

// The bounds of the queue.
const (
	life          = 15 * time.Minute // of a notice
	perService    = 2                // calls to one service at the same time
	inAll         = 32               // calls at the same time
	lookEvery     = time.Second      // when nobody wakes it
	maxAnswer     = 16 << 10         // bytes of an answer that are read
	drain         = 6 * time.Second  // for calls under way at the end: longer than one may take
	firstPause    = 2 * time.Second  // between the first try and the second
	laterPause    = 15 * time.Second // and before the third
	longestPause  = 30 * time.Minute // between tries of what lives for long
	pauseOnOurWay = 5 * time.Second  // when it was we who could not
)

// Config is what New needs; all of it is required but Log.
type Config struct {
	Store  Store
	Client func() *http.Client // for calls to services: 5 s, no redirects, no private address
	Now    func() time.Time
	Log    *slog.Logger // nil: nothing is logged
}

// Queue takes notices at once and delivers them while Run runs. Safe for
// concurrent use.
type Queue struct {
	cfg  Config
	wake chan struct{}
}

// New refuses a missing collaborator.
func New(cfg Config) (*Queue, error) {
	if cfg.Store == nil || cfg.Client == nil || cfg.Now == nil {
		return nil, errors.New("notices: a collaborator is missing")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Queue{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

// NewID is the id of a new notice.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Put adds notices, of which only ID, Kind, Client and Sealed count. When it returns
// nil they will be delivered: tried three times within fifteen minutes.
func (q *Queue) Put(ctx context.Context, ns ...Notice) error { return q.PutFor(ctx, life, ns...) }

// PutFor is Put for news that stays news for longer than fifteen minutes: it is tried,
// ever more seldom, until so much time is over.
func (q *Queue) PutFor(ctx context.Context, life time.Duration, ns ...Notice) error {
	if len(ns) == 0 {
		return nil
	}
	now := q.cfg.Now()
	for i := range ns {
		ns[i].Tries, ns[i].Due, ns[i].Expires = 0, now, now.Add(life)
	}
	if err := q.cfg.Store.AddNotices(ctx, ns...); err != nil {
		return fmt.Errorf("queue notices: %w", err)
	}
	select {
	case q.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}
