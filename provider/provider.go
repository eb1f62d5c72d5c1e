// Package provider is our OpenID Provider side: authorize, token, userinfo,
// discovery and JWKS, on zitadel/oidc as an HTTP adapter (oplib.go is the only
// file that imports its op package) behind our own hardening. It signs only
// identity.Released. It never decides what is released, never shows a choice and
// never sees an unminimised identity.
//
// Read in the order of a login: harden.go, cors.go, par.go, requestobject.go, authorize.go,
// authorize_params.go, codes.go (login calls it), answer.go, jarm.go, token.go,
// certificate.go, confirmation.go, dpop.go, families.go, refresh.go, accesstoken.go,
// idtoken.go, userinfo.go, revoke.go, introspect.go, encrypt.go; then logout.go,
// logout_request.go and backchannel.go; and, for services that register by API,
// register.go.
package provider

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// The paths that New serves; they are part of the public contract.
const (
	PathAuthorize     = "/authorize"
	PathPAR           = "/par" // RFC 9126
	PathToken         = "/token"
	PathUserInfo      = "/userinfo"
	PathLogout        = "/logout" // OpenID Connect RP-Initiated Logout
	PathJWKS          = "/jwks"
	PathDiscovery     = "/.well-known/openid-configuration"       // OpenID Connect Discovery section 4
	PathOAuthMetadata = "/.well-known/oauth-authorization-server" // RFC 8414 section 3
)

// Paths lists what New serves, for the one who mounts it.
func Paths() []string {
	return []string{
		PathAuthorize, PathPAR, PathToken, PathUserInfo, PathJWKS, PathDiscovery, PathOAuthMetadata, PathRevoke, PathIntrospect,
		PathRegister,
		PathLogout, pathLogoutAnswer, pathLogoutReturn,
	}
}

// Keys signs and publishes. Implemented by keys.Ring.
type Keys interface {
	// Sign returns a compact JWS with alg, kid and typ in its header.
	Sign(ctx context.Context, alg, typ string, payload []byte) (compact string, err error)
	// CanSign is nil unless it is known that Sign with alg would fail now.
	CanSign(ctx context.Context, alg string) error
	// JWKS returns the public keys and a tag that changes whenever they do. The
	// caller does not change body.
	JWKS() (body []byte, etag string)
}

// KeySet is the public keys of one client. Implemented by keys.Remote and
// keys.Static.
type KeySet interface {
	// Verify returns the payload of compact if one of the keys signed it with
	// exactly alg. An error that is keys.ErrUnavailable says that nobody can tell.
	Verify(ctx context.Context, compact, alg string) (payload []byte, err error)
	// Recipient returns the key that is published for encryption with alg. On an
	// error nothing can be sent to this client.
	Recipient(ctx context.Context, alg string) (keys.Recipient, error)
	// Holds reports whether key is one of those that may sign. An error says that
	// nobody can tell.
	Holds(ctx context.Context, key crypto.PublicKey) (bool, error)
}

// Recorder appends to the audit log; the entry is durable when it returns nil.
// Implemented by audit.Log.
type Recorder interface {
	Append(ctx context.Context, e ...audit.Event) (audit.Receipt, error)
	// Prepare makes an entry for a store that writes it in a transaction of its own.
	Prepare(e audit.Event) (audit.Entry, error)
}

// Site turns what handlers return into answers. Implemented by web.Site.
type Site interface {
	PageFromAnySite(name string, h web.Handler) http.Handler
	API(name string, h web.Handler) http.Handler
	FormPost(w http.ResponseWriter, r *http.Request, p web.FormPostPage) error
	Page(name string, h web.Handler) http.Handler
	Lang(r *http.Request, uiLocales []string) string
	Logout(w http.ResponseWriter, r *http.Request, p web.LogoutPage) error
	LoggedOut(w http.ResponseWriter, r *http.Request, p web.LoggedOutPage) error
}

// StartFunc begins a visit and says where the browser goes and with which
// cookies; h is the header of the authorization request. It is login's
// Service.Start.
type StartFunc func(ctx context.Context, req protocol.AuthRequest, h http.Header) (location string, cookies []*http.Cookie, err error)

// Config is what New needs. Fields without a default are required.
type Config struct {
	Issuer     string                                 // https://host[:port], without path or slash at the end
	Clients    func() *clients.Set                    // the current set; called once per request
	Start      StartFunc                              //
	Sessions   Sessions                               //
	Codes      *Codes                                 //
	Once       OnceStore                              //
	Keys       Keys                                   //
	ClientKeys func(*clients.Client) (KeySet, error)  // for private_key_jwt and encryption; the caller keeps the sets
	Deriver    identity.Deriver                       // for the subjects of data providers
	Audit      Recorder                               //
	Site       Site                                   //
	Note       func(r *http.Request, as ...slog.Attr) // adds to the request's event line; web.Note
	Log        *slog.Logger                           //
	ACRs       func() []protocol.ACR                  // levels that some identity provider reaches now, weakest first
	IDTokenTTL time.Duration                          // default 60 s, at most 1 h
	Registrar  Registrar                              // nil: no service registers by API
	Now        func() time.Time                       //

	// Barred reports whether what a person (hex PersonID) began at a time counts no more:
	// an operator has taken her out of service, or had since. It answers from memory.
	Barred       func(person string, began time.Time) bool
	DetailTypes  []DetailType  // of authorization details; default none
	Certificates *Certificates // of clients; nil: none can reach us
}

