package conformance

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
)

func TestFapi2SecurityProfile(t *testing.T) { runPlan(t, "TestFapi2SecurityProfile") }

func TestFapi2MessageSigning(t *testing.T) { runPlan(t, "TestFapi2MessageSigning") }

func fapiRedirects() map[string]string {
	return map[string]string{"first": suiteHost + "callback", "second": suiteHost + "callback?dummy1=lorem&dummy2=ipsum"}
}

// fapiClients are the two of docs/certification.md, with keys.
func fapiClients(t *testing.T) (string, map[string]*keys.Ring) {
	t.Helper()
	clients, rings := documented(t, "fapi clients"), map[string]*keys.Ring{}
	for id := range fapiRedirects() {
		// An RSA key as well: RS256 must be refused although there is a key for it.
		rings[id] = newRing(t, time.Now, "ES256", "RS256")
		clients = strings.ReplaceAll(clients, "PUBLIC-KEYS-OF-"+id, string(jwks(t, rings[id])))
	}
	return clients, rings
}

// fapi2Suite is a broker with two clients as the FAPI 2.0 plans have them: they
// prove themselves by key and push their requests. With signing these are request
// objects, and the answers are signed too (JARM).
func fapi2Suite(t *testing.T, signing bool) *suite {
	t.Helper()
	clients, rings := fapiClients(t)
	if signing {
		line := "    policy: conformance\n"
		clients = strings.ReplaceAll(clients, line, line+documented(t, "signing lines"))
	}
	s := &suite{op: start(t, clients), pkce: true, pushed: true, signed: signing}
	if signing {
		s.mode = "jwt"
	}
	of := func(id string) *client {
		return &client{op: s.op, id: id, ring: rings[id], alg: "ES256", redirect: fapiRedirects()[id], holder: newHolder(t, s.op)}
	}
	s.first, s.second = of("first"), of("second")
	return s
}

