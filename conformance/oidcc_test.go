package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// basicSuite is a broker with the clients of docs/certification.md.
func basicSuite(t *testing.T, mode string) *suite {
	t.Helper()
	return basicSuiteWith(t, mode, "")
}

// basicSuiteWith has more lines for each client.
func basicSuiteWith(t *testing.T, mode, more string) *suite {
	t.Helper()
	const line = "    policy: conformance\n"
	clients := strings.ReplaceAll(documented(t, "basic clients"), line, line+more)
	for _, id := range []string{"first", "second", "poster"} {
		clients = strings.ReplaceAll(clients, "SHA256-OF-THE-SECRET-OF-"+id, secretHash("secret-of-"+id))
	}
	o := start(t, clients)
	of := func(id string) *client {
		return &client{op: o, id: id, secret: "secret-of-" + id, redirect: suiteHost + "callback"}
	}
	return &suite{op: o, first: of("first"), second: of("second"), mode: mode}
}

func TestOidccBasic(t *testing.T) { runPlan(t, "TestOidccBasic") }

func TestOidccFormpostBasic(t *testing.T) { runPlan(t, "TestOidccFormpostBasic") }

func TestOidccConfig(t *testing.T) { runPlan(t, "TestOidccConfig") }

// simply signs in with a request that has one thing more or less than usual.
func simply(change func(r *request)) test {
	return func(t *testing.T, s *suite) {
		r := s.request(s.first)
		change(r)
		s.signIn(t, s.browser(t), r)
	}
}

// gets signs in with a scope, and wants exactly these claims at userinfo.
func gets(scope string, want ...string) test {
	return func(t *testing.T, s *suite) {
		x := s.signIn(t, s.browser(t), s.request(s.first).with("scope", scope))
		got := s.claims(t, s.first, x)
		delete(got, "sub")
		for _, name := range want {
			if got[name] == nil {
				t.Errorf("no %s at userinfo", name)
			}
		}
		if len(got) != len(want) {
			t.Errorf("userinfo has %v, want %v", got, want)
		}
	}
}

var profile = []string{"given_name", "family_name", "preferred_username", "birthdate", "gender"}

// basicTests are the modules of oidcc-basic and oidcc-formpost-basic.
func basicTests() map[string]test {
	return map[string]test{
		"oidcc-server":                server,
		"oidcc-response-type-missing": responseTypeMissing,
		"oidcc-idtoken-signature":     idTokenSignature,
		"oidcc-idtoken-unsigned":      idTokenUnsigned,
		"oidcc-userinfo-get":          func(t *testing.T, s *suite) { userinfo(t, s, http.MethodGet, false) },
		"oidcc-userinfo-post-header":  func(t *testing.T, s *suite) { userinfo(t, s, http.MethodPost, false) },
		"oidcc-userinfo-post-body":    func(t *testing.T, s *suite) { userinfo(t, s, http.MethodPost, true) },
		"oidcc-ensure-request-without-nonce-succeeds-for-code-flow": simply(func(r *request) { r.without("nonce") }),
		"oidcc-scope-profile":        gets("openid profile", profile...),
		"oidcc-scope-email":          gets("openid email", "email", "email_verified"),
		"oidcc-scope-address":        gets("openid address"), // a scope that nobody here fills, see docs/divergences.md
		"oidcc-scope-phone":          gets("openid phone"),
		"oidcc-scope-all":            gets("openid profile email address phone", append([]string{"email", "email_verified"}, profile...)...),
		"oidcc-alternate-happy-flow": alternateHappyFlow,
		"oidcc-display-page":         simply(func(r *request) { r.with("display", "page") }),
		"oidcc-display-popup":        simply(func(r *request) { r.with("display", "popup") }),
		"oidcc-ui-locales":           uiLocales,
		"oidcc-claims-locales":       simply(func(r *request) { r.with("claims_locales", "se fr-CA") }),
		"oidcc-login-hint":           simply(func(r *request) { r.with("login_hint", "bob@suite.example") }),
		"oidcc-id-token-hint":        idTokenHint,
		"oidcc-prompt-login":         promptLogin,
		"oidcc-prompt-none-not-logged-in": func(t *testing.T, s *suite) {
			s.ask(t, s.browser(t), s.request(s.first).with("prompt", "none")).returned(t, "login_required")
		},
		"oidcc-prompt-none-logged-in":                          promptNoneLoggedIn,
		"oidcc-max-age-1":                                      maxAge1,
		"oidcc-max-age-10000":                                  maxAge10000,
		"oidcc-ensure-request-with-unknown-parameter-succeeds": simply(func(r *request) { r.with("extra", "foobar") }),
		"oidcc-ensure-request-with-acr-values-succeeds":        acrValues,
		"oidcc-ensure-request-with-valid-pkce-succeeds": simply(func(r *request) {
			r.verifier = random()
			r.with("code_challenge", challenge(r.verifier)).with("code_challenge_method", "S256")
		}),
		"oidcc-codereuse":                      func(t *testing.T, s *suite) { codeReuse(t, s, 0) },
		"oidcc-codereuse-30seconds":            func(t *testing.T, s *suite) { codeReuse(t, s, 30*time.Second) },
		"oidcc-ensure-registered-redirect-uri": registeredRedirectURI,
		"oidcc-ensure-post-request-succeeds":   postRequest,
		"oidcc-server-client-secret-post":      clientSecretPost,
		"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported":    requestURI,
		"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported": unsignedRequestObject,
		"oidcc-ensure-request-object-with-redirect-uri":                                requestObjectWithRedirectURI,
		"oidcc-claims-essential": claimsEssential,
		"oidcc-refresh-token":    refreshToken,
	}
}

