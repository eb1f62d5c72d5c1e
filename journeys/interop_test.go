package journeys

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The demo's providers.
const (
	lowProvider  = "tax"
	highProvider = "post"
)

const serviceSecret = "a-secret-of-the-interop-journeys-0123456789"

// received is what a counterpart says that it got.
type received struct {
	Claims      map[string]any `json:"claims"`
	UserInfo    map[string]any `json:"userinfo"`
	Then        *givenUp       `json:"then"`
	Replaced    bool           `json:"replaced"` // it got another refresh token
	DPoP        *stolen        `json:"dpop"`
	Error       string         `json:"error"`
	Description string         `json:"description"`
}

// givenUp is what a service saw of its token before and after its revocation.
type givenUp struct {
	Before   map[string]any `json:"before"`
	After    map[string]any `json:"after"`
	API      map[string]any `json:"api"`      // what a data provider saw, in the signed form
	UserInfo any            `json:"userinfo"` // status after
}

// interopConfig is a broker with one provider and one client that asks for two
// required claims and an optional one.
func interopConfig(t *testing.T, idpPort int, idpSecret, redirectURI, auth string) string {
	t.Helper()
	return fmt.Sprintf(`
issuer: http://localhost:{port}
listen: 127.0.0.1:{port}
development: true
data: {data}
providers:
  - id: upstream
    name: { fr: "Poste", en: "Post office" }
    protocol: oidc
    issuer: http://127.0.0.1:%d
    client_id: voussoir
    client_secret_file: %s
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas1, default: eidas1 }
    civil_identity: true
clients:
  - id: library
    name: { fr: "Médiathèque", en: "City library" }
    redirect_uris: ["%s"]
%s
    sector: library.example
    policy: library
data_providers:
  - id: city-api
    name: { fr: "API de la ville", en: "City API" }
    token_endpoint_auth_method: client_secret_post
    client_secret_sha256: "%s"
    sector: city.example
    scopes: [given_name]
    claims: [given_name, email]
policies:
  - id: library
    version: 1
    purpose: { fr: "Ouvrir votre compte de lecteur", en: "Open your reader account" }
    legal_basis: consent
    retention: P1Y
    min_acr: eidas1
    claims:
      - { name: given_name, required: true }
      - { name: age_over_16, required: true }
      - { name: email, required: false }
    consent_validity: P1Y
`, idpPort, secretFile(t, idpSecret), redirectURI, auth, sha256hex(serviceSecret))
}

func secretAuth(method string) string {
	return fmt.Sprintf("    token_endpoint_auth_method: %s\n    client_secret_sha256: %q", method, sha256hex(serviceSecret))
}

// upstream starts npm's oidc-provider as an identity provider, and the broker in
// front of it.
func upstream(t *testing.T, redirectURI, auth string) (broker string) {
	t.Helper()
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	const secret = "a-secret-of-the-broker-at-the-provider-01234567"
	idp := ports(t)
	_, broker = serve(t, "", interopConfig(t, idp, secret, redirectURI, auth))
	env := []string{
		fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "CLIENT_SECRET=" + secret,
		"REDIRECT_URI=" + broker + "/callback/upstream", "POST_LOGOUT_URI=" + broker + "/logout/return",
	}
	launch(t, env, fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", idp), node(t), "counterparts/oidc-provider.mjs")
	found(t, http.DefaultTransport, broker)
	return broker
}

// passThrough signs Camille in at oidc-provider's development pages and answers
// the consent page of the broker; it returns the page where the service is.
func passThrough(c *citizen, start string, ticked url.Values) *page {
	c.t.Helper()
	p := c.get(start)
	// One provider only: the broker sends straight to it.
	p = c.submit(p, url.Values{"login": {"camille"}, "password": {"any"}})
	for range 3 { // oidc-provider's own consent page
		if !strings.Contains(p.URL.Path, "/interaction/") {
			break
		}
		p = c.submit(p, nil)
	}
	if p.byID("consent-agree") == nil {
		c.t.Fatalf("no consent page but %s (status %d, code %q):\n%s", p.URL.Path, p.Status, p.errorCode(), tail(p.Body, 2000))
	}
	return c.press(p, "consent-agree", ticked)
}

func decode(t *testing.T, p *page) received {
	t.Helper()
	var r received
	if err := json.Unmarshal([]byte(p.Body), &r); err != nil {
		t.Fatalf("not the service's JSON (status %d at %s): %v\n%s", p.Status, p.URL.Path, err, tail(p.Body, 2000))
	}
	if r.Error != "" {
		t.Fatalf("the service refused what it got: %s: %s", r.Error, r.Description)
	}
	return r
}

// wantMinimal checks that exactly the claims that were agreed to arrived.
func wantMinimal(t *testing.T, got map[string]any, email bool) {
	t.Helper()
	want := map[string]any{"given_name": "Camille Jeanne", "age_over_16": true}
	if email {
		want["email"], want["email_verified"] = "camille@example.org", true
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("claim %s = %v, want %v", k, got[k], v)
		}
	}
	// Some libraries hand on the ID token's claims and userinfo as one.
	protocolsOwn := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "at_hash", "sid"}
	for k := range got {
		if _, ok := want[k]; !ok && !slices.Contains(protocolsOwn, k) {
			t.Errorf("claim %s arrived and nobody agreed to it", k)
		}
	}
}