// securityTests are the modules of fapi2-security-profile-final; they are those of
// message signing too.
func securityTests() map[string]test {
	tests := named(map[string]test{
		"discovery-end-point-verification":                                         fapiDiscovery,
		"happy-flow":                                                               fapiHappyFlow,
		"user-rejects-authentication":                                              fapiUserRejects,
		"ensure-authorization-request-without-state-success":                       simply(func(r *request) { r.without("state") }),
		"ensure-authorization-request-without-nonce-success":                       simply(func(r *request) { r.without("nonce") }),
		"ensure-authorization-request-with-64-char-nonce-success":                  simply(func(r *request) { r.with("nonce", strings.Repeat("n", 64)) }),
		"ensure-other-scope-order-succeeds":                                        simply(func(r *request) { r.with("scope", "email profile openid") }),
		"test-claims-parameter-identity-claims":                                    fapiClaims,
		"access-token-type-header-case-sensitivity":                                fapiSchemeCase,
		"ensure-different-nonce-inside-and-outside-request-object":                 func(t *testing.T, s *suite) { fapiOutside(t, s, "nonce", true) },
		"ensure-different-state-inside-and-outside-request-object":                 func(t *testing.T, s *suite) { fapiOutside(t, s, "state", true) },
		"state-only-outside-request-object-not-used":                               func(t *testing.T, s *suite) { fapiOutside(t, s, "state", false) },
		"ensure-authorization-request-with-long-nonce":                             simply(func(r *request) { r.with("nonce", strings.Repeat("n", 384)) }),
		"ensure-authorization-request-with-long-state":                             fapiLongState,
		"ensure-request-object-without-redirect-uri-fails":                         fapiWithoutRedirectURI,
		"ensure-redirect-uri-in-authorization-request":                             fapiWithoutRedirectURI,
		"ensure-registered-redirect-uri":                                           fapiUnregistered,
		"plain-fapi-tolerate-unregistered-redirect-uri":                            fapiUnregistered, // we do not: see docs/divergences.md
		"ensure-unsigned-authorization-request-without-using-par-fails":            fapiWithoutPAR,
		"ensure-response-type-code-idtoken-fails":                                  refused("unsupported_response_type", func(r *request) { r.with("response_type", "code id_token") }),
		"ensure-response-type-token-fails":                                         refused("unsupported_response_type", func(r *request) { r.with("response_type", "token") }),
		"ensure-client-id-in-token-endpoint":                                       fapiOtherClientID,
		"ensure-authorization-code-is-bound-to-client":                             fapiCodeOfAnother,
		"attempt-reuse-authorization-code-after-one-second":                        func(t *testing.T, s *suite) { codeReuse(t, s, time.Second) },
		"ensure-token-endpoint-fails-with-expired-auth-code":                       fapiExpiredCode,
		"ensure-signed-client-assertion-with-RS256-fails":                          assertionRefused(func(c *client) { c.alg = "RS256" }),
		"ensure-client-assertion-in-token-endpoint":                                assertionRefused(func(c *client) { c.mute = true }),
		"ensure-client-assertion-with-exp-is-5-minutes-in-past-fails":              asserting(func(s *suite, m map[string]any) { m["exp"] = s.now().Add(-5 * time.Minute).Unix() }),
		"ensure-client-assertion-with-wrong-aud-fails":                             asserting(func(_ *suite, m map[string]any) { m["aud"] = "https://other.example" }),
		"ensure-client-assertion-with-no-sub-fails":                                asserting(func(_ *suite, m map[string]any) { delete(m, "sub") }),
		"ensure-invalid-client-assertions-fail":                                    fapiInvalidAssertions,
		"par-ensure-reused-request-uri-prior-to-auth-completion-succeeds":          fapiOpenedTwice,
		"par-attempt-reuse-request_uri":                                            fapiAnsweredOnce,
		"par-attempt-to-use-expired-request_uri":                                   fapiExpiredReference,
		"par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted": fapiAssertionAhead,
		"par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails": asserting(func(s *suite, m map[string]any) {
			m["nbf"], m["iat"], m["exp"] = s.now().Add(70*time.Second).Unix(), s.now().Add(70*time.Second).Unix(), s.now().Add(2*time.Minute).Unix()
		}),
		"par-attempt-to-use-request_uri-for-different-client":         fapiReferenceOfAnother,
		"par-authorization-request-containing-request_uri-form-param": fapiReferencePushed,
		"par-attempt-invalid-http-method":                             fapiWrongMethod,
		"par-ensure-pkce-required": refused("invalid_request", func(r *request) {
			r.without("code_challenge").without("code_challenge_method")
		}),
		"par-plain-pkce-rejected":                       refused("invalid_request", func(r *request) { r.with("code_challenge_method", "plain").with("code_challenge", r.verifier) }),
		"ensure-pkce-code-verifier-required":            func(t *testing.T, s *suite) { fapiVerifier(t, s, "") },
		"incorrect-pkce-code-verifier-rejected":         func(t *testing.T, s *suite) { fapiVerifier(t, s, random()) },
		"par-without-duplicate-parameters":              simply(func(*request) {}),
		"par-test-array-as-audience-fails":              asserting(func(s *suite, m map[string]any) { m["aud"] = []string{s.issuer} }),
		"par-test-par-endpoint-url-as-audience-fails":   asserting(func(s *suite, m map[string]any) { m["aud"] = s.issuer + "/par" }),
		"par-test-token-endpoint-url-as-audience-fails": asserting(func(s *suite, m map[string]any) { m["aud"] = s.issuer + "/token" }),
		"refresh-token":                                 fapiRefreshToken,
	})
	maps.Copy(tests, dpopTests())
	return tests
}

// messageTests are the modules of fapi2-message-signing-final.
func messageTests() map[string]test {
	claim := func(name string, value func(now time.Time) any) func(*request) {
		return func(r *request) { r.claims[name] = value(r.now()) }
	}
	in := func(d time.Duration) func(time.Time) any { return func(now time.Time) any { return now.Add(d).Unix() } }
	missing := func(time.Time) any { return nil }
	const bad = "invalid_request_object"
	tests := named(map[string]test{
		"ensure-request-object-with-multiple-aud-succeeds": simply(func(r *request) {
			r.claims["aud"] = []string{r.issuer, "https://other.example"}
		}),
		"ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted": simply(claim("nbf", in(8*time.Second))),
		"ensure-request-object-without-exp-fails":                            refused(bad, claim("exp", missing)),
		"ensure-request-object-without-nbf-fails":                            refused(bad, claim("nbf", missing)),
		"ensure-expired-request-object-fails":                                refused(bad, claim("exp", in(-5*time.Minute))),
		"ensure-request-object-with-bad-aud-fails":                           refused(bad, func(r *request) { r.claims["aud"] = "https://other.example" }),
		"ensure-request-object-with-exp-over-60-fails":                       refused(bad, claim("exp", in(70*time.Minute))),
		"ensure-request-object-with-nbf-over-60-fails":                       refused(bad, claim("nbf", in(-70*time.Minute))),
		"ensure-signed-request-object-with-RS256-fails":                      refused(bad, func(r *request) { r.alg = "RS256" }),
		"ensure-request-object-signature-algorithm-is-not-none":              refused(bad, func(r *request) { r.alg = "none" }),
		"ensure-request-object-with-invalid-signature-fails":                 refused(bad, func(r *request) { r.tamper = true }),
		"ensure-matching-key-in-authorization-request":                       anotherSigned,
		"ensure-unsigned-request-at-par-endpoint-fails":                      unsignedAtPAR,
		"par-authorization-request-containing-request_uri": refused(bad, func(r *request) {
			r.claims["request_uri"] = "urn:ietf:params:oauth:request_uri:" + random()
		}),
	})
	maps.Copy(tests, securityTests())
	return tests
}

