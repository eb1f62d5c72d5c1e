package journeys

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
)

const initialToken = "an-initial-access-token-of-the-journeys-0123456789"

// registrationConfig is a broker where one organisation may register services.
func registrationConfig(t *testing.T, idpPort int, idpSecret, more string) string {
	t.Helper()
	config := interopConfig(t, idpPort, idpSecret, "http://127.0.0.1:1/callback", secretAuth("client_secret_basic"))
	return config + registrationBlock("library", more)
}

// registrationBlock is an initial access token for a policy, with more lines for it.
func registrationBlock(policy, more string) string {
	return fmt.Sprintf(`
registration:
  tokens:
    - id: city-onboarding
      name: { fr: "Ville", en: "City" }
      token_sha256: %q
      policy: %s
%s`, sha256hex(initialToken), policy, more)
}

// registration tries the registration endpoint of the document with every algorithm
// that the document offers, and returns the member that it has tried.
func (w *truthWorld) registration(t *testing.T) string {
	t.Helper()
	s := registered{t: t, broker: w.broker}
	endpoint, _ := w.doc["registration_endpoint"].(string)
	for member, offer := range map[string]string{
		"id_token_signed_response_alg": "id_token_signing_alg_values_supported", "userinfo_signed_response_alg": "userinfo_signing_alg_values_supported",
		"authorization_signed_response_alg": "authorization_signing_alg_values_supported",
	} {
		for _, alg := range w.list(t, offer) {
			status, got := s.call(http.MethodPost, endpoint, initialToken, fmt.Sprintf(`{"redirect_uris":["https://a.example/cb"],%q:%q}`, member, alg))
			if status != http.StatusCreated || got[member] != alg {
				t.Errorf("%s is offered, and registering %s gives %d %v", alg, member, status, got)
			}
		}
	}
	return "registration_endpoint"
}

// registered is a service on openid-client that registered itself at broker.
type registered struct {
	t                *testing.T
	broker, at       string
	id, access, self string
	metadata         map[string]any
}

