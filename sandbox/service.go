package sandbox

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/voussoir-id/voussoir/protocol"
)

// How long the sample service remembers what.
const (
	attemptTTL = time.Hour        // a sign-in under way
	outcomeTTL = 15 * time.Minute // what it received
	postedTTL  = time.Minute      // an answer that came as a POST
)

// Account is one service that the sample service plays: a client of the broker.
type Account struct {
	ClientID      string // [a-z0-9-]: also in element ids and paths
	Secret        string
	Title         protocol.Text // "City library"
	About         protocol.Text // one sentence on the start page: what it asks for and why
	Scopes        []string
	ACRValues     string                // sent with every request; "" leaves it out
	IdPHints      []protocol.ProviderID // links that name a provider
	SecretInBody  bool                  // client_secret_post instead of client_secret_basic
	RequestParams map[string]string     // further parameters of every request, e.g. claims
}

// SampleAccounts are the services of the demo world, without their secrets: one
// that asks for consent, one with a public task, one that needs eidas2.
func SampleAccounts() []Account {
	return []Account{
		{
			ClientID: "city-library", Title: note("City library", "Médiathèque"), IdPHints: []protocol.ProviderID{Tax, Post},
			About: note("Opens a reader account. Asks for your consent to pass on your given names, whether you are 16 or older, and your e-mail address if you like.",
				"Ouvre un compte de lecteur. Demande votre accord pour recevoir vos prénoms, si vous avez 16 ans ou plus et, si vous voulez, votre adresse électronique."),
			Scopes: []string{"openid", "given_name", "age_over_16", "email"},
		},
		{
			ClientID: "school-canteen", Title: note("School canteen", "Cantine scolaire"), IdPHints: []protocol.ProviderID{Tax, Post},
			About: note("Registers a child for lunch. Carries out a public task, so you are told what is passed on instead of being asked.",
				"Inscrit un enfant à la cantine. Remplit une mission de service public : vous êtes informé de ce qui est transmis, sans qu’on vous demande votre accord."),
			Scopes: []string{"openid", "profile", "email"},
		},
		{
			ClientID: "civil-records", Title: note("Civil records", "État civil"), ACRValues: string(protocol.EIDAS2), IdPHints: []protocol.ProviderID{Post},
			About: note("Orders a birth certificate. Needs your full civil identity at the substantial level (eidas2): only one provider reaches it.",
				"Commande un acte de naissance. A besoin de votre identité civile complète au niveau substantiel (eidas2) : un seul fournisseur l’atteint."),
			Scopes: []string{"openid", "identite_pivot"},
		},
	}
}

// ServiceConfig is what the sample service needs.
type ServiceConfig struct {
	Issuer   string // of the broker; fetched at the first sign-in, so that both may start together
	BaseURL  string // of the sample service, an origin; the redirect URI of every account is BaseURL + "/callback"
	Accounts []Account
	Client   *http.Client // for calls to the broker. Nil: one that gives up after ten seconds
	Now      func() time.Time
	Log      *slog.Logger // nil: nothing is logged
}

// service is immutable but for the shelves, which lock themselves, and the
// broker's metadata.
type service struct {
	ServiceConfig
	accounts map[string]*Account
	pages    *template.Template
	attempts *shelf[attempt]
	posted   *shelf[url.Values]
	outcomes *shelf[outcome]
	answered *shelf[string] // where the outcome of a state is shown

	mu     sync.Mutex // guards broker
	broker *oidc.Provider
}

// attempt is a sign-in under way. Its handle is the state of the request.
type attempt struct {
	account  *Account
	nonce    string
	verifier string
	browser  [32]byte // digest of the cookie of the browser that started it
}

// NewService makes the sample service: a start page for each account, a sign-in
// on go-oidc and golang.org/x/oauth2 with PKCE, state, nonce and iss, and a page
// that shows everything that was received.
func NewService(cfg ServiceConfig) (http.Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("sample service: %w", err)
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t, err := parsePages("service.html")
	if err != nil {
		return nil, fmt.Errorf("sample service: %w", err)
	}
	s := &service{
		ServiceConfig: cfg,
		accounts:      make(map[string]*Account),
		pages:         t,
		attempts:      newShelf[attempt](attemptTTL, maxState),
		posted:        newShelf[url.Values](postedTTL, maxState),
		outcomes:      newShelf[outcome](outcomeTTL, maxState),
		answered:      newShelf[string](outcomeTTL, maxState),
	}
	for i := range cfg.Accounts {
		s.accounts[cfg.Accounts[i].ClientID] = &cfg.Accounts[i]
	}
	return s.routes(), nil
}

