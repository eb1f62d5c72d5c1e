package sandbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// How long a provider remembers what, and how much of it.
const (
	codeTTL    = 60 * time.Second // RFC 6749 section 4.1.2 recommends at most ten minutes
	tokenTTL   = 5 * time.Minute  // access and ID tokens
	sessionTTL = time.Hour
	maxState   = 20_000 // codes, tokens, sessions, each
)

// Signer signs as one key set: a compact JWS with kid and typ in its header, and
// the public keys with their entity tag. keys.Ring is one.
type Signer interface {
	Sign(ctx context.Context, alg, typ string, payload []byte) (compact string, err error)
	JWKS() (body []byte, etag string)
}

// ProviderClient is a relying party of a sandbox provider; usually the broker.
type ProviderClient struct {
	ID           string
	SecretSHA256 [32]byte // SHA-256 of the secret
	RedirectURIs []string // compared byte for byte

	PostLogoutURIs []string // likewise; none: nobody is sent here to log out
}

// ProviderConfig is what a sandbox identity provider needs.
type ProviderConfig struct {
	ID         protocol.ProviderID // names its session cookie: unique per host, as cookies are shared by all ports
	Name       protocol.Text       // on its pages
	Issuer     string              // an origin without path; http is fine
	ACR        protocol.ACR        // the level of every sign-in: eidas1 or eidas2
	Identities []Identity          // see Identities
	Clients    []ProviderClient
	Signer     Signer // signs ES256
	Now        func() time.Time
	// Wait holds an answer back for the failure switch "slow". Nil: a real timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Log receives what goes wrong inside. Nil: nothing is logged.
	Log *slog.Logger
}

// provider is one running identity provider. All of it is immutable but the
// shelves, which lock themselves.
type provider struct {
	ProviderConfig
	clients   map[string]*ProviderClient
	people    map[string]*Identity
	discovery []byte
	pages     *template.Template
	codes     *shelf[*grant]
	tokens    *shelf[*grant]
	sessions  *shelf[session]
}

// session is a sign-in that the browser's cookie remembers.
type session struct {
	identity *Identity
	authTime time.Time
}

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// NewProvider makes a complete OpenID provider of invented people: discovery,
// JWKS, authorization code flow with PKCE, token, userinfo, and a sign-in page
// that asks for no password. It keeps its state in memory, bounded.
//
// A load generator need not fetch the sign-in page: POST /sign-in with the
// query of the authorization request in "request" and a test identity in
// "identity" is all that the page itself does.
func NewProvider(cfg ProviderConfig) (http.Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("sandbox provider %s: %w", cfg.ID, err)
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t, err := parsePages("provider.html")
	if err != nil {
		return nil, fmt.Errorf("sandbox provider %s: %w", cfg.ID, err)
	}
	p := &provider{
		ProviderConfig: cfg,
		clients:        make(map[string]*ProviderClient),
		people:         make(map[string]*Identity),
		pages:          t,
		codes:          newShelf[*grant](codeTTL, maxState),
		tokens:         newShelf[*grant](tokenTTL, maxState),
		sessions:       newShelf[session](sessionTTL, maxState),
	}
	for i := range cfg.Clients {
		p.clients[cfg.Clients[i].ID] = &cfg.Clients[i]
	}
	for i := range cfg.Identities {
		p.people[cfg.Identities[i].ID] = &cfg.Identities[i]
	}
	if p.discovery, err = p.metadata(); err != nil {
		return nil, fmt.Errorf("sandbox provider %s: %w", cfg.ID, err)
	}
	return p.routes(), nil
}