// A plain sign-in; also in a browser that does not say where a form comes from.
func server(t *testing.T, s *suite) {
	s.signIn(t, s.browser(t), s.request(s.first))
	old := s.browser(t)
	old.plain = true
	s.signIn(t, old, s.request(s.first).with("prompt", "consent"))
}

func responseTypeMissing(t *testing.T, s *suite) {
	s.ask(t, s.browser(t), s.request(s.first).without("response_type")).returned(t, "invalid_request")
}

// RS256 is the default of OpenID Connect Registration section 2, and the kid must
// lead to one key of the JWKS (Core section 10.1).
func idTokenSignature(t *testing.T, s *suite) {
	x := s.signIn(t, s.browser(t), s.request(s.first))
	head := part(t, x.tokens.str("id_token"), 0)
	found := 0
	for _, key := range publishedKeys(t, s.jwks) {
		if key["kid"] == head["kid"] && key["kty"] == "RSA" {
			found++
		}
	}
	if head["alg"] != "RS256" || found != 1 {
		t.Errorf("the ID token's header is %v, and %d keys fit", head, found)
	}
}

// The suite registers a client for alg none only where discovery offers it.
func idTokenUnsigned(t *testing.T, s *suite) {
	if algs := s.list("id_token_signing_alg_values_supported"); slices.Contains(algs, "none") || !slices.Contains(algs, "RS256") {
		t.Errorf("ID tokens may be signed with %v", algs)
	}
	x := s.signIn(t, s.browser(t), s.request(s.first))
	if alg := part(t, x.tokens.str("id_token"), 0)["alg"]; alg == "none" {
		t.Error("nobody signed the ID token")
	}
}

func userinfo(t *testing.T, s *suite, method string, inBody bool) {
	x := s.signIn(t, s.browser(t), s.request(s.first).with("scope", "openid email"))
	r := s.first.userinfo(t, method, "Bearer", x.access)
	if inBody { // RFC 6750 section 2.2
		r = s.first.call(t, method, "/userinfo", url.Values{}, func(req *http.Request) {
			body := url.Values{"access_token": {x.access}}.Encode()
			req.Body, req.ContentLength = readCloser(body), int64(len(body))
		})
	}
	if r.status != http.StatusOK || r.body["sub"] != x.sub() || r.body["email"] != "camille@mail.example" || r.body["email_verified"] != true {
		t.Errorf("userinfo: %d %v", r.status, r.body)
	}
}

// The order of parameters and of scopes means nothing (RFC 6749 section 3.3).
func alternateHappyFlow(t *testing.T, s *suite) {
	r := s.request(s.first).with("scope", "email openid")
	var reversed []string
	for _, pair := range slices.Backward(strings.Split(r.Encode(), "&")) {
		reversed = append(reversed, pair)
	}
	o := s.browser(t).visit(s.issuer+"/authorize?"+strings.Join(reversed, "&"), nil)
	x := s.spend(t, r, coded(t, s.arrive(t, r, o)))
	if got := s.claims(t, s.first, x); got["email"] == nil {
		t.Errorf("userinfo has %v", got)
	}
}

// A language that we do not have is no error, and one that we have is used.
func uiLocales(t *testing.T, s *suite) {
	s.signIn(t, s.browser(t), s.request(s.first).with("ui_locales", "se"))
	b := s.browser(t)
	b.press = agree[:2]
	r := s.request(s.first).with("ui_locales", "se fr").with("prompt", "consent")
	o := s.ask(t, b, r)
	if o.lang != "fr" {
		t.Errorf("the page is in %q", o.lang)
	}
	b.press = agree
	s.spend(t, r, coded(t, s.arrive(t, r, b.carryOn(o))))
}

