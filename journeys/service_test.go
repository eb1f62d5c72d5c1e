package journeys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/sandbox"
)

// service is a relying party in the test's own hands: it can do what a decent
// client library never does, such as redeem one code twice.
type service struct {
	t        *testing.T
	broker   string
	id       string
	secret   string
	redirect string
	http     *http.Client
}

// request is a started sign-in.
type request struct {
	URL, State, Nonce, Verifier string
}

// tokens is the answer of /token.
type tokens struct {
	Status       int
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
	Error        string `json:"error"`
}

func newService(t *testing.T, broker, id string) *service {
	tr := &http.Transport{MaxIdleConnsPerHost: 250}
	t.Cleanup(tr.CloseIdleConnections)
	return &service{
		t: t, broker: broker, id: id, secret: serviceSecret, redirect: "http://127.0.0.1:1/callback",
		http: &http.Client{Transport: tr, Timeout: 30 * time.Second},
	}
}

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// start makes an authorization request; extra replaces or adds parameters.
func (s *service) start(scope string, extra url.Values) request {
	r := request{State: random(), Nonce: random(), Verifier: random()}
	sing("state", r.State)
	sing("nonce", r.Nonce)
	sing("code verifier", r.Verifier)
	challenge := sha256.Sum256([]byte(r.Verifier))
	q := url.Values{
		"client_id": {s.id}, "redirect_uri": {s.redirect}, "response_type": {"code"}, "scope": {scope},
		"state": {r.State}, "nonce": {r.Nonce}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	for k, vs := range extra {
		q[k] = vs
	}
	r.URL = s.broker + "/authorize?" + q.Encode()
	return r
}

// back accepts the addresses that are the service's.
func (s *service) back(u *url.URL) bool { return strings.HasPrefix(u.String(), s.redirect) }

// redeem redeems a code at /token. The error is a failed connection.
func (s *service) redeem(ctx context.Context, code, verifier string) (tokens, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.redirect}, "code_verifier": {verifier},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.broker+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return tokens{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret))
	var tk tokens
	tk.Status, err = s.json(req, &tk)
	sing("access token", tk.AccessToken)
	sing("refresh token", tk.RefreshToken)
	sing("ID token", tk.IDToken)
	return tk, err
}

// userinfo answers the status and the claims.
func (s *service) userinfo(ctx context.Context, accessToken string) (int, map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.broker+"/userinfo", nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	var claims map[string]any
	status, err := s.json(req, &claims)
	return status, claims, err
}

func (s *service) json(req *http.Request, into any) (int, error) {
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return 0, errors.New("not JSON: " + tail(string(body), 200))
	}
	return resp.StatusCode, nil
}

// provider starts a sandbox identity provider in the test's own process, for a
// broker whose callback is redirectURI. It returns its issuer.
func provider(t *testing.T, secret string, people []sandbox.Identity, redirectURI func() string) string {
	t.Helper()
	return providerBehind(t, secret, people, redirectURI, func(h http.Handler) http.Handler { return h })
}

// providerBehind is provider with something in front of it. People may be sent to it
// to log out, and come back to postLogout.
func providerBehind(t *testing.T, secret string, people []sandbox.Identity, redirectURI func() string, front func(http.Handler) http.Handler, postLogout ...string) string {
	t.Helper()
	dir := t.TempDir()
	secretBytes, err := keys.LoadOrCreateSecret(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), keys.Config{
		File: filepath.Join(dir, "keys"), Secret: secretBytes, Algs: []string{"ES256"}, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.Close)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	inner, err := sandbox.NewProvider(sandbox.ProviderConfig{
		ID: "upstream", Name: protocol.Text{"en": "Upstream"}, Issuer: server.URL, ACR: protocol.EIDAS1,
		Identities: people, Signer: ring, Now: time.Now,
		Clients: []sandbox.ProviderClient{{
			ID: "voussoir", SecretSHA256: sha256.Sum256([]byte(secret)), RedirectURIs: []string{redirectURI()}, PostLogoutURIs: postLogout,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler = front(inner)
	return server.URL
}