func named(tests map[string]test) map[string]test {
	out := map[string]test{}
	for name, run := range tests {
		out[fapi+name] = run
	}
	return out
}

// refused pushes a request that must not be taken.
func refused(code string, change func(*request)) test {
	return func(t *testing.T, s *suite) {
		r := s.request(s.first)
		change(r)
		s.push(t, r).says(t, http.StatusBadRequest, code)
	}
}

// assertionRefused tries a client that does not prove itself, at both endpoints
// where it must.
func assertionRefused(change func(*client)) test {
	return func(t *testing.T, s *suite) {
		bad := *s.first
		change(&bad)
		r := s.request(s.first)
		bad.send(t, http.MethodPost, "/par", s.form(t, r)).says(t, http.StatusUnauthorized, "invalid_client")
		x := s.code(t, s.browser(t), r)
		bad.redeem(t, x.code, r.verifier).says(t, http.StatusUnauthorized, "invalid_client")
		// Whoever has not proven itself cannot burn the code either.
		s.spend(t, r, x)
	}
}

// asserting is assertionRefused for an assertion with other claims.
func asserting(change func(*suite, map[string]any)) test {
	return func(t *testing.T, s *suite) {
		assertionRefused(func(c *client) { c.assert = func(m map[string]any) { change(s, m) } })(t, s)
	}
}

