package provider

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// appURIs are where the client "app" is answered.
var appURIs = []string{"http://127.0.0.1/cb", "com.example.app:/cb", "https://app.example/cb"}

// withApps adds a native app, and a program in a browser.
func withApps(w *world) *world {
	base := clients.Client{
		Name: protocol.Text{"en": "App"}, AuthMethod: clients.Public, Sector: "app.example",
		RequirePKCE: true, RequireNonce: true, RequireState: true,
	}
	app, browser := base, base
	app.ID, app.Native, app.RedirectURIs = "app", true, appURIs
	browser.ID, browser.RedirectURIs, browser.AllowedOrigins = "browser", []string{redirect}, []string{"https://rp.example"}
	// A mistake that the configuration refuses must not open a hole either.
	careless := browser
	careless.ID, careless.RequirePKCE = "careless", false
	keyed, _ := w.set.Get("jwt")
	confidential := *keyed
	confidential.ID, confidential.AllowedOrigins = "keyed", []string{"https://keyed.example", "https://both.example"}
	w.set = clients.NewSet(append(w.set.All(), &app, &browser, &careless, &confidential)...)
	return w
}

// codeFor is a code of a public client.
func codeFor(w *world, id protocol.ClientID, uri string) string {
	return w.code(func(g *login.Grant) { g.Client, g.RedirectURI = id, uri })
}