// again signs in once, lets time pass, and once more with another request.
func again(t *testing.T, s *suite, pause time.Duration, change func(r *request, first session)) (before, after session) {
	t.Helper()
	b := s.browser(t)
	before = s.signIn(t, b, s.request(s.first))
	s.pass(t, pause)
	r := s.request(s.first)
	change(r, before)
	after = s.signIn(t, b, r)
	if after.sub() != before.sub() {
		t.Errorf("sub is %s, then %s", before.sub(), after.sub())
	}
	return before, after
}

func idTokenHint(t *testing.T, s *suite) {
	_, after := again(t, s, time.Second, func(r *request, first session) {
		r.with("prompt", "none").with("id_token_hint", first.tokens.str("id_token"))
	})
	if after.asked() {
		t.Error("she was asked although the hint is hers")
	}
}

func promptLogin(t *testing.T, s *suite) {
	before, after := again(t, s, 2*time.Second, func(r *request, _ session) { r.with("prompt", "login") })
	if !after.asked() || after.authTime() <= before.authTime() || before.authTime() == 0 {
		t.Errorf("asked %v, auth_time %d, then %d", after.asked(), before.authTime(), after.authTime())
	}
}

func promptNoneLoggedIn(t *testing.T, s *suite) {
	before, after := again(t, s, 2*time.Second, func(r *request, _ session) { r.with("prompt", "none") })
	if len(after.pressed) > 0 || after.authTime() != before.authTime() {
		t.Errorf("pressed %v, auth_time %d, then %d", after.pressed, before.authTime(), after.authTime())
	}
}

func maxAge1(t *testing.T, s *suite) {
	before, after := again(t, s, 2*time.Second, func(r *request, _ session) { r.with("max_age", "1") })
	if !after.asked() || after.authTime() <= before.authTime() {
		t.Errorf("asked %v, auth_time %d, then %d", after.asked(), before.authTime(), after.authTime())
	}
}

func maxAge10000(t *testing.T, s *suite) {
	before, after := again(t, s, 2*time.Second, func(r *request, _ session) { r.with("max_age", "10000") })
	if after.asked() || after.authTime() != before.authTime() || before.authTime() == 0 {
		t.Errorf("asked %v, auth_time %d, then %d", after.asked(), before.authTime(), after.authTime())
	}
}

func acrValues(t *testing.T, s *suite) {
	offered := s.list("acr_values_supported")
	x := s.signIn(t, s.browser(t), s.request(s.first).with("acr_values", strings.Join(offered, " ")))
	if acr, _ := x.id["acr"].(string); !slices.Contains(offered, acr) {
		t.Errorf("acr is %q, offered are %v", acr, offered)
	}
}

// RFC 6749 section 4.1.2: the second use is denied, and what the first bought ends.
func codeReuse(t *testing.T, s *suite, pause time.Duration) {
	r := s.request(s.first)
	x := s.signIn(t, s.browser(t), r)
	s.pass(t, pause)
	if pause > 0 { // it has not expired by itself
		s.claims(t, s.first, x)
	}
	r.redeem(t, x.code, r.verifier).says(t, http.StatusBadRequest, "invalid_grant")
	s.dead(t, s.first, x)
}

func registeredRedirectURI(t *testing.T, s *suite) {
	for _, uri := range []string{suiteHost + "other", suiteHost + "callback/", suiteHost + "callback?x=1", "https://suite.example/callback"} {
		s.browser(t).visit(s.address(t, s.request(s.first).with("redirect_uri", uri)), nil).stopped(t, "redirect_invalid")
	}
}

func postRequest(t *testing.T, s *suite) {
	r := s.request(s.first)
	o := s.browser(t).visit(s.issuer+"/authorize", r.Values)
	s.spend(t, r, coded(t, s.arrive(t, r, o)))
}

func clientSecretPost(t *testing.T, s *suite) {
	poster := &client{op: s.op, id: "poster", secret: "secret-of-poster", inForm: true, redirect: suiteHost + "callback"}
	s.signIn(t, s.browser(t), s.request(poster))
	wrong := *poster // the registered method is the only one
	wrong.inForm = false
	x := s.code(t, s.browser(t), s.request(poster))
	wrong.redeem(t, x.code, "").says(t, http.StatusUnauthorized, "invalid_client")
}

func requestURI(t *testing.T, s *suite) {
	if s.metadata["request_uri_parameter_supported"] != false { // true if absent
		t.Error("discovery does not say that request_uri is not taken")
	}
	r := s.request(s.first).with("request_uri", suiteHost+"requests/one")
	s.ask(t, s.browser(t), r).returned(t, "request_uri_not_supported")
}