// registers starts an identity provider, a broker in front of it, and a service that
// registers with this metadata.
func registers(t *testing.T, token, metadata string, env ...string) registered {
	t.Helper()
	need(t, "node_modules/openid-client/package.json", "openid-client")
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	const secret = "a-secret-of-the-broker-at-the-provider-01234567"
	idp, port := ports(t), ports(t)
	_, broker := serve(t, "", registrationConfig(t, idp, secret, token))
	launch(t, []string{
		fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "CLIENT_SECRET=" + secret, "REDIRECT_URI=" + broker + "/callback/upstream",
	}, fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", idp), node(t), "counterparts/oidc-provider.mjs")
	s := registered{t: t, broker: broker, at: fmt.Sprintf("http://127.0.0.1:%d", port)}
	launch(t, append(env, fmt.Sprintf("PORT=%d", port), "ISSUER="+broker, "INITIAL_TOKEN="+initialToken, "METADATA="+metadata,
		"SCOPE=openid given_name age_over_16 email"), s.at+"/ready", node(t), "counterparts/openid-client.mjs")
	status, got := s.call(http.MethodGet, s.at+"/registered", "", "")
	if status != http.StatusOK {
		t.Fatalf("the service has not registered: %d %v", status, got)
	}
	s.metadata = got
	s.id, _ = got["client_id"].(string)
	s.access, _ = got["registration_access_token"].(string)
	s.self, _ = got["registration_client_uri"].(string)
	return s
}

// call sends JSON and reads JSON.
func (s registered) call(method, address, token, body string) (int, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var got map[string]any
	_ = json.Unmarshal(raw, &got) // a 204 has none; the caller looks at what it needs
	sing("bearer token of a registration", token)
	for _, name := range []string{"client_secret", "registration_access_token"} {
		value, _ := got[name].(string)
		sing(name, value)
	}
	return resp.StatusCode, got
}

// authorize is an authorization request of the service as a person's browser sends it.
func (s registered) authorize(redirectURI string) *page {
	s.t.Helper()
	return s.authorizeAs(newCitizen(s.t), redirectURI)
}

func (s registered) authorizeAs(c *citizen, redirectURI string) *page {
	s.t.Helper()
	return c.get(s.broker + "/authorize?" + url.Values{
		"client_id": {s.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}.Encode())
}

// From registration to the end, with the real library: a service registers, people
// sign in, it changes its mind, and it leaves.
func TestRegistration_OpenIDClient(t *testing.T) {
	private, public := clientKey(t)
	for _, tt := range []struct {
		name, metadata string
		env            []string
	}{
		{
			"client_secret_post, ID tokens by RS256 as OpenID Connect has it",
			`{"client_name":"New library","token_endpoint_auth_method":"client_secret_post","logo_uri":"https://new.example/logo.png"}`, nil,
		},
		{
			"private_key_jwt, ES256",
			`{"client_name":"New library","token_endpoint_auth_method":"private_key_jwt","id_token_signed_response_alg":"ES256","jwks":` + public + `}`,
			[]string{"AUTH=private_key_jwt", "PRIVATE_JWK=" + private},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := registers(t, "", tt.metadata, tt.env...)
			r := decode(t, passThrough(newCitizen(t), s.at+"/start", nil))
			wantMinimal(t, r.UserInfo, false)
			if r.Claims["aud"] != s.id || r.Claims["sub"] != r.UserInfo["sub"] {
				t.Errorf("ID token = %v", r.Claims)
			}

			if status, got := s.call(http.MethodGet, s.self, s.access, ""); status != 200 || got["client_name"] != "New library" || got["client_secret"] != nil {
				t.Errorf("GET = %d %v", status, got)
			}
			update := fmt.Sprintf(`{"client_id":%q,"client_name":"Newer library","redirect_uris":["http://127.0.0.1:1/second"]}`, s.id)
			if status, got := s.call(http.MethodPut, s.self, s.access, update); status != 200 || got["client_name"] != "Newer library" {
				t.Fatalf("PUT = %d %v", status, got)
			}
			if p := s.authorize(s.at + "/callback"); p.Status != 400 || p.errorCode() != "redirect_invalid" {
				t.Errorf("the redirect URI of before: %d %s", p.Status, p.errorCode())
			}
			if p := s.authorize("http://127.0.0.1:1/second"); p.Status >= 400 {
				t.Errorf("the new redirect URI: %d %s", p.Status, p.errorCode())
			}

			if status, _ := s.call(http.MethodDelete, s.self, s.access, ""); status != 204 {
				t.Fatalf("DELETE = %d", status)
			}
			if p := s.authorize("http://127.0.0.1:1/second"); p.Status != 400 || p.errorCode() != "client_unknown" {
				t.Errorf("after the end: %d %s", p.Status, p.errorCode())
			}
			if status, got := s.call(http.MethodGet, s.self, s.access, ""); status != 401 || got["error"] != "invalid_token" {
				t.Errorf("GET after the end = %d %v", status, got)
			}
		})
	}
}

// What the certification suite's dynamic plan asks of an OP at registration, by the
// names of its modules, against the running broker.
func TestRegistration_OIDCCDynamic(t *testing.T) {
	whole(t)
	sector := "[]"
	mux := http.NewServeMux()
	mux.HandleFunc("/sector", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, sector)
	})
	files := httptest.NewServer(mux)
	defer files.Close()
	_, broker := serve(t, "", registrationConfig(t, 1, "unused-unused-unused-unused-unused-unused", "      max_clients: 100\n"))
	s := registered{t: t, broker: broker}
	register := func(members string) (int, map[string]any) {
		return s.call(http.MethodPost, broker+"/register", initialToken, "{"+members+"}")
	}
	const cb = `"redirect_uris":["https://a.example/cb"]`

	t.Run("discovery names the endpoint", func(t *testing.T) {
		if _, got := s.call(http.MethodGet, broker+"/.well-known/openid-configuration", "", ""); got["registration_endpoint"] != broker+"/register" {
			t.Errorf("registration_endpoint = %v", got["registration_endpoint"])
		}
	})
	for _, tt := range []struct {
		module, members string
		status          int
		code            string
	}{
		{"oidcc-redirect-uri-query-OK", `"redirect_uris":["https://a.example/cb?foo=bar"]`, 201, ""},
		{"oidcc-redirect-uri-regfrag", `"redirect_uris":["https://a.example/cb#foobar"]`, 400, "invalid_redirect_uri"},
		{"oidcc-registration without any redirect URI", `"client_name":"New"`, 400, "invalid_redirect_uri"},
		{"oidcc-registration-logo-uri", cb + `,"logo_uri":"https://a.example/logo.png"`, 201, ""},
		{"oidcc-registration-policy-uri", cb + `,"policy_uri":"https://a.example/policy"`, 201, ""},
		{"oidcc-registration-tos-uri", cb + `,"tos_uri":"https://a.example/tos"`, 201, ""},
		{"oidcc-registration-jwks-uri", cb + `,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/jwks"`, 201, ""},
		{"oidcc-idtoken-rs256", cb + `,"id_token_signed_response_alg":"RS256"`, 201, ""},
		{"oidcc-idtoken-unsigned", cb + `,"id_token_signed_response_alg":"none"`, 400, "invalid_client_metadata"},
		{"oidcc-userinfo-rs256", cb + `,"userinfo_signed_response_alg":"RS256"`, 201, ""},
		{"oidcc-3rdparty-init-login", cb + `,"initiate_login_uri":"https://a.example/login"`, 201, ""},
		{"oidcc-3rdparty-init-login-nohttps", cb + `,"initiate_login_uri":"http://a.example/login"`, 400, "invalid_client_metadata"},
	} {
		t.Run(tt.module, func(t *testing.T) {
			status, got := register(tt.members)
			code, _ := got["error"].(string)
			if status != tt.status || code != tt.code {
				t.Fatalf("POST /register = %d %v, want %d %s", status, got, tt.status, tt.code)
			}
			var sent map[string]any
			if err := json.Unmarshal([]byte("{"+tt.members+"}"), &sent); err != nil {
				t.Fatal(err)
			}
			for name, value := range sent {
				if status == 201 && fmt.Sprint(got[name]) != fmt.Sprint(value) {
					t.Errorf("%s = %v, want %v", name, got[name], value)
				}
			}
		})
	}
	t.Run("oidcc-redirect-uri-query-added and -mismatch: refused on a page, no redirect", func(t *testing.T) {
		_, got := register(`"redirect_uris":["https://a.example/cb?foo=bar"]`)
		s.id, _ = got["client_id"].(string)
		for _, uri := range []string{"https://a.example/cb?foo=bar&bar=foo", "https://a.example/cb", "https://a.example/cb?foo=baz"} {
			if p := s.authorize(uri); p.Status != 400 || p.errorCode() != "redirect_invalid" {
				t.Errorf("%d %s", p.Status, p.errorCode())
			}
		}
	})
	t.Run("oidcc-registration-sector-uri and -sector-bad", func(t *testing.T) {
		members := `"redirect_uris":["https://a.example/cb","https://b.example/cb"],"sector_identifier_uri":"` + files.URL + `/sector"`
		if status, got := register(members); status != 400 || got["error"] != "invalid_client_metadata" {
			t.Errorf("a sector that lists nothing: %d %v", status, got)
		}
		sector = `["https://a.example/cb","https://b.example/cb"]`
		if status, got := register(members); status != 201 || got["sector_identifier_uri"] != files.URL+"/sector" {
			t.Errorf("a sector that lists them: %d %v", status, got)
		}
	})
	t.Run("open registration does not exist", func(t *testing.T) {
		if status, got := s.call(http.MethodPost, broker+"/register", "", "{"+cb+"}"); status != 401 || got["error"] != "invalid_token" {
			t.Errorf("POST /register without a token = %d %v", status, got)
		}
	})
}

