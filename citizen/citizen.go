// Package citizen owns a person's own space at /me: her sign-in to it, its session, and
// the pages on which she sees what the broker keeps on record of her, blocks providers
// and closes her record. She signs in as at any service, by a visit of the broker itself.
// It never sees an identity, never edits what is on record, and shows nothing of anybody
// else: whatever it reads, it reads by the person of the session, never by an id from a
// request.
//
// Read session.go (sign-in, session, sign-out), then pages.go.
package citizen

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// Client is the broker itself as a service. No configuration can name it: a colon is in
// no client id.
const Client protocol.ClientID = "voussoir:me"

// Paths of the space.
const (
	PathMe     = "/me"
	PathReturn = "/me/return"
)

// How long things last.
const (
	startTTL   = 30 * time.Minute // from the start of a sign-in to her return
	codeTTL    = 30 * time.Second
	sessionTTL = 15 * time.Minute // not prolonged: she may be at a shared computer
	recent     = 5 * time.Minute  // grave acts want a sign-in that is no older
)

// Records is what is kept of a person.
type Records interface {
	// EntriesOf reads up to limit of her entries before a place (0: from the newest), the
	// newest first. person is their digest.
	EntriesOf(ctx context.Context, person [32]byte, before int64, limit int) ([]audit.Placed, error)
	Standings(ctx context.Context, p identity.PersonID, now time.Time) ([]consent.Standing, error)
	// ClosePerson destroys all that is kept of her, together with e.
	ClosePerson(ctx context.Context, id identity.PersonID, person [32]byte, e audit.Entry) error
}

// Sessions keeps sessions. ErrNoSession of login: unknown, expired or ended.
type Sessions interface {
	PutSession(ctx context.Context, s login.Session) error
	GetSession(ctx context.Context, d [32]byte, now time.Time) (login.Session, error)
	EndSession(ctx context.Context, d [32]byte, id login.SessionID, until time.Time) ([]login.Participant, error)
}

// OnceStore says durably whether something is used for the first time.
type OnceStore interface {
	Consume(ctx context.Context, kind, id string, until, now time.Time) (first bool, err error)
}

// Log opens and makes entries. Implemented by audit.Log.
type Log interface {
	Prepare(e audit.Event) (audit.Entry, error)
	Open(e audit.Entry, wrapped []byte) (audit.Personal, error)
}

// Named is something with a name for people.
type Named struct {
	ID   protocol.ProviderID
	Name protocol.Text
}

// Config is what New needs; all of it.
type Config struct {
	Issuer   string // our own address
	Records  Records
	Sessions Sessions
	Once     OnceStore
	Sealer   login.Sealer
	Audit    Log
	// Start begins a visit, Of is the digest that the entries of a person (hex) are found by.
	Start func(ctx context.Context, req protocol.AuthRequest, h http.Header) (login.Started, error)
	Of    func(person string) ([32]byte, error)
	// Barred reports whether what a person began then counts no more.
	Barred      func(person string, began time.Time) bool
	Preferences *preferences.Service
	Service     func(protocol.ClientID) protocol.Text // its name; nil: unknown
	Providers   func() []Named                        // all of the configuration
	Site        *web.Site
	Now         func() time.Time
}

// Space serves /me. Safe for concurrent use.
type Space struct{ Config }

// New refuses a missing collaborator.
func New(c Config) (*Space, error) {
	if c.Issuer == "" || c.Records == nil || c.Sessions == nil || c.Once == nil || c.Sealer == nil || c.Audit == nil || c.Start == nil ||
		c.Of == nil || c.Barred == nil || c.Preferences == nil || c.Service == nil || c.Providers == nil || c.Site == nil || c.Now == nil {
		return nil, errors.New("citizen: config: a collaborator is missing")
	}
	return &Space{c}, nil
}

// Routes adds the space to mux.
func (s *Space) Routes(mux *http.ServeMux) {
	mux.Handle("GET "+PathMe, s.Site.Page("me", s.show))
	mux.Handle("POST /me/sign-in", s.Site.Page("me.sign_in", s.signIn))
	mux.Handle("GET "+PathReturn, s.Site.Page("me.return", s.comeBack))
	mux.Handle("POST /me/sign-out", s.Site.Page("me.sign_out", s.signOut))
	mux.Handle("POST /me/block", s.Site.Page("me.block", s.block))
	mux.Handle("POST /me/unblock", s.Site.Page("me.unblock", s.unblock))
	mux.Handle("GET /me/close", s.Site.Page("me.close", s.askClose))
	mux.Handle("POST /me/close", s.Site.Page("me.close", s.close))
}