func TestInterop_OpenIDClient(t *testing.T) {
	need(t, "node_modules/openid-client/package.json", "openid-client")
	private, public := clientKey(t)
	decrypts, both := encryptionKey(t, public)
	tests := []struct {
		name, auth, yaml, extra string
		env                     []string
		ticked                  url.Values
		email, signed           bool
		registered              string // redirect URI, where it is not the one that is used
	}{
		{name: "client_secret_basic", auth: "basic", yaml: secretAuth("client_secret_basic")},
		{
			name: "client_secret_post, form_post and the optional claim", auth: "post", yaml: secretAuth("client_secret_post"),
			extra: `{"response_mode":"form_post"}`, ticked: url.Values{"claim": {"email"}}, email: true,
		},
		{
			name: "private_key_jwt", auth: "private_key_jwt", env: []string{"PRIVATE_JWK=" + private},
			yaml: "    token_endpoint_auth_method: private_key_jwt\n    jwks: " + public,
		},
		{
			name: "signed userinfo, then introspection and revocation", auth: "post", env: []string{"USERINFO_ALG=ES256", "THEN=revoke"},
			yaml: secretAuth("client_secret_post") + "\n    userinfo_signed_response_alg: ES256", signed: true,
		},
		{
			name: "private_key_jwt, JWT access token, userinfo and ID token signed and encrypted", auth: "private_key_jwt",
			env: []string{"PRIVATE_JWK=" + private, "USERINFO_ALG=ES256", "DECRYPT_JWK=" + decrypts},
			yaml: "    token_endpoint_auth_method: private_key_jwt\n    jwks: " + both + "\n    userinfo_signed_response_alg: ES256" +
				"\n    id_token_encrypted_response_alg: ECDH-ES\n    userinfo_encrypted_response_alg: ECDH-ES\n    access_token_format: jwt",
		},
		{
			name: "claims parameter", auth: "basic", yaml: secretAuth("client_secret_basic"),
			extra: `{"scope":"openid","claims":"{\"userinfo\":{\"given_name\":{\"essential\":true},\"age_over_16\":{\"essential\":true},\"email\":null}}"}`,
		},
		{
			name: "pushed requests", auth: "basic", yaml: secretAuth("client_secret_basic") + "\n    require_par: true", env: []string{"REQUEST=pushed"},
		},
		{
			name: "pushed requests with private_key_jwt", auth: "private_key_jwt", env: []string{"REQUEST=pushed", "PRIVATE_JWK=" + private},
			yaml: "    token_endpoint_auth_method: private_key_jwt\n    require_par: true\n    jwks: " + public,
		},
		{
			name: "signed requests", auth: "basic", env: []string{"REQUEST=signed", "PRIVATE_JWK=" + private},
			yaml: secretAuth("client_secret_basic") + "\n    request_object_signing_alg: ES256\n    require_signed_request_object: true\n    jwks: " + public,
		},
		{
			name: "signed responses", auth: "basic", env: []string{"RESPONSE=signed"},
			yaml: secretAuth("client_secret_basic") + "\n    authorization_signed_response_alg: ES256",
		},
		{
			name: "signed responses by RS256 to pushed requests", auth: "basic", env: []string{"REQUEST=pushed", "RESPONSE=signed"},
			yaml: secretAuth("client_secret_basic") + "\n    authorization_signed_response_alg: RS256",
		},
		{
			name: "message signing: everything signed, pushed, private_key_jwt", auth: "private_key_jwt",
			env: []string{"REQUEST=signed and pushed", "RESPONSE=signed", "PRIVATE_JWK=" + private},
			yaml: "    token_endpoint_auth_method: private_key_jwt\n    require_par: true\n    request_object_signing_alg: ES256\n" +
				"    require_signed_request_object: true\n    authorization_signed_response_alg: ES256\n    jwks: " + public,
		},
		{
			name: "a native app that learns its port when it starts", auth: "none", registered: "http://127.0.0.1/callback",
			yaml: "    token_endpoint_auth_method: none\n    application_type: native",
		},
		{
			name: "a native app that pushes its requests", auth: "none", registered: "http://127.0.0.1/callback", env: []string{"REQUEST=pushed"},
			yaml: "    token_endpoint_auth_method: none\n    application_type: native\n    require_par: true",
		},
		{
			name: "signed and pushed requests with private_key_jwt", auth: "private_key_jwt", env: []string{"REQUEST=signed and pushed", "PRIVATE_JWK=" + private},
			yaml: "    token_endpoint_auth_method: private_key_jwt\n    require_par: true\n    request_object_signing_alg: ES256\n    require_signed_request_object: true\n    jwks: " + public,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			port := ports(t)
			broker := upstream(t, cmp.Or(tt.registered, fmt.Sprintf("http://127.0.0.1:%d/callback", port)), tt.yaml)
			env := append(tt.env, fmt.Sprintf("PORT=%d", port), "ISSUER="+broker, "CLIENT_ID=library",
				"CLIENT_SECRET="+serviceSecret, "AUTH="+tt.auth, "SCOPE=openid given_name age_over_16 email")
			if tt.extra != "" {
				env = append(env, "EXTRA="+tt.extra)
			}
			service := fmt.Sprintf("http://127.0.0.1:%d", port)
			launch(t, env, service+"/ready", node(t), "counterparts/openid-client.mjs")
			c := newCitizen(t)
			p := passThrough(c, service+"/start", tt.ticked)
			if p.byID("form-post") != nil || strings.Contains(p.Body, `name="code"`) {
				p = c.submit(p, nil) // form_post without JavaScript: the person presses the button
			}
			r := decode(t, p)
			wantMinimal(t, r.UserInfo, tt.email)
			if r.Claims["sub"] != r.UserInfo["sub"] {
				t.Error("sub differs between ID token and userinfo")
			}
			if tt.signed {
				wantGivenUp(t, broker, r)
			}
			if r.Claims["acr"] != "eidas1" {
				t.Errorf("acr = %v", r.Claims["acr"])
			}
			if _, leaked := r.Claims["given_name"]; leaked {
				t.Error("an identity claim is in the ID token although nobody asked for it there")
			}
		})
	}
}