// Whoever got an answer can rely on it, whatever becomes of the broker.
func TestRegistration_KilledAfterTheAnswer(t *testing.T) {
	whole(t)
	p, broker := serve(t, "", registrationConfig(t, 1, "unused-unused-unused-unused-unused-unused", ""))
	kill := func() {
		t.Helper()
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		p = launch(t, nil, broker+"/readyz", p.cmd.Path, p.cmd.Args[1:]...)
	}
	s := registered{t: t, broker: broker}
	status, got := s.call(http.MethodPost, broker+"/register", initialToken, `{"redirect_uris":["https://a.example/cb"]}`)
	if status != http.StatusCreated {
		t.Fatalf("POST /register = %d %v", status, got)
	}
	kill()
	s.id, s.access, s.self = got["client_id"].(string), got["registration_access_token"].(string), got["registration_client_uri"].(string)
	if status, got := s.call(http.MethodGet, s.self, s.access, ""); status != http.StatusOK || got["client_id"] != s.id {
		t.Errorf("after the registration: %d %v", status, got)
	}
	update := fmt.Sprintf(`{"client_id":%q,"redirect_uris":["https://a.example/second"]}`, s.id)
	if status, got := s.call(http.MethodPut, s.self, s.access, update); status != http.StatusOK {
		t.Fatalf("PUT = %d %v", status, got)
	}
	kill()
	if p := s.authorize("https://a.example/cb"); p.errorCode() != "redirect_invalid" {
		t.Errorf("after the update: %d %s", p.Status, p.errorCode())
	}
	if status, _ := s.call(http.MethodDelete, s.self, s.access, ""); status != http.StatusNoContent {
		t.Fatalf("DELETE = %d", status)
	}
	kill()
	if status, _ := s.call(http.MethodGet, s.self, s.access, ""); status != http.StatusUnauthorized {
		t.Errorf("after the deletion: %d", status)
	}
	if p := s.authorize("https://a.example/second"); p.errorCode() != "client_unknown" {
		t.Errorf("after the deletion: %d %s", p.Status, p.errorCode())
	}
}