func (cfg ProviderConfig) check() error {
	if err := checkOrigin(cfg.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	switch {
	case !slug.MatchString(string(cfg.ID)):
		return errors.New("id must be lower-case letters, digits and hyphens")
	case cfg.Name.In("en") == "":
		return errors.New("name is missing")
	case !cfg.ACR.Known():
		return errors.New("acr must be eidas1, eidas2 or eidas3")
	case cfg.Signer == nil:
		return errors.New("signer is missing")
	case cfg.Now == nil:
		return errors.New("clock is missing")
	case len(cfg.Identities) == 0:
		return errors.New("identities are missing")
	case len(cfg.Clients) == 0:
		return errors.New("clients are missing")
	}
	for _, id := range cfg.Identities {
		if !slug.MatchString(id.ID) {
			return fmt.Errorf("identity id %q must be lower-case letters, digits and hyphens", id.ID)
		}
	}
	for _, c := range cfg.Clients {
		if c.ID == "" || len(c.RedirectURIs) == 0 {
			return fmt.Errorf("client %q needs an id and a redirect URI", c.ID)
		}
	}
	return nil
}

// wait returns after d, or with an error when ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.home)
	mux.HandleFunc("GET /style.css", stylesheet)
	mux.HandleFunc("GET /.well-known/openid-configuration", p.serveDiscovery)
	mux.HandleFunc("GET /jwks", p.serveJWKS)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /authorize", p.authorize) // OpenID Connect Core 3.1.2.1: both
	mux.HandleFunc("GET /end-session", p.endSession)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	mux.HandleFunc("POST /userinfo", p.userinfo)
	// The forms of our own pages; another site may not press their buttons.
	same := http.NewCrossOriginProtection()
	mux.Handle("POST /sign-in", same.Handler(http.HandlerFunc(p.signIn)))
	mux.Handle("POST /sign-out", same.Handler(http.HandlerFunc(p.signOut)))
	return mux
}

// metadata is the discovery document (OpenID Connect Discovery 1.0 section 3).
func (p *provider) metadata() ([]byte, error) {
	var scopes []protocol.Scope
	for _, s := range protocol.Scopes() {
		if s == protocol.OpenID || p.gives(s) {
			scopes = append(scopes, s)
		}
	}
	scopes = append(scopes, address)
	document := map[string]any{
		"issuer":                                p.Issuer,
		"authorization_endpoint":                p.Issuer + "/authorize",
		"token_endpoint":                        p.Issuer + "/token",
		"userinfo_endpoint":                     p.Issuer + "/userinfo",
		"jwks_uri":                              p.Issuer + "/jwks",
		"scopes_supported":                      scopes,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code"},
		"acr_values_supported":                  []protocol.ACR{p.ACR},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{signingAlg},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":      []string{"S256"},
		"prompt_values_supported":               []string{"none", "login", "consent", "select_account"},
		"ui_locales_supported":                  []string{"en", "fr"},
		"claim_types_supported":                 []string{"normal"},
		"claims_supported": append([]string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "email_verified"},
			claimNames()...),
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false, // the default is true (Discovery section 3)
		"authorization_response_iss_parameter_supported": true,  // RFC 9207
	}
	for _, c := range p.Clients {
		if len(c.PostLogoutURIs) > 0 {
			document["end_session_endpoint"] = p.Issuer + "/end-session"
		}
	}
	return json.Marshal(document)
}

func (p *provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=60")
	_, _ = w.Write(p.discovery) // the other side hung up
}

func (p *provider) serveJWKS(w http.ResponseWriter, r *http.Request) {
	body, etag := p.Signer.JWKS()
	if !strings.HasPrefix(etag, `"`) {
		etag = `"` + etag + `"`
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "max-age=60")
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(body) // the other side hung up
}

// authenticates reports whether secret is the client's, in constant time.
func (c *ProviderClient) authenticates(secret string) bool {
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(got[:], c.SecretSHA256[:]) == 1
}

func (c *ProviderClient) hasRedirectURI(uri string) bool {
	for _, r := range c.RedirectURIs {
		if r == uri {
			return true
		}
	}
	return false
}

// sessionCookie must differ from every other cookie on this host: ports do not
// separate cookies (RFC 6265 section 8.5).
func (p *provider) sessionCookie() string { return "voussoir-sandbox-" + string(p.ID) }

func (p *provider) session(r *http.Request) (session, bool) {
	c, err := r.Cookie(p.sessionCookie())
	if err != nil {
		return session{}, false
	}
	return p.sessions.get(c.Value, p.Now())
}

func (p *provider) setSession(w http.ResponseWriter, value string, age time.Duration) {
	seconds := int(age / time.Second)
	if seconds == 0 {
		seconds = -1 // delete
	}
	http.SetCookie(w, &http.Cookie{
		Name: p.sessionCookie(), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		// Not every browser takes a Secure cookie from http://localhost.
		Secure: strings.HasPrefix(p.Issuer, "https:"),
	})
}