func TestPublic_TheClientIDIsAllThatItHas_RFC6749_3_2_1(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	form := func(changes ...string) []string { return append([]string{"redirect_uri", redirect}, changes...) }
	tests := []struct {
		name    string
		client  protocol.ClientID // whose code it is
		changes []string
		header  string
		status  int
		code    string
	}{
		{"its client_id and the verifier", "browser", form("client_id", "browser"), "", 200, ""},
		{"without a verifier", "browser", form("client_id", "browser", "code_verifier", "-"), "", 400, "invalid_grant"},
		{"with another verifier", "browser", form("client_id", "browser", "code_verifier", strings.Repeat("x", 43)), "", 400, "invalid_grant"},
		{"with a secret", "browser", form("client_id", "browser", "client_secret", secret), "", 401, "invalid_client"},
		{"with Basic and an empty secret", "browser", form(), "Basic YnJvd3Nlcjo=", 401, "invalid_client"},
		{"with an assertion", "browser", form("client_id", "browser", "client_assertion_type", assertionType, "client_assertion", assert(t, w, map[string]any{"iss": "browser", "sub": "browser"}, jose.ES256, clientKey())), "", 401, "invalid_client"},
		{"without any id", "browser", form(), "", 401, "invalid_client"},
		{"an unknown id", "browser", form("client_id", "nobody"), "", 401, "invalid_client"},
		{"the code of another public client", "app", form("client_id", "browser"), "", 400, "invalid_grant"},
		{"a confidential client that sends its id only", "library", form("client_id", "library"), "", 401, "invalid_client"},
		{"a client of private_key_jwt that sends its id only", "jwt", form("client_id", "jwt"), "", 401, "invalid_client"},
		{"a data provider that sends its id only", "library", form("client_id", "tax-api"), "", 401, "invalid_client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := post(PathToken, tokenForm(codeFor(w, tt.client, redirect), tt.changes...))
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			got := w.do(r)
			if tt.code != "" {
				wantError(t, got, tt.status, tt.code)
			} else if got.status != 200 {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
}

func TestPublic_PKCEHasNoException_RFC9700_2_1_1(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	q := request("client_id", "careless", "code_challenge", "-", "code_challenge_method", "-")
	wantErrorFields(t, w.do(get(PathAuthorize, q)).location(t, redirect), q, "invalid_request")
	// A code from before the client became public.
	code := w.code(func(g *login.Grant) { g.Client, g.CodeChallenge = "careless", "" })
	wantError(t, w.do(post(PathToken, tokenForm(code, "client_id", "careless", "code_verifier", "-"))), 400, "invalid_grant")
}

func TestPublic_MayRevokeAndPushButNotIntrospect_RFC7662_2_1(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	got := w.do(post(PathPAR, request("client_id", "browser")))
	if got.status != http.StatusCreated {
		t.Fatalf("push: %d %s", got.status, got.body)
	}
	uri := got.json(t)["request_uri"].(string)
	if to := w.do(visit(uri, "browser")).header.Get("Location"); to != "/login/flow" {
		t.Errorf("visit: to %q", to)
	}
	wantError(t, w.do(post(PathPAR, request("client_id", "library"))), 401, "invalid_client")

	token := w.do(post(PathToken, tokenForm(codeFor(w, "browser", redirect), "client_id", "browser"))).json(t)["access_token"].(string)
	wantError(t, w.do(post(PathIntrospect, map[string][]string{"client_id": {"browser"}, "token": {token}})), 401, "invalid_client")
	if got := w.userinfo(token); got.status != 200 {
		t.Fatalf("userinfo: %d", got.status)
	}
	if got := w.do(post(PathRevoke, map[string][]string{"client_id": {"app"}, "token": {token}})); got.status != 200 {
		t.Errorf("revocation by another public client: %d", got.status)
	}
	if got := w.userinfo(token); got.status != 200 {
		t.Errorf("another public client has revoked it: %d", got.status)
	}
	if got := w.do(post(PathRevoke, map[string][]string{"client_id": {"browser"}, "token": {token}})); got.status != 200 {
		t.Errorf("revocation: %d", got.status)
	}
	if got := w.userinfo(token); got.status != 401 {
		t.Errorf("userinfo after it: %d", got.status)
	}
}

func TestNative_RedirectURIs_RFC8252_7(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	tests := []struct {
		name, uri string
		good      bool
	}{
		{"loopback on the port of now", "http://127.0.0.1:51004/cb", true},
		{"loopback as registered", "http://127.0.0.1/cb", true},
		{"private-use scheme", "com.example.app:/cb", true},
		{"claimed https", "https://app.example/cb", true},
		{"loopback with another path", "http://127.0.0.1:51004/cb/", false},
		{"localhost", "http://localhost:51004/cb", false},
		{"private-use scheme with a host", "com.example.app://cb", false},
		{"https with a port", "https://app.example:8443/cb", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := request("client_id", "app", "redirect_uri", tt.uri)
			got := w.do(get(PathAuthorize, q))
			pushed := w.do(post(PathPAR, q))
			if !tt.good {
				wantError(t, pushed, 400, "invalid_request")
				if got.status != 400 || got.header.Get("Location") != "" {
					t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
				}
				return
			}
			if got.header.Get("Location") != "/login/flow" || pushed.status != 201 {
				t.Fatalf("got %d to %q, push %d", got.status, got.header.Get("Location"), pushed.status)
			}
			q.Set("scope", "email") // an error goes to exactly that URI
			if got := w.do(get(PathAuthorize, q)).location(t, tt.uri); got.Get("error") != "invalid_scope" || got.Get("state") != q.Get("state") {
				t.Errorf("error: %v", got)
			}
			code := codeFor(w, "app", tt.uri)
			if got := w.do(post(PathToken, tokenForm(code, "client_id", "app", "redirect_uri", tt.uri))); got.status != 200 {
				t.Errorf("token: %d %s", got.status, got.body)
			}
		})
	}
	// The port of the request is the port of the code.
	code := codeFor(w, "app", "http://127.0.0.1:51004/cb")
	wantError(t, w.do(post(PathToken, tokenForm(code, "client_id", "app", "redirect_uri", "http://127.0.0.1:51005/cb"))), 400, "invalid_grant")
	// A website's loopback URI is compared byte for byte.
	if got := w.do(get(PathAuthorize, request("client_id", "loopback", "redirect_uri", "http://127.0.0.1:9001/cb"))); got.status != 400 {
		t.Errorf("a web client on another port: %d", got.status)
	}
}

func TestNative_NoFormForAScheme(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	for _, mode := range []string{"form_post", "form_post.jwt"} {
		q := request("client_id", "app", "redirect_uri", "com.example.app:/cb", "response_mode", mode)
		if got := w.do(get(PathAuthorize, q)).location(t, "com.example.app:/cb"); got.Get("error") != "invalid_request" {
			t.Errorf("%s: got %v", mode, got)
		}
	}
	q := request("client_id", "app", "redirect_uri", "http://127.0.0.1:51004/cb", "response_mode", "form_post")
	if got := w.do(get(PathAuthorize, q)); got.header.Get("Location") != "/login/flow" {
		t.Errorf("loopback: %d", got.status)
	}
}

// Anyone can use its client_id on the person's device: only she can tell.
func TestNative_ThePersonIsAlwaysAsked_RFC8252_8_6(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	for uri, asked := range map[string]bool{"http://127.0.0.1:51004/cb": true, "com.example.app:/cb": true, "https://app.example/cb": false} {
		w.do(get(PathAuthorize, request("client_id", "app", "redirect_uri", uri, "prompt", "none")))
		if got := w.started[len(w.started)-1].Prompt; got != (protocol.Prompt{None: true, Consent: asked}) {
			t.Errorf("%s: prompt %+v", uri, got)
		}
	}
	w.do(get(PathAuthorize, request("client_id", "loopback", "redirect_uri", "http://127.0.0.1:9000/cb")))
	if got := w.started[len(w.started)-1].Prompt; got.Consent {
		t.Error("a client that proves itself: asked as well")
	}
}

func TestCORS_OnlyTheClientsOwnOrigins(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	from := func(origin string, r *http.Request) *http.Request {
		r.Header.Set("Origin", origin)
		return r
	}
	info := func(token string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, PathUserInfo, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return r
	}
	token := func() string {
		return w.do(post(PathToken, tokenForm(codeFor(w, "browser", redirect), "client_id", "browser"))).json(t)["access_token"].(string)
	}
	assertion := func(iss string) string {
		return assert(t, w, map[string]any{"iss": iss, "sub": iss}, jose.ES256, clientKey())
	}
	form := func(kv ...string) map[string][]string {
		f := map[string][]string{}
		for i := 0; i < len(kv); i += 2 {
			f[kv[i]] = []string{kv[i+1]}
		}
		return f
	}
	good := func() *http.Request {
		return post(PathToken, tokenForm(codeFor(w, "browser", redirect), "client_id", "browser"))
	}
	const own = "https://rp.example"
	tests := []struct {
		name, origin string
		r            *http.Request
		status       int
		readable     bool
	}{
		{"its own origin", own, good(), 200, true},
		{"an error of its own", own, post(PathToken, tokenForm("x", "client_id", "browser")), 400, true},
		{"another client's origin", "https://keyed.example", good(), 200, false},
		{"an origin of nobody", "https://evil.example", good(), 200, false},
		{"a sandboxed frame", "null", good(), 200, false},
		{"its origin in capitals", "https://RP.example", good(), 200, false},
		{"its origin with a port", "https://rp.example:8443", good(), 200, false},
		{"its origin with a slash", "https://rp.example/", good(), 200, false},
		{"its origin without TLS", "http://rp.example", good(), 200, false},
		{"a subdomain", "https://x.rp.example", good(), 200, false},
		{"no origin", "", good(), 200, false},
		{"a client without origins", own, post(PathToken, tokenForm("x", "client_id", "app")), 400, false},
		{"a client that does not prove itself, from its origin", "https://keyed.example", post(PathToken, form("grant_type", "authorization_code", "client_id", "keyed")), 401, true},
		{"a client that is named by its assertion only", "https://keyed.example", post(PathToken, form("grant_type", "authorization_code", "code", "x", "redirect_uri", redirect, "client_assertion_type", assertionType, "client_assertion", assertion("keyed"))), 400, true},
		{"nobody is named", own, post(PathToken, tokenForm("x")), 401, false},
		{"a push", own, post(PathPAR, request("client_id", "browser")), 201, true},
		{"a push from elsewhere", "https://keyed.example", post(PathPAR, request("client_id", "browser")), 201, false},
		{"a revocation", own, post(PathRevoke, form("client_id", "browser", "token", "x")), 200, true},
		{"introspection, never", "https://keyed.example", post(PathIntrospect, form("client_id", "keyed", "token", "x", "client_assertion_type", assertionType, "client_assertion", assertion("keyed"))), 200, false},
		{"the authorization request, never", own, get(PathAuthorize, request("client_id", "browser")), 303, false},
		{"userinfo", own, info(token()), 200, true},
		{"userinfo of another client's token", "https://keyed.example", info(token()), 200, false},
		{"userinfo with a token of nobody", own, info("x"), 401, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.origin != "" {
				from(tt.origin, tt.r)
			}
			got := w.do(tt.r)
			allowed, exposed := "", ""
			if tt.readable {
				allowed, exposed = tt.origin, "WWW-Authenticate, DPoP-Nonce"
			}
			if got.status != tt.status || got.header.Get("Access-Control-Allow-Origin") != allowed || got.header.Get("Access-Control-Expose-Headers") != exposed {
				t.Errorf("got %d, %v", got.status, got.header)
			}
			if got.header["Access-Control-Allow-Credentials"] != nil {
				t.Error("with credentials")
			}
			cors := tt.r.URL.Path != PathIntrospect && tt.r.URL.Path != PathAuthorize
			if cors != (got.header.Get("Vary") == "Origin") {
				t.Errorf("Vary = %q", got.header["Vary"])
			}
		})
	}
}

func TestCORS_PreflightKnowsNoClient(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	ask := func(path, origin string) reply {
		r := httptest.NewRequest(http.MethodOptions, path, nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "dpop")
		return w.do(r)
	}
	for path, methods := range map[string]string{PathToken: "POST", PathPAR: "POST", PathRevoke: "POST", PathUserInfo: "GET, POST"} {
		for origin, ok := range map[string]bool{
			"https://rp.example": true, "https://both.example": true, "https://evil.example": false, "null": false, "*": false, "https://rp.example:8443": false,
		} {
			got := ask(path, origin)
			want := map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": methods, "Access-Control-Allow-Headers": "Authorization, Content-Type, DPoP", "Vary": "Origin"}
			if !ok {
				want = map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "", "Access-Control-Allow-Headers": "", "Vary": "Origin"}
			}
			for name, value := range want {
				if got.header.Get(name) != value {
					t.Errorf("%s from %s: %s = %q, want %q", path, origin, name, got.header.Get(name), value)
				}
			}
			if ok != (got.status == http.StatusNoContent) || got.header["Access-Control-Allow-Credentials"] != nil {
				t.Errorf("%s from %s: %d %v", path, origin, got.status, got.header)
			}
		}
	}
	for _, path := range []string{PathAuthorize, PathIntrospect} {
		if got := ask(path, "https://rp.example"); got.status != http.StatusMethodNotAllowed || got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestProfile_FAPI2_AssertionsForTheIssuerOnly_5_3_2_1(t *testing.T) {
	w := withApps(newWorld(t)).serve()
	c, _ := w.set.Get("jwt")
	c.AssertionForIssuerOnly = true
	for aud, ok := range map[string]bool{issuer: true, issuer + PathToken: false, issuer + PathPAR: false, issuer + "/": false} {
		got := w.do(post(PathToken, assertionForm(w, assert(t, w, map[string]any{"aud": aud}, jose.ES256, clientKey()))))
		if ok != (got.status == 200) {
			t.Errorf("aud %s: %d %s", aud, got.status, got.body)
		}
	}
}

func TestProfile_FranceConnect_ACRValuesAreRequired(t *testing.T) {
	w := newWorld(t).serve()
	c, _ := w.set.Get("library")
	c.RequireACRValues, c.RequirePKCE = true, false
	q := request("code_challenge", "-", "code_challenge_method", "-")
	wantErrorFields(t, w.do(get(PathAuthorize, q)).location(t, redirect), q, "invalid_request")
	q.Set("acr_values", "eidas1")
	if got := w.do(get(PathAuthorize, q)); got.header.Get("Location") != "/login/flow" {
		t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
	}
}