func (cfg ServiceConfig) check() error {
	if err := checkOrigin(cfg.BaseURL); err != nil {
		return fmt.Errorf("base address: %w", err)
	}
	switch {
	case cfg.Issuer == "":
		return errors.New("issuer is missing")
	case len(cfg.Accounts) == 0:
		return errors.New("accounts are missing")
	case cfg.Now == nil:
		return errors.New("clock is missing")
	}
	seen := map[string]bool{}
	for _, a := range cfg.Accounts {
		if !slug.MatchString(a.ClientID) || seen[a.ClientID] || len(a.Title) == 0 || len(a.Scopes) == 0 {
			return fmt.Errorf("account %q needs an id of its own, a title and scopes", a.ClientID)
		}
		seen[a.ClientID] = true
	}
	return nil
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.start)
	mux.HandleFunc("GET /at/{client}", s.startAt)
	mux.HandleFunc("GET /style.css", stylesheet)
	mux.HandleFunc("GET /sign-in", s.signIn)
	mux.HandleFunc("GET /callback", s.callback)
	mux.HandleFunc("POST /callback", s.postedCallback)
	mux.HandleFunc("GET /outcome/{id}", s.showOutcome)
	return mux
}

// redirectURI is one for all accounts: they have one broker, and state says
// whose answer it is.
func (s *service) redirectURI() string { return s.BaseURL + "/callback" }

// metadata fetches what the broker publishes, until it succeeds once.
func (s *service) metadata(ctx context.Context) (*oidc.Provider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broker != nil {
		return s.broker, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, s.Client), s.Issuer)
	if err != nil {
		return nil, err
	}
	s.broker = p
	return p, nil
}

func (s *service) oauth(p *oidc.Provider, a *Account) oauth2.Config {
	c := oauth2.Config{ClientID: a.ClientID, ClientSecret: a.Secret, RedirectURL: s.redirectURI(), Endpoint: p.Endpoint(), Scopes: a.Scopes}
	c.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if a.SecretInBody {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return c
}

// passedOn are the parameters that a link of ours may add to a request. What
// they say is up to the person: this is a place to try things out.
var passedOn = []string{"prompt", "max_age", "acr_values", "ui_locales", "login_hint", "idp_hint", "response_mode", "claims"}

// signIn answers GET /sign-in?client=ID: it sends the browser to the broker.
func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	values, err := query(r)
	a, ok := s.accounts[values.Get("client")]
	if err != nil || !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	p, err := s.metadata(r.Context())
	if err != nil {
		s.showError(w, r, http.StatusBadGateway, failed(a, brokerUnavailable, err.Error()))
		return
	}
	at := attempt{account: a, nonce: newHandle(), verifier: oauth2.GenerateVerifier(), browser: digest(s.browser(w, r))}
	opts := []oauth2.AuthCodeOption{oidc.Nonce(at.nonce), oauth2.S256ChallengeOption(at.verifier)}
	if a.ACRValues != "" {
		opts = append(opts, oauth2.SetAuthURLParam("acr_values", a.ACRValues))
	}
	for k, v := range a.RequestParams {
		opts = append(opts, oauth2.SetAuthURLParam(k, v))
	}
	for _, k := range passedOn {
		if v := values.Get(k); v != "" {
			opts = append(opts, oauth2.SetAuthURLParam(k, v))
		}
	}
	c := s.oauth(p, a)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, c.AuthCodeURL(s.attempts.put(at, s.Now()), opts...), http.StatusSeeOther)
}

// serviceCookie differs from every other cookie on this host: ports do not
// separate cookies (RFC 6265 section 8.5).
const serviceCookie = "voussoir-sample-service"

// browser returns the handle of this browser, and gives it one if it has none.
//
// The cookie is SameSite=Lax. An answer that comes as a POST from another site
// (response_mode=form_post) arrives without it; SameSite=None would help only
// browsers that take Secure cookies from http://localhost. So we take the POST
// without looking at the cookie, and look at it in the GET that we redirect to.
func (s *service) browser(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(serviceCookie); err == nil && len(c.Value) == 43 {
		return c.Value
	}
	handle := newHandle()
	http.SetCookie(w, &http.Cookie{
		Name: serviceCookie, Value: handle, Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.BaseURL, "https:"),
	})
	return handle
}

// isBrowser reports whether r comes from the browser with this digest.
func isBrowser(r *http.Request, want [32]byte) bool {
	c, err := r.Cookie(serviceCookie)
	return err == nil && digest(c.Value) == want
}