// fapiDiscovery is FAPI 2.0 Security Profile section 5.3.2.2 and RFC 9126, 9207.
func fapiDiscovery(t *testing.T, s *suite) {
	for name, want := range map[string][]string{
		"code_challenge_methods_supported":                 {"S256"},
		"response_types_supported":                         {"code"},
		"token_endpoint_auth_methods_supported":            {"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": {"ES256", "PS256"},
		"request_object_signing_alg_values_supported":      {"ES256", "PS256"},
		"id_token_signing_alg_values_supported":            {"ES256"},
		"authorization_signing_alg_values_supported":       {"ES256"},
		"response_modes_supported":                         {"jwt"},
	} {
		for _, v := range want {
			if !slices.Contains(s.list(name), v) {
				t.Errorf("%s is %v, want %s in it", name, s.list(name), v)
			}
		}
		if strings.HasSuffix(name, "_alg_values_supported") && slices.Contains(s.list(name), "none") {
			t.Errorf("%s offers none", name)
		}
	}
	if s.metadata["authorization_response_iss_parameter_supported"] != true || s.metadata["pushed_authorization_request_endpoint"] != s.issuer+"/par" {
		t.Errorf("iss %v, par %v", s.metadata["authorization_response_iss_parameter_supported"], s.metadata["pushed_authorization_request_endpoint"])
	}
	if slices.Contains(s.list("code_challenge_methods_supported"), "plain") {
		t.Error("plain is offered")
	}
	goodKeys(t, s.jwks)
}

func fapiHappyFlow(t *testing.T, s *suite) {
	one := s.signIn(t, s.browser(t), s.request(s.first))
	two := s.signIn(t, s.browser(t), s.request(s.second).with("scope", "openid email"))
	if one.sub() == two.sub() {
		t.Error("two sectors know her by one subject")
	}
	if strings.Contains(two.callback, "?") || !s.signed && two.params.Get("dummy2") != "ipsum" {
		t.Errorf("the registered query is not there: %v", two.params)
	}
}

func fapiUserRejects(t *testing.T, s *suite) {
	b := s.browser(t)
	b.press = refuse
	s.ask(t, b, s.request(s.first)).returned(t, "access_denied")
}

func fapiClaims(t *testing.T, s *suite) {
	r := s.request(s.first).with("claims", `{"userinfo":{"given_name":{"essential":true},"email":null}}`)
	if s.signed { // an object inside an object (Core section 6.1)
		r.claims["claims"] = map[string]any{"userinfo": map[string]any{"given_name": map[string]any{"essential": true}, "email": nil}}
	}
	x := s.signIn(t, s.browser(t), r)
	if got := s.claims(t, s.first, x); got["given_name"] != "Camille Jeanne" || got["email"] != "camille@mail.example" || got["birthdate"] != nil {
		t.Errorf("userinfo has %v", got)
	}
}

// RFC 9110 section 11.1: the name of a scheme is the same in any case.
func fapiSchemeCase(t *testing.T, s *suite) {
	x := s.signIn(t, s.browser(t), s.request(s.first))
	for _, scheme := range []string{strings.ToUpper(x.scheme()), strings.ToLower(x.scheme()), strings.ToLower(x.scheme()[:1]) + strings.ToUpper(x.scheme()[1:])} {
		if r := s.first.userinfo(t, http.MethodGet, scheme, x.access); r.status != http.StatusOK {
			t.Errorf("%s: %d", scheme, r.status)
		}
	}
}

// fapiOutside sends a parameter in the address, and beside a request object, that
// differs from the one that was pushed, or was not pushed at all.
func fapiOutside(t *testing.T, s *suite, name string, inside bool) {
	r := s.request(s.first)
	if !inside {
		r.without(name)
	}
	if s.signed {
		r.beside = url.Values{name: {"outside"}}
	}
	address := s.address(t, r) + "&" + name + "=outside"
	s.spend(t, r, coded(t, s.arrive(t, r, s.browser(t).visit(address, nil)))) // compares state and nonce with those of r
}

func fapiLongState(t *testing.T, s *suite) {
	s.signIn(t, s.browser(t), s.request(s.first).with("state", strings.Repeat("s", 384)))
	s.push(t, s.request(s.first).with("state", strings.Repeat("s", 1000))).says(t, http.StatusBadRequest, "invalid_request")
}

func fapiWithoutRedirectURI(t *testing.T, s *suite) {
	r := s.request(s.first).without("redirect_uri")
	if s.signed {
		r.beside = url.Values{"redirect_uri": {s.first.redirect}}
	}
	s.push(t, r).says(t, http.StatusBadRequest, "invalid_request", "invalid_request_object")
}

func fapiUnregistered(t *testing.T, s *suite) {
	for _, uri := range []string{suiteHost + "callback/other", suiteHost + "callback?x=1", s.second.redirect} {
		s.push(t, s.request(s.first).with("redirect_uri", uri)).says(t, http.StatusBadRequest, "invalid_request")
	}
}

func fapiWithoutPAR(t *testing.T, s *suite) {
	plain := *s
	plain.pushed, plain.signed = false, false
	r := plain.request(s.first)
	plain.ask(t, s.browser(t), r).returned(t, "invalid_request")
	if s.signed { // signed, but not pushed
		plain.signed = true
		r = plain.request(s.first)
		r.beside = url.Values{"redirect_uri": {s.first.redirect}}
		plain.ask(t, s.browser(t), r).returned(t, "invalid_request")
	}
}

func fapiOtherClientID(t *testing.T, s *suite) {
	r := s.request(s.first)
	x := s.code(t, s.browser(t), r)
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {x.code}, "redirect_uri": {s.first.redirect}, "code_verifier": {r.verifier},
		"client_id": {s.second.id},
	}
	s.first.send(t, http.MethodPost, "/token", form).says(t, http.StatusUnauthorized, "invalid_client")
}

func fapiCodeOfAnother(t *testing.T, s *suite) {
	r := s.request(s.first)
	x := s.code(t, s.browser(t), r)
	other := *s.second
	other.redirect = s.first.redirect
	other.redeem(t, x.code, r.verifier).says(t, http.StatusBadRequest, "invalid_grant")
}

func fapiExpiredCode(t *testing.T, s *suite) {
	r := s.request(s.first)
	x := s.code(t, s.browser(t), r)
	s.pass(t, 61*time.Second) // FAPI 2.0 section 5.3.2.2: at most 60 s
	r.redeem(t, x.code, r.verifier).says(t, http.StatusBadRequest, "invalid_grant")
}