// unsignedObject is a request object that nobody signed.
func unsignedObject(t *testing.T, s *suite, change func(map[string]any)) string {
	t.Helper()
	claims := map[string]any{"iss": s.first.id, "aud": s.issuer}
	for name := range s.request(s.first).Values {
		claims[name] = s.request(s.first).Get(name)
	}
	change(claims)
	return s.first.sign(t, "none", "JWT", claims)
}

func unsignedRequestObject(t *testing.T, s *suite) {
	r := s.request(s.first)
	r.with("request", unsignedObject(t, s, func(claims map[string]any) { claims["nonce"] = r.Get("nonce") }))
	s.ask(t, s.browser(t), r).returned(t, "request_not_supported")
}

// An unregistered redirect URI beside the object, a good one in it: the first must
// not be called. We take no unsigned object, so that none is.
func requestObjectWithRedirectURI(t *testing.T, s *suite) {
	r := s.request(s.first).with("redirect_uri", suiteHost+"callback/other")
	r.with("request", unsignedObject(t, s, func(map[string]any) {}))
	s.browser(t).visit(s.address(t, r), nil).stopped(t, "redirect_invalid")
	// The other way round it is the object that is refused.
	r = s.request(s.first)
	r.with("request", unsignedObject(t, s, func(claims map[string]any) { claims["redirect_uri"] = suiteHost + "callback/other" }))
	o := s.ask(t, s.browser(t), r)
	o.returned(t, "request_not_supported")
	if o.callback != s.first.redirect {
		t.Errorf("called %s", o.callback)
	}
}

// A claim that is asked for as essential may be missing (Core section 5.5.1); one
// that we have comes.
func claimsEssential(t *testing.T, s *suite) {
	asked := `{"userinfo":{"name":{"essential":true},"given_name":{"essential":true}}}`
	x := s.signIn(t, s.browser(t), s.request(s.first).with("claims", asked))
	if got := s.claims(t, s.first, x); got["given_name"] != "Camille Jeanne" || got["email"] != nil {
		t.Errorf("userinfo has %v", got)
	}
}

// list is a member of the metadata that is a list of strings.
func (o *op) list(name string) []string {
	var out []string
	values, _ := o.metadata[name].([]any)
	for _, v := range values {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func publishedKeys(t *testing.T, jwks []byte) []map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

// discovery is the one module of oidcc-config. Its broker runs on this machine,
// where http will do; that an issuer elsewhere must be https is the configuration's
// check.
func discovery(t *testing.T, s *suite) {
	m := s.metadata
	if m["issuer"] != s.issuer {
		t.Errorf("issuer is %v, want %s", m["issuer"], s.issuer)
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
		if u, _ := m[name].(string); !strings.HasPrefix(u, s.issuer+"/") {
			t.Errorf("%s is %v", name, m[name])
		}
	}
	for name, want := range map[string][]string{ // OpenID Connect Discovery section 3, and what the basic profile asks for
		"response_types_supported":              {"code"},
		"response_modes_supported":              {"query", "form_post"},
		"grant_types_supported":                 {"authorization_code"},
		"id_token_signing_alg_values_supported": {"RS256"},
		"scopes_supported":                      {"openid"},
		"claims_supported":                      {"sub", "iss", "given_name", "email"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post"},
		"subject_types_supported":               {"pairwise"},
	} {
		for _, v := range want {
			if !slices.Contains(s.list(name), v) {
				t.Errorf("%s is %v, want %s in it", name, m[name], v)
			}
		}
	}
	if m["claims_parameter_supported"] != true || m["request_uri_parameter_supported"] != false {
		t.Errorf("claims: %v, request_uri: %v", m["claims_parameter_supported"], m["request_uri_parameter_supported"])
	}
	goodKeys(t, s.jwks)
}

// goodKeys checks a JWKS (RFC 7517): no private part, no key twice, base64url.
func goodKeys(t *testing.T, jwks []byte) {
	t.Helper()
	seen := map[any]bool{}
	keys := publishedKeys(t, jwks)
	for _, key := range keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if key[private] != nil {
				t.Errorf("key %v shows %s", key["kid"], private)
			}
		}
		for _, public := range []string{"n", "e", "x", "y"} {
			if v, ok := key[public].(string); ok {
				if _, err := base64.RawURLEncoding.DecodeString(v); err != nil {
					t.Errorf("key %v: %s: %v", key["kid"], public, err)
				}
			}
		}
		if key["kid"] == nil || seen[key["kid"]] || key["alg"] == nil || key["use"] != "sig" {
			t.Errorf("key %v: alg %v, use %v", key["kid"], key["alg"], key["use"])
		}
		seen[key["kid"]] = true
	}
	if len(keys) == 0 {
		t.Error("no keys")
	}
}
