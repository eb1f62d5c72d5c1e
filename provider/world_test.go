package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

const (
	issuer     = "https://broker.example"
	redirect   = "https://rp.example/callback"
	secret     = "a secret of/more+than 32 bytes: naïve"
	verifier   = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	s256       = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	day        = 24 * time.Hour
	canary     = "Élodie-Canary"
	testPerson = "000102030405060708090a0b0c0d0e0f"
)

// libraryLogs is what the library writes to the default logger, which is not ours.
var libraryLogs = &lockedBuffer{}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(libraryLogs, nil)))
	os.Exit(m.Run())
}

// world is a provider with in-memory collaborators, behind real HTTP.
type world struct {
	barred   map[string]time.Time // until when what each person began counts no more
	t        testing.TB
	p        *Provider
	codes    *Codes
	srv      *httptest.Server
	store    *memory
	families *memoryFamilies
	keys     *testKeys
	audit    *memoryAudit
	live     *liveSessions
	queue    *memoryQueue
	logs     *lockedBuffer

	mu       sync.Mutex
	now      time.Time
	started  []protocol.AuthRequest
	startErr error
	set      *clients.Set
	acrs     []protocol.ACR
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		store: &memory{grants: map[Digest]StoredGrant{}, once: map[string]bool{}, revoked: map[login.GrantID]bool{}},
		keys:  sharedKeys(), audit: &memoryAudit{}, live: &liveSessions{}, queue: &memoryQueue{}, logs: &lockedBuffer{}, set: clients.NewSet(testClients()...),
		acrs: []protocol.ACR{protocol.EIDAS1, protocol.EIDAS2},
	}
	w.families = &memoryFamilies{families: map[Digest]StoredFamily{}, ended: map[login.GrantID]bool{}, ends: map[protocol.ClientID]time.Time{}, audit: w.audit}
	clock := func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
	current := func() *clients.Set { w.mu.Lock(); defer w.mu.Unlock(); return w.set }
	log := slog.New(slog.NewTextHandler(w.logs, nil))
	site, err := web.New(web.Config{Issuer: issuer, Log: log, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	w.codes, err = NewCodes(CodesConfig{Issuer: issuer, Clients: current, Grants: w.store, Once: w.store, Refresh: w.families, Sealer: w.keys, Keys: w.keys, Site: site, Notices: w.queue, Audit: w.audit, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	w.p, err = New(Config{
		Issuer: issuer, Clients: current, Start: w.start, Sessions: w.live, Codes: w.codes, Once: w.store, Keys: w.keys,
		ClientKeys: func(c *clients.Client) (KeySet, error) { return keys.NewStatic(c.JWKS) },
		Deriver:    w.keys, Audit: w.audit, Site: site, Note: web.Note, Now: clock,
		Barred: func(person string, began time.Time) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return began.Before(w.barred[person])
		},
		Log: log, ACRs: func() []protocol.ACR { w.mu.Lock(); defer w.mu.Unlock(); return w.acrs },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// serve puts the provider behind a real server.
func (w *world) serve() *world {
	w.srv = httptest.NewServer(w.p)
	w.t.Cleanup(w.srv.Close)
	return w
}

func (w *world) start(_ context.Context, req protocol.AuthRequest, _ http.Header) (string, []*http.Cookie, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.startErr != nil {
		return "", nil, w.startErr
	}
	w.started = append(w.started, req)
	return "/login/flow", []*http.Cookie{{Name: "__Host-voussoir-flow-flow", Value: "handle", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}}, nil
}

func (w *world) advance(d time.Duration) { w.mu.Lock(); w.now = w.now.Add(d); w.mu.Unlock() }

// testClients: library is strict and proves itself by Basic; the others differ by what their name says.
func testClients() []*clients.Client {
	base := clients.Client{
		RedirectURIs: []string{redirect, "https://rp.example/second?tenant=1"}, AuthMethod: clients.SecretBasic,
		SecretSHA256: [][32]byte{sha256.Sum256([]byte("an older secret")), sha256.Sum256([]byte(secret))},
		RequirePKCE:  true, RequireNonce: true, RequireState: true, Sector: "rp.example",
		IdPHints: []protocol.ProviderID{"tax"}, Name: protocol.Text{"en": "Library"},
	}
	with := func(id protocol.ClientID, change func(*clients.Client)) *clients.Client {
		c := base
		c.ID = id
		change(&c)
		return &c
	}
	return []*clients.Client{
		with("library", func(*clients.Client) {}),
		with("other", func(*clients.Client) {}),
		with("signed", func(c *clients.Client) { c.UserInfoSigningAlg = "ES256" }),
		with("signed-eddsa", func(c *clients.Client) { c.UserInfoSigningAlg = "EdDSA" }),
		with("tax-api", func(c *clients.Client) { // a data provider
			c.AuthMethod, c.RedirectURIs, c.Sector = clients.SecretPost, nil, "tax.example"
			c.DataProvider = &clients.DataProvider{Scopes: []protocol.Scope{"email", "birth"}, Claims: []protocol.Claim{"email", "birthdate"}, Resources: []string{"https://api.tax.example/"}}
		}),
		with("post-api", func(c *clients.Client) {
			c.RedirectURIs, c.Sector, c.IntrospectionSigningAlg = nil, "post.example", "EdDSA"
			c.DataProvider = &clients.DataProvider{Scopes: []protocol.Scope{"given_name"}}
		}),
		with("jwt-tokens", func(c *clients.Client) { c.AccessTokenFormat = clients.JWT }),
		with("sealed", func(c *clients.Client) {
			c.JWKS, c.UserInfoSigningAlg = encryptionJWKS(), "ES256"
			c.IDTokenEncryption, c.UserInfoEncryption = clients.Encryption{Alg: "ECDH-ES", Enc: "A256GCM"}, clients.Encryption{Alg: "RSA-OAEP-256", Enc: "A256GCM"}
		}),
		with("sealed-api", func(c *clients.Client) {
			c.JWKS, c.RedirectURIs, c.IntrospectionEncryption = encryptionJWKS(), nil, clients.Encryption{Alg: "ECDH-ES", Enc: "A256GCM"}
			c.DataProvider = &clients.DataProvider{Scopes: []protocol.Scope{"email"}}
		}),
		with("odd id:é", func(*clients.Client) {}),
		with("post", func(c *clients.Client) { c.AuthMethod = clients.SecretPost }),
		with("jwt", func(c *clients.Client) {
			c.AuthMethod, c.SecretSHA256, c.JWKS, c.AuthSigningAlg = clients.PrivateKeyJWT, nil, clientJWKS(), "ES256"
		}),
		with("relaxed", func(c *clients.Client) {
			c.RequirePKCE, c.RequireNonce, c.RequireState = false, false, false
			c.RedirectURIs = []string{redirect}
		}),
		with("keeper", func(c *clients.Client) { c.RefreshIdle, c.RefreshMax = 30*day, 180*day }),
		with("keeper2", func(c *clients.Client) { c.RefreshIdle, c.RefreshMax = 30*day, 180*day }),
		with("constant", func(c *clients.Client) {
			c.RefreshIdle, c.RefreshMax, c.KeepRefreshToken = 30*day, 180*day, true
			c.Resources = []string{"https://api.example/v1", "https://tax.example/"}
		}),
		with("narrow", func(c *clients.Client) { c.Scopes = []protocol.Scope{"openid", "email"} }),
		with("rich", func(c *clients.Client) {
			c.IDTokenSigningAlg, c.ResponseSigningAlg = "EdDSA", "EdDSA"
			c.AccessTokenTTL = 10 * time.Minute
		}),
		with("pusher", func(c *clients.Client) { c.RequirePAR = true }),
		with("caller", func(c *clients.Client) {
			c.Resources = []string{"https://api.example/v1", "https://tax.example/", issuer + PathUserInfo}
			c.RequestObjectSigningAlg, c.JWKS = "ES256", clientJWKS()
		}),
		with("signer", func(c *clients.Client) { c.RequestObjectSigningAlg, c.JWKS = "ES256", clientJWKS() }),
		with("fapi", func(c *clients.Client) {
			c.RequestObjectSigningAlg, c.JWKS = "ES256", clientJWKS()
			c.RequirePAR, c.RequireSignedRequestObject = true, true
		}),
		with("loopback", func(c *clients.Client) { c.RedirectURIs = []string{"http://127.0.0.1:9000/cb"} }),
	}
}

// request is a valid authorization request of library; changes replace
// parameters, and "-" removes one.
func request(changes ...string) url.Values {
	q := url.Values{
		"client_id": {"library"}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid given_name email"},
		"state": {"st~ate"}, "nonce": {"n-0S6_WzA2Mj"}, "code_challenge": {s256}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
		if changes[i+1] == "-" {
			q.Del(changes[i])
		}
	}
	return q
}

// grant is what login hands to IssueCode for library.
func grant(changes ...func(*login.Grant)) login.Grant {
	id := identity.Identity{
		Pivot: identity.Pivot{GivenName: canary, FamilyName: "Dupont", Birthdate: "1980-01-02"}, Civil: true,
		Email: "elodie@example.org", EmailVerified: true, Provider: "tax", AMR: []string{"pwd", "otp"},
		AsOf: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
	}
	g := login.Grant{
		ID: "00112233445566778899aabbccddeeff", Client: "library", RedirectURI: redirect,
		Scopes: []protocol.Scope{"openid", "given_name", "email"}, Nonce: "n-0S6_WzA2Mj", CodeChallenge: s256,
		ACR: protocol.EIDAS2, AuthTime: time.Date(2026, 11, 23, 9, 59, 30, 0, time.UTC),
		Released: id.Release("pairwise-sub", []protocol.Claim{protocol.GivenName, protocol.Email}),
		Person:   testPerson, SealKey: []byte("wrapped"),
	}
	for _, c := range changes {
		c(&g)
	}
	return g
}

func (w *world) code(changes ...func(*login.Grant)) string {
	w.t.Helper()
	code, err := w.codes.IssueCode(context.Background(), grant(changes...))
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// tokenForm is a valid token request for code.
func tokenForm(code string, changes ...string) url.Values {
	f := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	for i := 0; i < len(changes); i += 2 {
		f.Set(changes[i], changes[i+1])
		if changes[i+1] == "-" {
			f.Del(changes[i])
		}
	}
	return f
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("answer %d is no JSON: %q", r.status, r.body)
	}
	return m
}

// location is the query of the Location header, which must begin with want.
func (r reply) location(t testing.TB, want string) url.Values {
	t.Helper()
	rest, ok := strings.CutPrefix(r.header.Get("Location"), want)
	if r.status != http.StatusSeeOther || !ok {
		t.Fatalf("got %d to %q, want 303 to %s; body %q", r.status, r.header.Get("Location"), want, r.body)
	}
	q, err := url.ParseQuery(strings.TrimLeft(rest, "?&"))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// do sends r to the real server, or to the handler when there is none.
func (w *world) do(r *http.Request) reply {
	if w.srv == nil {
		rec := httptest.NewRecorder()
		w.p.ServeHTTP(rec, r)
		return reply{rec.Code, rec.Header(), rec.Body.String()}
	}
	r.RequestURI = ""
	target, err := url.Parse(w.srv.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	r.URL.Scheme, r.URL.Host = target.Scheme, target.Host
	noFollow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := noFollow.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func get(path string, q url.Values) *http.Request {
	return httptest.NewRequest(http.MethodGet, path+"?"+q.Encode(), nil)
}

func post(path string, f url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// redeem sends a token request with client_secret_basic.
func (w *world) redeem(f url.Values, client ...string) reply {
	w.t.Helper()
	r := post(PathToken, f)
	basic(r, cmp.Or(strings.Join(client, ""), "library"), secret)
	return w.do(r)
}

// basic is RFC 6749 section 2.3.1: urlencoded, then joined, then base64.
func basic(r *http.Request, id, secret string) {
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
}

func (w *world) userinfo(token string) reply {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, PathUserInfo, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return w.do(r)
}

// golden compares with a file in testdata; go test -update rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s changed; got:\n%s\nwant:\n%s", name, got, want)
	}
}

func indent(t testing.TB, raw []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("no JSON: %q", raw)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// claimsOf decodes the payload of a compact JWS.
func claimsOf(t testing.TB, compact string) []byte {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("no compact JWS: %d parts", len(parts))
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
