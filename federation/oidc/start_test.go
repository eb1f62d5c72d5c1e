package oidc_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

func startQuery(t *testing.T, p *oidc.Provider, r federation.Request) url.Values {
	t.Helper()
	r.State = "flow.random"
	s, err := p.Start(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestStart_AsksForExactlyThis_OIDCCore_3_1_2_1(t *testing.T) {
	h := newHostile(t)
	q := startQuery(t, newProvider(t, h.config()), federation.Request{})
	for _, fresh := range []string{"nonce", "code_challenge"} {
		if len(q.Get(fresh)) != 43 {
			t.Errorf("%s = %q, want 43 characters", fresh, q.Get(fresh))
		}
		q.Del(fresh)
	}
	want := url.Values{
		"tenant": {"1"}, "response_type": {"code"}, "client_id": {"voussoir"}, "redirect_uri": {"http://localhost:8080/callback/tax"},
		"scope": {"openid profile birth email"}, "state": {"flow.random"}, "code_challenge_method": {"S256"},
	}
	if q.Encode() != want.Encode() {
		t.Errorf("request = %v, want %v", q, want)
	}
}

func TestStart_EachSignInHasItsOwnNonceAndVerifier(t *testing.T) {
	p := newProvider(t, newHostile(t).config())
	seen := map[string]bool{}
	for range 50 {
		s, err := p.Start(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		var pend map[string]any
		if err := json.Unmarshal(s.Pending, &pend); err != nil || len(s.Pending) > 256 {
			t.Fatalf("pending of %d bytes: %v", len(s.Pending), err)
		}
		for _, k := range []string{"n", "v"} {
			v, _ := pend[k].(string)
			if v == "" || seen[v] {
				t.Fatalf("%s = %q is empty or was used before", k, v)
			}
			seen[v] = true
		}
		if strings.Contains(s.URL, pend["v"].(string)) {
			t.Error("the verifier is in the URL")
		}
	}
}

func TestStart_PassesOnWhatWasAsked(t *testing.T) {
	minute := time.Minute + 900*time.Millisecond
	tests := []struct {
		name    string
		request federation.Request
		silent  bool // the provider's metadata does not say which prompts it knows
		want    map[string]string
	}{
		{"nothing when nothing was", federation.Request{}, false, map[string]string{"acr_values": "", "prompt": "", "max_age": "", "login_hint": "", "ui_locales": ""}},
		{"the levels that satisfy, weakest first", federation.Request{MinACR: protocol.EIDAS1}, false, map[string]string{"acr_values": "urn:x:low urn:x:sub urn:x:high"}},
		{"no level below", federation.Request{MinACR: protocol.EIDAS2}, false, map[string]string{"acr_values": "urn:x:sub urn:x:high"}},
		{"a new sign-in, and its time", federation.Request{ForceLogin: true}, false, map[string]string{"prompt": "login", "max_age": "0"}},
		{"a new sign-in rather than any age", federation.Request{ForceLogin: true, MaxAge: &minute}, false, map[string]string{"prompt": "login", "max_age": "0"}},
		{"another account", federation.Request{SelectAccount: true}, false, map[string]string{"prompt": "select_account", "max_age": ""}},
		{"another account, by a new sign-in", federation.Request{SelectAccount: true, ForceLogin: true}, false, map[string]string{"prompt": "select_account login"}},
		{"a new sign-in where accounts cannot be chosen", federation.Request{SelectAccount: true}, true, map[string]string{"prompt": "login", "max_age": ""}},
		{"whole seconds of age", federation.Request{MaxAge: &minute}, false, map[string]string{"max_age": "60", "prompt": ""}},
		{"a hint", federation.Request{LoginHint: "angela@example.test"}, false, map[string]string{"login_hint": "angela@example.test"}},
		{"no hint of 257 bytes", federation.Request{LoginHint: strings.Repeat("x", 257)}, false, map[string]string{"login_hint": ""}},
		{"no hint with a line break", federation.Request{LoginHint: "a\r\nb"}, false, map[string]string{"login_hint": ""}},
		{"languages", federation.Request{UILocales: []string{"fr-CA", "en"}}, false, map[string]string{"ui_locales": "fr-CA en"}},
		{"nothing that is no language", federation.Request{UILocales: []string{"fr en", "<script>", "", strings.Repeat("a", 100), "en"}}, false, map[string]string{"ui_locales": "en"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHostile(t)
			if tt.silent {
				h.discovery = func(doc members) { delete(doc, "prompt_values_supported") }
			}
			q := startQuery(t, newProvider(t, h.config()), tt.request)
			for name, want := range tt.want {
				if got := q.Get(name); got != want || (want == "" && q.Has(name)) {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestStart_DoesNotSendAnyoneWhereTheLevelCannotBeReached(t *testing.T) {
	_, err := newProvider(t, newHostile(t).config()).Start(context.Background(), federation.Request{State: "s", MinACR: protocol.EIDAS3})
	wantKind(t, err, federation.TooWeak)
}

func TestStart_NeedsAState(t *testing.T) {
	_, err := newProvider(t, newHostile(t).config()).Start(context.Background(), federation.Request{})
	wantKind(t, err, federation.Invalid)
}

func TestStart_AProviderThatIsDownIsUnavailable(t *testing.T) {
	h := newHostile(t)
	p := newProvider(t, h.config())
	h.Close()
	_, err := p.Start(context.Background(), request)
	wantKind(t, err, federation.Unavailable)
}

func TestStart_MetadataIsFetchedOnceAndAgainAfterAnHour(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	clock := now
	c.Now = func() time.Time { return clock }
	p := newProvider(t, c)
	for range 10 {
		startQuery(t, p, federation.Request{})
	}
	if n := h.count("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("%d fetches for 10 sign-ins, want 1", n)
	}
	clock = clock.Add(time.Hour)
	startQuery(t, p, federation.Request{})
	if n := h.count("/.well-known/openid-configuration"); n != 2 {
		t.Errorf("%d fetches after an hour, want 2", n)
	}
	h.document = func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true }
	clock = clock.Add(23 * time.Hour)
	startQuery(t, p, federation.Request{}) // what it said last still holds
	clock = clock.Add(2 * time.Hour)
	_, err := p.Start(context.Background(), request)
	wantKind(t, err, federation.Unavailable)
}

func TestStaticEndpointsNeedNoDiscovery(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	c.Endpoints = &oidc.Endpoints{Authorization: h.URL + "/authorize", Token: h.URL + "/token", UserInfo: h.URL + "/userinfo", JWKS: h.URL + "/jwks", IssParameter: true}
	p := newProvider(t, c)
	if _, err := h.signIn(t, p, request); err != nil {
		t.Fatal(err)
	}
	if n := h.count("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("%d fetches of metadata, want none", n)
	}
	h.answer = func(q url.Values) { q.Del("iss") }
	_, err := h.signIn(t, p, request)
	wantKind(t, err, federation.Invalid)
}

func TestMX_04_MetadataThatIsNotTheProvidersOwnIsNeverUsed(t *testing.T) {
	for name, change := range map[string]func(h *hostile) func(doc members){
		"another issuer":         func(*hostile) func(members) { return func(d members) { d["issuer"] = "https://other.test" } },
		"issuer with a slash":    func(h *hostile) func(members) { return func(d members) { d["issuer"] = h.URL + "/" } },
		"issuer in another case": func(h *hostile) func(members) { return func(d members) { d["Issuer"] = h.URL; delete(d, "issuer") } },
		"no issuer":              func(*hostile) func(members) { return func(d members) { delete(d, "issuer") } },
		"issuer is a list":       func(h *hostile) func(members) { return func(d members) { d["issuer"] = []string{h.URL} } },
		"token endpoint elsewhere": func(*hostile) func(members) {
			return func(d members) { d["token_endpoint"] = "http://other-idp.test/token" }
		},
		"token endpoint on our host": func(*hostile) func(members) {
			return func(d members) { d["token_endpoint"] = "http://LOCALHOST:8080/token" }
		},
		"userinfo elsewhere": func(*hostile) func(members) {
			return func(d members) { d["userinfo_endpoint"] = "http://other-idp.test:80/" }
		},
		"keys elsewhere": func(*hostile) func(members) { return func(d members) { d["jwks_uri"] = "http://other-idp.test/jwks" } },
		"authorization elsewhere": func(*hostile) func(members) {
			return func(d members) { d["authorization_endpoint"] = "http://other-idp.test/" }
		},
		"javascript": func(*hostile) func(members) {
			return func(d members) { d["authorization_endpoint"] = "javascript:alert(1)" }
		},
		"file":        func(*hostile) func(members) { return func(d members) { d["jwks_uri"] = "file:///etc/passwd" } },
		"credentials": func(*hostile) func(members) { return func(d members) { d["token_endpoint"] = "http://a:b@op.test/" } },
		"fragment": func(h *hostile) func(members) {
			return func(d members) { d["authorization_endpoint"] = h.URL + "/a#b" }
		},
		"no token endpoint":            func(*hostile) func(members) { return func(d members) { delete(d, "token_endpoint") } },
		"no keys":                      func(*hostile) func(members) { return func(d members) { delete(d, "jwks_uri") } },
		"no userinfo though we ask it": func(*hostile) func(members) { return func(d members) { delete(d, "userinfo_endpoint") } },
		"endpoint is null":             func(*hostile) func(members) { return func(d members) { d["token_endpoint"] = nil } },
		"iss support as text": func(*hostile) func(members) {
			return func(d members) { d["authorization_response_iss_parameter_supported"] = "false" }
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			c := h.config()
			c.ForeignHosts = []string{"localhost:8080", "other-idp.test", strings.TrimPrefix(h.URL, "http://")}
			clock := now
			c.Now = func() time.Time { return clock }
			p := newProvider(t, c)
			startQuery(t, p, federation.Request{}) // honest at first
			h.discovery = change(h)
			clock = clock.Add(time.Hour)
			_, err := p.Start(context.Background(), request)
			wantKind(t, err, federation.Unavailable)
			if err := p.Ready(context.Background()); err == nil {
				t.Error("Ready says that it is")
			}
			if h.count("/token")+h.count("/jwks") != 0 {
				t.Error("an endpoint was called")
			}
		})
	}
}

func TestMX_04_AnIssuerOnHTTPSHasNoEndpointOnHTTP(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	c.Issuer = "https://op.test"
	c.Endpoints = &oidc.Endpoints{Authorization: "https://op.test/a", Token: "http://op.test/t", UserInfo: "https://op.test/u", JWKS: "https://op.test/j"}
	if _, err := oidc.New(c); err == nil {
		t.Error("accepted, even in development")
	}
}

func TestNew_RefusesAMistakenConfiguration(t *testing.T) {
	h := newHostile(t)
	for name, change := range map[string]func(*oidc.Config){
		"no id":                            func(c *oidc.Config) { c.ID = "" },
		"no client id":                     func(c *oidc.Config) { c.ClientID = "" },
		"no HTTP client":                   func(c *oidc.Config) { c.Client = nil },
		"no clock":                         func(c *oidc.Config) { c.Now = nil },
		"no openid scope":                  func(c *oidc.Config) { c.Scopes = []string{"profile"} },
		"UT-23: no algorithm":              func(c *oidc.Config) { c.IDTokenSigningAlg = "" },
		"UT-23: algorithm none":            func(c *oidc.Config) { c.IDTokenSigningAlg = "none" },
		"UT-23: algorithm HS256":           func(c *oidc.Config) { c.IDTokenSigningAlg = "HS256" },
		"userinfo algorithm none":          func(c *oidc.Config) { c.UserInfo.SigningAlg = "none" },
		"no maximum level":                 func(c *oidc.Config) { c.ACR.Max = "" },
		"unknown default level":            func(c *oidc.Config) { c.ACR.Default = "loa3" },
		"unknown level in the map":         func(c *oidc.Config) { c.ACR.Map = map[string]protocol.ACR{"x": "loa3"} },
		"acr value with a space":           func(c *oidc.Config) { c.ACR.Map = map[string]protocol.ACR{"a b": protocol.EIDAS1} },
		"issuer on http":                   func(c *oidc.Config) { c.AllowHTTP = false },
		"issuer with a query":              func(c *oidc.Config) { c.Issuer += "?x=1" },
		"issuer with a fragment":           func(c *oidc.Config) { c.Issuer += "#x" },
		"no issuer":                        func(c *oidc.Config) { c.Issuer = "" },
		"another provider's callback":      func(c *oidc.Config) { c.RedirectURI = "http://localhost:8080/callback/post" },
		"no callback":                      func(c *oidc.Config) { c.RedirectURI = "" },
		"no secret":                        func(c *oidc.Config) { c.ClientSecret = "" },
		"no authentication method":         func(c *oidc.Config) { c.AuthMethod = "" },
		"authentication method none":       func(c *oidc.Config) { c.AuthMethod = "none" },
		"private_key_jwt without a signer": func(c *oidc.Config) { c.AuthMethod, c.ClientSecret = oidc.PrivateKeyJWT, "" },
		"private_key_jwt with a secret":    func(c *oidc.Config) { c.AuthMethod, c.Signer = oidc.PrivateKeyJWT, signer{} },
		"a claim of ours that is none":     func(c *oidc.Config) { c.Claims = map[string]string{"x": "role"} },
		"sub mapped to a fact":             func(c *oidc.Config) { c.Claims = map[string]string{"sub": "email"} },
		"two claims for one":               func(c *oidc.Config) { c.Claims = map[string]string{"a": "email", "b": "email"} },
		"static endpoints that are none":   func(c *oidc.Config) { c.Endpoints = &oidc.Endpoints{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := h.config()
			change(&c)
			if p, err := oidc.New(c); err == nil || p != nil {
				t.Errorf("New = %v, %v; want a refusal", p, err)
			}
		})
	}
}

func TestDescription_IsWhatTheDirectoryShows(t *testing.T) {
	d := newProvider(t, newHostile(t).config()).Description()
	if d.ID != "tax" || d.Name.In("en") != "Tax office" || d.MaxACR != protocol.EIDAS2 {
		t.Errorf("Description = %+v", d)
	}
}

func TestSF_01_AProviderOnAPrivateAddressIsUnavailableUnlessAllowed(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	c.Client = outbound.New(outbound.Config{AllowHTTP: true})
	_, err := newProvider(t, c).Start(context.Background(), request)
	wantKind(t, err, federation.Unavailable)
	if h.count("/.well-known/openid-configuration") != 0 {
		t.Error("it was called")
	}
}