// wantGivenUp checks the signed answer of userinfo and the end of the token.
func wantGivenUp(t *testing.T, broker string, r received) {
	t.Helper()
	if r.UserInfo["iss"] != broker || r.UserInfo["aud"] != "library" {
		t.Errorf("userinfo is not signed for the service: %v", r.UserInfo)
	}
	if r.Then == nil {
		t.Fatal("the service has not given its token up")
	}
	if r.Then.Before["active"] != true || r.Then.Before["client_id"] != "library" || r.Then.Before["sub"] != nil {
		t.Errorf("before the revocation: %v", r.Then.Before)
	}
	api := r.Then.API
	if api["active"] != true || api["client_id"] != "library" || api["scope"] != "given_name" || api["given_name"] != "Camille Jeanne" || api["email"] != nil {
		t.Errorf("the data provider saw %v", api)
	}
	if sub, _ := api["sub"].(string); sub == "" || sub == r.Claims["sub"] {
		t.Error("the data provider has no subject of its own")
	}
	if len(r.Then.After) != 1 || r.Then.After["active"] != false || r.Then.UserInfo != 401.0 {
		t.Errorf("after the revocation: %v, userinfo %v", r.Then.After, r.Then.UserInfo)
	}
}

func TestInterop_OmniAuthOpenIDConnect(t *testing.T) {
	need(t, "ruby", "Ruby")
	need(t, "/usr/share/doc/ruby-omniauth-openid-connect", "ruby-omniauth-openid-connect")
	port := ports(t)
	service := fmt.Sprintf("http://127.0.0.1:%d", port)
	// Debian's version of this library knows no PKCE: the exception that an operator
	// has to write down, with its reason, is what lets it in.
	broker := upstream(t, service+"/auth/voussoir/callback", secretAuth("client_secret_basic")+
		"\n    require_pkce: false\n    exception_reason: omniauth_openid_connect 0.10 knows no PKCE")
	env := []string{
		fmt.Sprintf("PORT=%d", port), "ISSUER=" + broker, "CLIENT_ID=library", "CLIENT_SECRET=" + serviceSecret,
		"SCOPE=openid given_name age_over_16 email",
	}
	launch(t, env, service+"/ready", "ruby", "counterparts/omniauth.rb")
	r := decode(t, passThrough(newCitizen(t), service+"/start", nil))
	wantMinimal(t, r.UserInfo, false)
	if r.Claims["sub"] != r.UserInfo["sub"] {
		t.Error("sub differs")
	}
}

