package login

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// People finds the person behind an identity. An *identity.InvalidError means
// that the identity is no good, identity.ErrAmbiguous that a correction leads to two
// persons, any other error that we do not know. The other three remember when the
// civil registry last confirmed a person. Implemented by identity.People.
type People interface {
	Resolve(ctx context.Context, id identity.Identity, issuer, subject string) (identity.Person, error)
	Confirm(ctx context.Context, person identity.PersonID) error
	Confirmed(ctx context.Context, id identity.Identity) (time.Time, error)
	Unconfirm(ctx context.Context, id identity.Identity) error
}

// Preferences says which providers a person does not want to be used in her name. An
// error means that nobody can tell. Implemented by preferences.Service.
type Preferences interface {
	List(ctx context.Context, person identity.PersonID) (preferences.Providers, error)
}

// Ledger keeps receipts and standing answers. When Record returns nil, the
// receipt, its audit entry and, if the act is an answer that she gave and its
// Until is set, the standing answer are durable, all or nothing. Of e only the
// flow, the seal key and the outcome count. Implemented by consent.Ledger.
type Ledger interface {
	Record(ctx context.Context, r consent.Receipt, e audit.Event) (consent.Receipt, error)
	Standing(ctx context.Context, p identity.PersonID, c protocol.ClientID) (*consent.Standing, error)
}

// Recorder appends to the audit log; entries are durable when it returns nil.
// Implemented by audit.Log.
type Recorder interface {
	Append(ctx context.Context, e ...audit.Event) (audit.Receipt, error)
}

// Site shows pages and turns errors into answers. Page refuses a POST from
// another site. Implemented by web.Site.
type Site interface {
	Page(name string, h web.Handler) http.Handler
	// FormFromAnySite takes a POST from another site, of limit bytes at most.
	FormFromAnySite(name string, limit int64, h web.Handler) http.Handler
	Choose(w http.ResponseWriter, r *http.Request, p web.ChoosePage) error
	Leave(w http.ResponseWriter, r *http.Request, p web.LeavePage) error
	Flaws(w http.ResponseWriter, r *http.Request, p web.FlawsPage) error
	Consent(w http.ResponseWriter, r *http.Request, p web.ConsentPage) error
	Wait(w http.ResponseWriter, r *http.Request, p web.WaitPage) error
	Lang(r *http.Request, uiLocales []string) string
}

// Config is what New needs. Fields without a default are required. The four
// functions return the current set, so that a reload of the configuration holds
// from the next request on.
type Config struct {
	Flows     FlowStore
	Sessions  SessionStore
	Sealer    Sealer
	Policies  func() *policies.Table
	Clients   func() *clients.Set
	Directory func() *federation.Directory
	Health    func(protocol.ProviderID) federation.State
	Civil     func() Civil
	// Barred reports whether what a person (hex PersonID) began at a time counts no more:
	// she is out of service now, or was since. It is asked often, and answers from memory.
	Barred func(person string, began time.Time) bool
	// Caution is the level that a request needs because a trusted proxy warns of it, ""
	// for all others. It believes no header that came from anywhere else.
	Caution     func(h http.Header) protocol.ACR
	People      People
	Preferences Preferences
	Deriver     identity.Deriver // for pairwise subjects
	Consent     Ledger
	Audit       Recorder
	Issuer      Issuer
	Site        Site
	Note        func(r *http.Request, attrs ...slog.Attr) // adds to the request's event line; web.Note
	Now         func() time.Time
	Meter       Meter

	FlowTTL       time.Duration // how long a visit may take; default 30 min
	ReplyTTL      time.Duration // how long a double click gets the same answer; default 30 s
	SessionLow    time.Duration // sign-on session at eidas1, from its last use; default 30 min
	SessionLowMax time.Duration // the same, from the sign-in; default 12 h
	SessionMedium time.Duration // sign-on session at eidas2, from the sign-in; default 10 min; eidas3 never has one
}

// Service runs visits. Safe for concurrent use; all state is in the stores.
type Service struct{ Config }

// New refuses a missing collaborator.
func New(c Config) (*Service, error) {
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Flows", c.Flows == nil}, {"Sessions", c.Sessions == nil}, {"Sealer", c.Sealer == nil},
		{"Policies", c.Policies == nil}, {"Clients", c.Clients == nil}, {"Directory", c.Directory == nil}, {"Health", c.Health == nil}, {"Civil", c.Civil == nil},
		{"Barred", c.Barred == nil}, {"Caution", c.Caution == nil}, {"Preferences", c.Preferences == nil},
		{"People", c.People == nil}, {"Deriver", c.Deriver == nil}, {"Consent", c.Consent == nil},
		{"Audit", c.Audit == nil}, {"Issuer", c.Issuer == nil}, {"Site", c.Site == nil},
		{"Note", c.Note == nil}, {"Now", c.Now == nil}, {"Meter", c.Meter == nil},
	} {
		if need.missing {
			return nil, fmt.Errorf("login: config: %s is missing", need.name)
		}
	}
	for _, d := range []struct {
		ttl      *time.Duration
		standard time.Duration
	}{
		{&c.FlowTTL, 30 * time.Minute}, {&c.ReplyTTL, 30 * time.Second},
		{&c.SessionLow, 30 * time.Minute}, {&c.SessionLowMax, 12 * time.Hour}, {&c.SessionMedium, 10 * time.Minute},
	} {
		if *d.ttl < 0 {
			return nil, fmt.Errorf("login: config: a duration is negative")
		}
		if *d.ttl == 0 {
			*d.ttl = d.standard
		}
	}
	return &Service{c}, nil
}

// Routes adds the browser endpoints to mux. GET on a path that is only posted to
// leads back into the visit: that is where a reload or the language switch of an
// error page ends up.
func (s *Service) Routes(mux *http.ServeMux) {
	mux.Handle("GET /login/{flow}", s.page("login", s.byPath, s.show))
	mux.Handle("POST /login/{flow}", s.page("login.change", s.byPath, s.change))
	mux.Handle("GET /login/{flow}/provider", s.page("login", s.byPath, s.show))
	mux.Handle("POST /login/{flow}/provider", s.page("login.provider", s.byPath, s.pick))
	mux.Handle("GET /login/{flow}/forget", s.page("login", s.byPath, s.show))
	mux.Handle("POST /login/{flow}/forget", s.page("login.forget", s.byPath, s.forget))
	mux.Handle("GET /login/{flow}/consent", s.page("login.consent", s.byPath, s.show))
	mux.Handle("POST /login/{flow}/consent", s.page("login.answer", s.byPath, s.answer))
	mux.Handle("GET /login/{flow}/cancel", s.page("login", s.byPath, s.show))
	mux.Handle("POST /login/{flow}/cancel", s.page("login.cancel", s.byPath, s.cancel))
	mux.Handle("GET /callback/{provider}", s.page("login.callback", s.byState, s.callback))
	mux.Handle("POST /saml/{provider}/acs", s.posted("login.acs", "RelayState", "SAMLResponse"))
}