func fapiInvalidAssertions(t *testing.T, s *suite) {
	for name, run := range map[string]test{
		"nobody signed":        assertionRefused(func(c *client) { c.alg = "none" }),
		"another client's key": assertionRefused(func(c *client) { c.ring = s.second.ring }),
		"another iss":          asserting(func(_ *suite, m map[string]any) { m["iss"] = "second" }),
		"another sub":          asserting(func(_ *suite, m map[string]any) { m["sub"] = "second" }),
		"no iss":               asserting(func(_ *suite, m map[string]any) { delete(m, "iss") }),
		"no aud":               asserting(func(_ *suite, m map[string]any) { delete(m, "aud") }),
		"no exp":               asserting(func(_ *suite, m map[string]any) { delete(m, "exp") }),
		"no jti":               asserting(func(_ *suite, m map[string]any) { delete(m, "jti") }),
		"for too long":         asserting(func(s *suite, m map[string]any) { m["exp"] = s.now().Add(time.Hour).Unix() }),
	} {
		t.Run(name, func(t *testing.T) { run(t, s) })
	}
	t.Run("twice", func(t *testing.T) {
		once := *s.first
		jti := random()
		once.assert = func(m map[string]any) { m["jti"] = jti }
		if r := once.send(t, http.MethodPost, "/par", s.form(t, s.request(s.first))); r.status != http.StatusCreated {
			t.Fatalf("the first time: %d %v", r.status, r.body)
		}
		once.send(t, http.MethodPost, "/par", s.form(t, s.request(s.first))).says(t, http.StatusUnauthorized, "invalid_client")
	})
}

func fapiAssertionAhead(t *testing.T, s *suite) {
	ahead := *s.first
	ahead.assert = func(m map[string]any) {
		m["iat"], m["nbf"] = s.now().Add(8*time.Second).Unix(), s.now().Add(8*time.Second).Unix()
	}
	s.signIn(t, s.browser(t), s.request(&ahead))
}

// A person may open a pushed request twice; FAPI 2.0 section 5.3.2.2 note 3.
func fapiOpenedTwice(t *testing.T, s *suite) {
	r := s.request(s.first)
	address, b := s.address(t, r), s.browser(t)
	b.press = nil
	if o := b.visit(address, nil); o.open.root == nil {
		t.Fatalf("the first visit ends with %v, page %q", o.params, o.page)
	}
	b.press = agree
	s.spend(t, r, coded(t, s.arrive(t, r, b.visit(address, nil))))
}

func fapiAnsweredOnce(t *testing.T, s *suite) {
	r := s.request(s.first)
	address, b := s.address(t, r), s.browser(t)
	s.spend(t, r, coded(t, s.arrive(t, r, b.visit(address, nil))))
	b.visit(address, nil).stopped(t, "flow_unknown")
	s.browser(t).visit(address, nil).stopped(t, "flow_unknown")
}

func fapiExpiredReference(t *testing.T, s *suite) {
	r := s.request(s.first)
	answer := s.push(t, r)
	life, _ := answer.body["expires_in"].(float64)
	if answer.status != http.StatusCreated || life < 5 || life >= 600 { // FAPI 2.0: less than 600 s
		t.Fatalf("push: %d %v", answer.status, answer.body)
	}
	s.pass(t, time.Duration(life+1)*time.Second)
	s.browser(t).visit(s.reference(s.first, answer.str("request_uri")), nil).stopped(t, "flow_unknown")
}

func fapiReferenceOfAnother(t *testing.T, s *suite) {
	answer := s.push(t, s.request(s.first))
	s.browser(t).visit(s.reference(s.second, answer.str("request_uri")), nil).stopped(t, "flow_unknown")
}

func fapiReferencePushed(t *testing.T, s *suite) {
	first := s.push(t, s.request(s.first))
	form := maps.Clone(s.form(t, s.request(s.first)))
	form.Set("request_uri", first.str("request_uri"))
	s.first.send(t, http.MethodPost, "/par", form).says(t, http.StatusBadRequest, "invalid_request")
}

func fapiWrongMethod(t *testing.T, s *suite) {
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		r := s.first.send(t, method, "/par", s.form(t, s.request(s.first)))
		if r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d, Allow %q", method, r.status, r.header.Get("Allow"))
		}
	}
}

// FAPI 2.0 wants invalid_grant, not invalid_request, when a verifier is missing.
func fapiVerifier(t *testing.T, s *suite, verifier string) {
	r := s.request(s.first)
	x := s.code(t, s.browser(t), r)
	r.redeem(t, x.code, verifier).says(t, http.StatusBadRequest, "invalid_grant")
}

func anotherSigned(t *testing.T, s *suite) {
	r := s.request(s.first)
	r.signer = s.second
	s.push(t, r).says(t, http.StatusBadRequest, "invalid_request_object")
}

func unsignedAtPAR(t *testing.T, s *suite) {
	plain := *s
	plain.signed = false
	plain.push(t, plain.request(s.first)).says(t, http.StatusBadRequest, "invalid_request", "invalid_request_object")
}