func TestInterop_ModAuthOpenIDC(t *testing.T) {
	need(t, "/usr/sbin/apache2", "Apache")
	need(t, "/usr/lib/apache2/modules/mod_auth_openidc.so", "mod_auth_openidc")
	port := ports(t)
	service := fmt.Sprintf("http://127.0.0.1:%d", port)
	broker := upstream(t, service+"/private/callback", secretAuth("client_secret_basic"))
	dir := launchApache(t, port, broker, "library", "openid given_name age_over_16 email")
	p := passThrough(newCitizen(t), service+"/private/page", nil)
	if p.Body != "inside" || p.Status != 200 {
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		t.Fatalf("not inside: status %d at %s\n%s\n%s", p.Status, p.URL.Path, tail(p.Body, 500), tail(string(log), 2000))
	}
	if p.Header.Get("X-Sub") == "" || p.Header.Get("X-Sub") == "(null)" {
		t.Error("no sub")
	}
	if got := p.Header.Get("X-Given-Name"); got != "Camille Jeanne" {
		t.Errorf("given_name = %q", got)
	}
}

// clientKey makes a P-256 key and returns it and its public set as JSON.
func clientKey(t *testing.T) (private, publicSet string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	priv, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "journey",
		"x": b64(pub[1:33]), "y": b64(pub[33:65]),
	}
	set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	jwk["d"] = b64(priv)
	own, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return string(own), string(set)
}

// encryptionKey makes a second key, for encryption, and adds its public half to a set.
func encryptionKey(t *testing.T, signing string) (private, publicSet string) {
	t.Helper()
	private, more := clientKey(t)
	more = strings.NewReplacer(`"use":"sig"`, `"use":"enc"`, `"alg":"ES256"`, `"alg":"ECDH-ES"`, `"kid":"journey"`, `"kid":"decrypts"`).Replace(more)
	private = strings.Replace(private, `"kid":"journey"`, `"kid":"decrypts"`, 1)
	return private, strings.TrimSuffix(signing, "]}") + "," + strings.TrimPrefix(more, `{"keys":[`)
}