// oidcc-registration-jwks-uri and -rp-key-rotation: the keys of a registered service
// are fetched at its address, and again when it says that it has changed (strangers
// may have used up how often a new key is looked for).
func TestRegistration_KeysAtAnAddress(t *testing.T) {
	whole(t)
	var rings []*keys.Ring
	for range 2 {
		ring, err := keys.Open(t.Context(), keys.Config{File: filepath.Join(t.TempDir(), "keys"), Secret: []byte(strings.Repeat("k", 32)), Algs: []string{"ES256"}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ring.Close)
		rings = append(rings, ring)
	}
	var published atomic.Pointer[keys.Ring]
	published.Store(rings[0])
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body, _ := published.Load().JWKS()
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(body)
	}))
	defer files.Close()
	_, broker := serve(t, "", registrationConfig(t, 1, "unused-unused-unused-unused-unused-unused", ""))
	s := registered{t: t, broker: broker}
	metadata := `"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"ES256","jwks_uri":"` + files.URL + `/jwks"}`
	status, got := s.call(http.MethodPost, broker+"/register", initialToken, "{"+metadata)
	if status != http.StatusCreated || got["client_secret"] != nil {
		t.Fatalf("POST /register = %d %v", status, got)
	}
	// Who it is is settled before the code is looked at.
	redeems := func(ring *keys.Ring) any {
		w := &truthWorld{broker: broker, ring: ring}
		_, _, body := w.ask(t, "/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {"none"}, "redirect_uri": {"https://a.example/cb"}, "code_verifier": {strings.Repeat("a", 43)},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {w.assertion(t, got["client_id"].(string), "ES256")},
		}, func(http.Header) {})
		var answer map[string]any
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		return answer["error"]
	}
	if said := redeems(rings[0]); said != "invalid_grant" {
		t.Errorf("with the published key: %v", said)
	}
	if said := redeems(rings[1]); said != "invalid_client" {
		t.Errorf("with a key that nobody has published: %v", said)
	}
	published.Store(rings[1])
	if status, got := s.call(http.MethodPut, got["registration_client_uri"].(string), got["registration_access_token"].(string),
		fmt.Sprintf(`{"client_id":%q,`, got["client_id"])+metadata); status != http.StatusOK {
		t.Fatalf("PUT = %d %v", status, got)
	}
	if said := redeems(rings[1]); said != "invalid_grant" {
		t.Errorf("with the key that it has now: %v", said)
	}
	if said := redeems(rings[0]); said != "invalid_client" {
		t.Errorf("with the key that is gone: %v", said)
	}
}
