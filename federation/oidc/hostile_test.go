package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// now is when these tests happen, on the provider's clock and on ours.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type members = map[string]any

// hostile is an OpenID provider that does everything right until a test turns
// one of its switches.
type hostile struct {
	*httptest.Server
	key, stranger *ecdsa.PrivateKey

	// The switches; nil: honest.
	discovery func(doc members)
	answer    func(q url.Values)                 // the authorization response
	idToken   func(claims members)               // before it is signed
	sign      func(claims members) string        // instead of signing
	tokens    func(doc members)                  // the token answer
	token     func(w http.ResponseWriter) bool   // instead of the token answer
	userinfo  func(claims members)               // userinfo
	info      func(w http.ResponseWriter) bool   // instead of userinfo
	jwks      func(w http.ResponseWriter) bool   // instead of the key set
	document  func(w http.ResponseWriter) bool   // instead of the discovery document
	person    members                            // what userinfo says of her
	session   func(q url.Values, claims members) // reacts to the request

	mu     sync.Mutex // guards what follows
	calls  map[string]int
	asked  url.Values // the last authentication request
	posted url.Values // the last token request
	header http.Header
}

func newHostile(t testing.TB) *hostile {
	t.Helper()
	h := &hostile{calls: map[string]int{}, person: members{
		"sub": "subject-1", "given_name": "Angela Claire Louise", "family_name": "DUBOIS", "birthdate": "1962-08-24",
		"gender": "female", "birthplace": "75107", "birthcountry": "99100", "preferred_username": "MARTIN",
		"email": "angela@example.test", "email_verified": true,
	}}
	for _, k := range []**ecdsa.PrivateKey{&h.key, &h.stranger} {
		var err error
		if *k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	serve := func(path string, replaced *func(http.ResponseWriter) bool, honest http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			h.mu.Lock()
			h.calls[r.URL.Path]++
			h.mu.Unlock()
			if *replaced == nil || !(*replaced)(w) {
				honest(w, r)
			}
		})
	}
	serve("GET /.well-known/openid-configuration", &h.document, h.serveDiscovery)
	serve("GET /jwks", &h.jwks, h.serveJWKS)
	serve("POST /token", &h.token, h.serveToken)
	serve("GET /userinfo", &h.info, h.serveUserInfo)
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

func (h *hostile) count(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[path]
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_ = json.NewEncoder(w).Encode(v)
}

func (h *hostile) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	doc := members{
		"issuer": h.URL, "authorization_endpoint": h.URL + "/authorize?tenant=1", "token_endpoint": h.URL + "/token",
		"userinfo_endpoint": h.URL + "/userinfo", "jwks_uri": h.URL + "/jwks",
		"authorization_response_iss_parameter_supported": true, "prompt_values_supported": []string{"login", "select_account"},
	}
	if h.discovery != nil {
		h.discovery(doc)
	}
	writeJSON(w, doc)
}

func (h *hostile) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: h.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
}

// visit is the browser at the authorization endpoint.
func (h *hostile) visit(t testing.TB, rawURL string) url.Values {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.asked = u.Query()
	h.mu.Unlock()
	q := url.Values{"code": {"code-1"}, "state": {u.Query().Get("state")}, "iss": {h.URL}}
	if h.answer != nil {
		h.answer(q)
	}
	return q
}

func (h *hostile) serveToken(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	h.mu.Lock()
	h.posted, h.header = r.PostForm, r.Header
	asked := h.asked
	h.mu.Unlock()
	verifier := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(verifier[:]) != asked.Get("code_challenge") || r.PostForm.Get("redirect_uri") != asked.Get("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, members{"error": "invalid_grant"})
		return
	}
	claims := members{
		"iss": h.URL, "sub": h.person["sub"], "aud": asked.Get("client_id"), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"nonce": asked.Get("nonce"), "acr": "urn:x:low", "amr": []string{"pwd"}, "at_hash": half("access-1"),
	}
	if h.session != nil {
		h.session(asked, claims)
	}
	if h.idToken != nil {
		h.idToken(claims)
	}
	sign := h.sign
	if sign == nil {
		sign = func(c members) string { return signed(h.key, `{"alg":"ES256","kid":"k1","typ":"JWT"}`, marshal(c)) }
	}
	doc := members{"access_token": "access-1", "token_type": "Bearer", "expires_in": 60, "id_token": sign(claims)}
	if h.tokens != nil {
		h.tokens(doc)
	}
	writeJSON(w, doc)
}

func (h *hostile) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer access-1" || r.URL.RawQuery != "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims := maps.Clone(h.person)
	if h.userinfo != nil {
		h.userinfo(claims)
	}
	writeJSON(w, claims)
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func half(s string) string {
	d := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(d[:16])
}

// signed makes an ES256 token of any header and payload, well formed or not.
func signed(key *ecdsa.PrivateKey, header, payload string) string {
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	d := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, d[:])
	if err != nil {
		panic(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + enc.EncodeToString(sig)
}

// config is that of an honest relationship with h.
func (h *hostile) config() oidc.Config {
	return oidc.Config{
		ID: "tax", Name: protocol.Text{"en": "Tax office"}, Issuer: h.URL, ClientID: "voussoir", ClientSecret: "s3cr&t ü",
		AuthMethod: oidc.ClientSecretBasic, Scopes: []string{"openid", "profile", "birth", "email"},
		RedirectURI: "http://localhost:8080/callback/tax", Schema: identity.Schema{Civil: true}, IDTokenSigningAlg: "ES256", UserInfo: oidc.UserInfo{Fetch: true},
		ACR:       oidc.ACR{Max: protocol.EIDAS2, Map: map[string]protocol.ACR{"urn:x:low": protocol.EIDAS1, "urn:x:sub": protocol.EIDAS2, "urn:x:high": protocol.EIDAS3}},
		AllowHTTP: true, Client: outbound.New(outbound.Config{AllowHTTP: true, AllowPrivate: true}),
		Now: func() time.Time { return now },
	}
}

func newProvider(t testing.TB, c oidc.Config) *oidc.Provider {
	t.Helper()
	p, err := oidc.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Client.CloseIdleConnections)
	return p
}

var request = federation.Request{State: "flow.random"}

// signIn goes the whole way.
func (h *hostile) signIn(t testing.TB, p *oidc.Provider, r federation.Request) (federation.Login, error) {
	t.Helper()
	started, err := p.Start(context.Background(), r)
	if err != nil {
		return federation.Login{}, err
	}
	return p.Finish(context.Background(), r, started.Pending, h.visit(t, started.URL))
}

// attempt is one sign-in at h with its switches as they are.
func (h *hostile) attempt(t testing.TB) (federation.Login, error) {
	t.Helper()
	return h.signIn(t, newProvider(t, h.config()), request)
}

// wantKind fails unless err is a *federation.Error of that kind whose text holds
// nothing that a stranger wrote and nothing about the person.
func wantKind(t testing.TB, err error, want federation.Kind) {
	t.Helper()
	var e *federation.Error
	if !errors.As(err, &e) || e.Kind != want || e.Provider != "tax" {
		t.Fatalf("err = %v (kind %v), want a *federation.Error of kind %d", err, kindOf(err), want)
	}
	for _, secret := range []string{"DUBOIS", "angela", "1962", "code-1", "access-1", "s3cr", "<script", "\n", "subject-1", "eyJ"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error tells %q: %q", secret, err)
		}
	}
}

func kindOf(err error) federation.Kind {
	var e *federation.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}
