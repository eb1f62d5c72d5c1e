package sandbox

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/voussoir-id/voussoir/protocol"
)

const testSecret = "a secret with + and % in it, of some length"

// testSigner signs ES256 with the standard library alone (RFC 7518 section 3.4).
type testSigner struct{ key *ecdsa.PrivateKey }

func newTestSigner(t *testing.T) testSigner {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testSigner{k}
}

var b64 = base64.RawURLEncoding

func (s testSigner) Sign(_ context.Context, alg, typ string, payload []byte) (string, error) {
	head := fmt.Sprintf(`{"alg":%q,"kid":"test","typ":%q}`, alg, typ)
	input := b64.EncodeToString([]byte(head)) + "." + b64.EncodeToString(payload)
	sum := sha256.Sum256([]byte(input))
	r, z, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	z.FillBytes(sig[32:])
	return input + "." + b64.EncodeToString(sig), nil
}

func (s testSigner) JWKS() ([]byte, string) {
	pub, _ := s.key.PublicKey.Bytes() // 0x04, X, Y
	return []byte(fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"test","x":%q,"y":%q}]}`,
		b64.EncodeToString(pub[1:33]), b64.EncodeToString(pub[33:]))), `"etag"`
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is one sandbox provider with a relying party on go-oidc and a browser.
type world struct {
	t       *testing.T
	url     string
	clock   *clock
	browser *http.Client // follows no redirect
	waited  *time.Duration
	rp      *oidc.Provider
	oauth   oauth2.Config
}

const rpCallback = "http://rp.example/callback"

func newWorld(t *testing.T, id protocol.ProviderID, acr protocol.ACR) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), waited: new(time.Duration)}
	srv := httptest.NewServer(nil)
	t.Cleanup(srv.Close)
	h, err := NewProvider(ProviderConfig{
		ID: id, Name: note("Test provider", "Fournisseur d’essai"), Issuer: srv.URL, ACR: acr,
		Identities: Identities(id, w.clock.now()),
		Clients:    []ProviderClient{{ID: "rp", SecretSHA256: sha256.Sum256([]byte(testSecret)), RedirectURIs: []string{rpCallback}, PostLogoutURIs: []string{"http://rp.example/out"}}},
		Signer:     newTestSigner(t), Now: w.clock.now,
		Wait: func(_ context.Context, d time.Duration) error { *w.waited = d; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = h
	w.url = srv.URL
	w.browser = newBrowser(t)
	if w.rp, err = oidc.NewProvider(t.Context(), srv.URL); err != nil {
		t.Fatalf("go-oidc does not accept our discovery: %v", err)
	}
	w.oauth = oauth2.Config{
		ClientID: "rp", ClientSecret: testSecret, RedirectURL: rpCallback, Endpoint: w.rp.Endpoint(),
		Scopes: []string{"openid", "profile", "birth", "email"},
	}
	w.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return w
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// visit is one authorization request of the relying party.
type visit struct{ state, nonce, verifier, url string }

func (w *world) start(extra ...string) visit {
	v := visit{state: newHandle(), nonce: newHandle(), verifier: oauth2.GenerateVerifier()}
	opts := []oauth2.AuthCodeOption{oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier)}
	for i := 0; i < len(extra); i += 2 {
		opts = append(opts, oauth2.SetAuthURLParam(extra[i], extra[i+1]))
	}
	v.url = w.oauth.AuthCodeURL(v.state, opts...)
	return v
}

// do sends a request as the browser and returns the answer and its body.
func (w *world) do(req *http.Request) (*http.Response, string) {
	w.t.Helper()
	resp, err := w.browser.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(body)
}

func (w *world) get(rawurl string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, rawurl, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(req)
}

func (w *world) post(rawurl string, form url.Values) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, rawurl, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(req)
}

// press answers the sign-in page of v with these fields and returns where the
// browser is sent.
func (w *world) press(v visit, fields ...string) url.Values {
	w.t.Helper()
	_, query, _ := strings.Cut(v.url, "?")
	form := url.Values{"request": {query}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	resp, _ := w.post(w.url+"/sign-in", form)
	return w.sentBack(resp)
}

// sentBack is the query with which the browser returns to the relying party.
func (w *world) sentBack(resp *http.Response) url.Values {
	w.t.Helper()
	loc, err := resp.Location()
	if err != nil {
		w.t.Fatalf("no redirect: status %d", resp.StatusCode)
	}
	if got := loc.Scheme + "://" + loc.Host + loc.Path; got != rpCallback {
		w.t.Fatalf("redirect to %s, want %s", got, rpCallback)
	}
	return loc.Query()
}

// signedIn is what the relying party knows in the end.
type signedIn struct {
	id     *oidc.IDToken
	claims map[string]any // of the ID token
	user   map[string]any // of userinfo
}

// finish redeems the code as go-oidc does, with every check that a careful
// relying party makes.
func (w *world) finish(v visit, back url.Values) (signedIn, error) {
	w.t.Helper()
	var out signedIn
	if back.Get("state") != v.state {
		return out, fmt.Errorf("state")
	}
	if back.Get("iss") != w.url {
		return out, fmt.Errorf("iss")
	}
	if e := back.Get("error"); e != "" {
		return out, fmt.Errorf("error %s", e)
	}
	tok, err := w.oauth.Exchange(w.t.Context(), back.Get("code"), oauth2.VerifierOption(v.verifier))
	if err != nil {
		return out, err
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := w.rp.Verifier(&oidc.Config{ClientID: "rp", Now: w.clock.now, SupportedSigningAlgs: []string{oidc.ES256}}).Verify(w.t.Context(), raw)
	if err != nil {
		return out, err
	}
	if id.Nonce != v.nonce {
		return out, fmt.Errorf("nonce")
	}
	if err := id.VerifyAccessToken(tok.AccessToken); err != nil {
		return out, err
	}
	if err := id.Claims(&out.claims); err != nil {
		return out, err
	}
	user, err := w.rp.UserInfo(w.t.Context(), oauth2.StaticTokenSource(tok))
	if err != nil {
		return out, err
	}
	if user.Subject != id.Subject {
		return out, fmt.Errorf("sub")
	}
	out.id = id
	return out, user.Claims(&out.user)
}