// Provider serves the protocol. Safe for concurrent use.
type Provider struct {
	Config
	routes  map[string]http.Handler
	library *library

	registrations http.Handler // of PathRegister/ID

	metadata atomic.Pointer[metadata] // rebuilt when the keys change
	hints    atomic.Pointer[hintKeys] // likewise
}

// New makes the provider. It refuses a missing collaborator and an issuer that
// is not an origin.
func New(cfg Config) (*Provider, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	if cfg.IDTokenTTL == 0 {
		cfg.IDTokenTTL = time.Minute
	}
	p := &Provider{Config: cfg}
	p.library = newLibrary(p)
	p.routes = map[string]http.Handler{
		// Services post the request from their own site (OpenID Connect Core section 3.1.2.1).
		PathAuthorize:  cfg.Site.PageFromAnySite("authorize", rule{methods: []string{"GET", "POST"}, page: true, query: true}.guard(p.authorize)),
		PathPAR:        cfg.Site.API("par", p.crossOrigin("POST", rule{methods: []string{"POST"}}.guard(p.byNamed(p.par)))),
		PathToken:      cfg.Site.API("token", p.crossOrigin("POST", rule{methods: []string{"POST"}}.guard(p.byNamed(p.token)))),
		PathUserInfo:   cfg.Site.API("userinfo", p.crossOrigin("GET, POST", rule{methods: []string{"GET", "POST"}}.guard(p.userInfo))),
		PathRevoke:     cfg.Site.API("revoke", p.crossOrigin("POST", rule{methods: []string{"POST"}}.guard(p.byNamed(p.revoke)))),
		PathIntrospect: cfg.Site.API("introspect", rule{methods: []string{"POST"}}.guard(p.introspect)),
		// A service may post its request; no cookie counts there.
		PathLogout:        cfg.Site.PageFromAnySite("logout", rule{methods: []string{"GET", "POST"}, page: true, query: true}.guard(p.logout)),
		pathLogoutAnswer:  cfg.Site.Page("logout.answer", rule{methods: []string{"POST"}, page: true}.guard(p.logoutAnswer)),
		pathLogoutReturn:  cfg.Site.Page("logout.return", rule{methods: []string{"GET"}, page: true, query: true}.guard(p.logoutReturn)),
		PathJWKS:          cfg.Site.API("jwks", rule{methods: []string{"GET", "HEAD"}, query: true, public: true}.guard(p.serveJWKS)),
		PathDiscovery:     cfg.Site.API("discovery", rule{methods: []string{"GET", "HEAD"}, query: true, public: true}.guard(p.serveMetadata)),
		PathOAuthMetadata: cfg.Site.API("metadata", rule{methods: []string{"GET", "HEAD"}, query: true, public: true}.guard(p.serveMetadata)),
		PathRegister:      cfg.Site.API("register", rule{methods: []string{"POST"}, json: true}.guard(p.register)),
	}
	p.registrations = cfg.Site.API("registration", rule{methods: []string{"GET", "PUT", "DELETE"}, json: true}.guard(p.manage))
	return p, nil
}

// ServeHTTP answers on Paths and 404 elsewhere. It matches the path as it came:
// a router that cleans paths would answer POST //token with a redirect.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := p.route(r.URL.Path); h != nil {
		h.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

func (cfg Config) check() error {
	missing := map[string]bool{
		"Clients": cfg.Clients == nil, "Start": cfg.Start == nil, "Sessions": cfg.Sessions == nil, "Codes": cfg.Codes == nil,
		"Once": cfg.Once == nil, "Keys": cfg.Keys == nil, "ClientKeys": cfg.ClientKeys == nil,
		"Deriver": cfg.Deriver == nil, "Audit": cfg.Audit == nil, "Site": cfg.Site == nil, "Note": cfg.Note == nil,
		"Log": cfg.Log == nil, "ACRs": cfg.ACRs == nil, "Barred": cfg.Barred == nil, "Now": cfg.Now == nil,
	}
	for name, is := range missing {
		if is {
			return fmt.Errorf("config: %s is missing", name)
		}
	}
	if cfg.IDTokenTTL < 0 || cfg.IDTokenTTL > time.Hour {
		return errors.New("config: IDTokenTTL is not between 0 and 1 h")
	}
	if err := checkDetailTypes(cfg.DetailTypes); err != nil {
		return err
	}
	if cfg.Codes.cfg.Issuer != cfg.Issuer {
		return errors.New("config: Codes belong to another issuer")
	}
	return errors.Join(checkIssuer(cfg.Issuer), cfg.Certificates.check())
}

// checkIssuer wants an origin: every path that we publish hangs directly on it,
// and clients compare the issuer byte for byte (RFC 9207 section 2.4).
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != issuer || (u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("config: Issuer is not of the form https://host[:port]")
	}
	return nil
}

// unavailable is the answer when a store, a key or the audit log cannot tell:
// never a "no" (RFC 6749 section 4.1.2.1; 503 on JSON routes).
func unavailable(err error) *protocol.Error {
	return protocol.Fail(protocol.TemporarilyUnavailable, err, "try again in a few seconds")
}
