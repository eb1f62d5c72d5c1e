package conformance

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
)

func TestOidccDynamic(t *testing.T) { runPlan(t, "TestOidccDynamic") }

// initialToken is the one that docs/certification.md makes for the suite.
const initialToken = "the-initial-access-token-of-the-suite-0123456789"

// dynamicSuite is a broker at which clients register; two have.
func dynamicSuite(t *testing.T) *suite {
	t.Helper()
	block := strings.ReplaceAll(documented(t, "registration"), "SHA256-OF-THE-INITIAL-ACCESS-TOKEN", secretHash(initialToken))
	s := &suite{op: start(t, strings.ReplaceAll(block, "www.certification.openid.net", "suite.example"))}
	s.first, s.second = s.registered(t, nil), s.registered(t, nil)
	return s
}

// metadata is what a client says of itself when it registers.
type metadata map[string]any

// register sends it to the endpoint that discovery names, as the suite does: with the
// initial access token that it was given.
func (s *suite) register(t *testing.T, m metadata) reply {
	t.Helper()
	whole := metadata{"redirect_uris": []string{suiteHost + "callback"}, "response_types": []string{"code"}, "grant_types": []string{"authorization_code"}}
	for name, value := range m {
		whole[name] = value
	}
	endpoint, _ := s.metadata["registration_endpoint"].(string)
	path, here := strings.CutPrefix(endpoint, s.issuer)
	if !here {
		t.Fatalf("registration_endpoint is %q", endpoint)
	}
	return s.send(t, http.MethodPost, path, initialToken, encode(t, whole))
}

// send sends JSON with a bearer token.
func (o *op) send(t *testing.T, method, path, token string, body []byte) reply {
	t.Helper()
	return o.exchange(t, method, path, nil, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = readCloser(string(body)), int64(len(body))
	})
}

// registered is a client that has registered, and is gone with the test.
func (s *suite) registered(t *testing.T, m metadata) *client {
	t.Helper()
	r := s.register(t, m)
	c := &client{op: s.op, id: r.str("client_id"), secret: r.str("client_secret"), redirect: suiteHost + "callback"}
	if r.status != http.StatusCreated || c.id == "" || !strings.Contains(r.header.Get("Cache-Control"), "no-store") {
		t.Fatalf("registration: %d %v", r.status, r.body)
	}
	if uris, ok := r.body["redirect_uris"].([]any); ok {
		c.redirect, _ = uris[0].(string)
	}
	for name, want := range m { // RFC 7591 section 3.2.1: all that holds comes back
		if got := string(encode(t, r.body[name])); got != string(encode(t, want)) {
			t.Errorf("%s was registered as %s, and is %s", name, encode(t, want), got)
		}
	}
	self, access := strings.TrimPrefix(r.str("registration_client_uri"), s.issuer), r.str("registration_access_token")
	t.Cleanup(func() {
		gone := s.exchangeLater(t, http.MethodDelete, self, access)
		if gone != http.StatusNoContent {
			t.Errorf("the client is deleted with %d", gone)
		}
	})
	return c
}

// exchangeLater is send for the end of a test, whose own context is over.
func (o *op) exchangeLater(t *testing.T, method, path, token string) int {
	t.Helper()
	req, err := http.NewRequest(method, o.issuer+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := o.http.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// file is a document at an address of the suite that the broker can reach; it can be
// changed.
type file struct {
	url  string
	text atomic.Pointer[[]byte]
	read atomic.Int64
}

func (f *file) holds(text []byte) { f.text.Store(&text) }

func publish(t *testing.T, text []byte) *file {
	t.Helper()
	f := new(file)
	f.holds(text)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.read.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(*f.text.Load())
	}))
	t.Cleanup(server.Close)
	f.url = server.URL + "/document.json"
	return f
}

func jwks(t *testing.T, ring *keys.Ring) []byte {
	t.Helper()
	text, _ := ring.JWKS()
	return text
}

// byKey is metadata of a client that proves itself by key, in the set itself or at an
// address.
func byKey(t *testing.T, ring *keys.Ring, address string) metadata {
	t.Helper()
	m := metadata{"token_endpoint_auth_method": "private_key_jwt"}
	if address != "" {
		m["jwks_uri"] = address
		m["token_endpoint_auth_signing_alg"] = "ES256"
		return m
	}
	var set map[string]any
	if err := json.Unmarshal(jwks(t, ring), &set); err != nil {
		t.Fatal(err)
	}
	m["jwks"] = set
	return m
}

// with registers a client for one module, and signs in with it.
func registeredAs(m metadata) test {
	return func(t *testing.T, s *suite) { s.signIn(t, s.browser(t), s.request(s.registered(t, m))) }
}

// refusedAs registers what must not be.
func refusedAs(code string, m metadata) test {
	return func(t *testing.T, s *suite) {
		s.register(t, m).says(t, http.StatusBadRequest, code)
	}
}

// of is a module of another plan, with a client that has registered for it.
func of(run test, m metadata) test {
	return func(t *testing.T, s *suite) {
		own := *s
		own.first, own.second = s.registered(t, m), s.registered(t, m)
		run(t, &own)
	}
}

func dynamicTests() map[string]test {
	query := metadata{"redirect_uris": []string{suiteHost + "callback?foo=bar"}}
	return map[string]test{
		"oidcc-discovery-endpoint-verification":               dynamicDiscovery,
		"oidcc-server":                                        of(server, nil),
		"oidcc-ensure-client-assertion-with-iss-aud-succeeds": assertionForTheIssuer,
		"oidcc-ensure-redirect-uri-in-authorization-request":  missingRedirectURI,
		"oidcc-ensure-request-object-with-redirect-uri":       signedRedirectURI,
		"oidcc-idtoken-rs256":                                 of(idTokenSignature, metadata{"id_token_signed_response_alg": "RS256"}),
		"oidcc-idtoken-unsigned":                              unsignedIsRefused,
		"oidcc-redirect-uri-query-OK":                         queryKept,
		"oidcc-redirect-uri-query-added":                      redirectRefused(nil, suiteHost+"callback?foo=bar"),
		"oidcc-redirect-uri-query-mismatch":                   redirectRefused(query, suiteHost+"callback?bar=foo", suiteHost+"callback", suiteHost+"callback?foo=bar&foo=bar"),
		"oidcc-redirect-uri-regfrag":                          refusedAs("invalid_redirect_uri", metadata{"redirect_uris": []string{suiteHost + "callback#foobar"}}),
		"oidcc-refresh-token":                                 of(refreshToken, metadata{"grant_types": []string{"authorization_code", "refresh_token"}}),
		"oidcc-refresh-token-rp-key-rotation":                 rotationOfTheClient,
		"oidcc-registration-jwks-uri":                         keysAtAnAddress,
		"oidcc-registration-logo-uri":                         registeredAs(metadata{"logo_uri": suiteHost + "logo.png"}),
		"oidcc-registration-policy-uri":                       registeredAs(metadata{"policy_uri": suiteHost + "policy.html"}),
		"oidcc-registration-tos-uri":                          registeredAs(metadata{"tos_uri": suiteHost + "tos.html"}),
		"oidcc-registration-sector-uri":                       sector,
		"oidcc-registration-sector-bad":                       sectorBad,
		"oidcc-request-uri-unsigned":                          of(requestURI, nil),
		"oidcc-request-uri-signed-rs256":                      requestURISigned,
		"oidcc-server-rotate-keys":                            rotationOfTheServer,
		"oidcc-userinfo-rs256":                                signedUserinfo,
	}
}

func dynamicDiscovery(t *testing.T, s *suite) {
	discovery(t, s)
	if s.metadata["registration_endpoint"] != s.issuer+"/register" {
		t.Errorf("registration_endpoint is %v", s.metadata["registration_endpoint"])
	}
	if methods := s.list("token_endpoint_auth_methods_supported"); !slices.Contains(methods, "private_key_jwt") {
		t.Errorf("clients prove themselves by %v", methods)
	}
}

// OpenID Connect Core section 9: the issuer is a good audience. The default of our
// assertions is it, and so here is the token endpoint, as the suite's other modules
// have it.
func assertionForTheIssuer(t *testing.T, s *suite) {
	ring := newRing(t, time.Now, "ES256")
	c := s.registered(t, byKey(t, ring, ""))
	c.ring, c.alg = ring, "ES256"
	s.signIn(t, s.browser(t), s.request(c))
	c.assert = func(claims map[string]any) { claims["aud"] = s.metadata["token_endpoint"] }
	s.signIn(t, s.browser(t), s.request(c))
}

// OpenID Connect Core section 3.1.2.1: redirect_uri must be sent, even where only one
// is registered.
func missingRedirectURI(t *testing.T, s *suite) {
	s.browser(t).visit(s.address(t, s.request(s.first).without("redirect_uri")), nil).stopped(t, "redirect_invalid")
}

// The address in a signed object is the one that counts, whatever stands beside it;
// an unsigned object is not taken.
func signedRedirectURI(t *testing.T, s *suite) {
	requestObjectWithRedirectURI(t, s)
	ring := newRing(t, time.Now, "RS256")
	m := byKey(t, ring, "")
	c := s.registered(t, metadata{"request_object_signing_alg": "RS256", "jwks": m["jwks"]})
	signer := *c
	signer.ring = ring
	signing := *s
	signing.signed = true
	r := signing.request(c)
	r.alg, r.signer = "RS256", &signer
	r.beside = url.Values{"redirect_uri": {suiteHost + "callback/other"}, "response_type": {"code"}, "scope": {"openid"}}
	signing.signIn(t, s.browser(t), r)
	r = signing.request(c)
	r.alg, r.signer, r.claims["redirect_uri"] = "RS256", &signer, suiteHost+"callback/other"
	r.beside = url.Values{"redirect_uri": {c.redirect}}
	s.browser(t).visit(signing.address(t, r), nil).stopped(t, "redirect_invalid")
}

// alg none is registered only where it is offered.
func unsignedIsRefused(t *testing.T, s *suite) {
	idTokenUnsigned(t, s)
	refusedAs("invalid_client_metadata", metadata{"id_token_signed_response_alg": "none"})(t, s)
}

// request_uris may be registered, and have no effect: nothing is fetched from one.
func requestURISigned(t *testing.T, s *suite) {
	f := publish(t, []byte("nobody reads this"))
	answer := s.register(t, metadata{"request_uris": []string{f.url}})
	if answer.status != http.StatusCreated || answer.body["request_uris"] != nil {
		t.Fatalf("registration: %d %v", answer.status, answer.body)
	}
	c := &client{op: s.op, id: answer.str("client_id"), redirect: s.first.redirect}
	s.ask(t, s.browser(t), s.request(c).with("request_uri", f.url)).returned(t, "request_uri_not_supported")
	if f.read.Load() > 0 {
		t.Error("it was fetched")
	}
}

func queryKept(t *testing.T, s *suite) {
	r := s.request(s.registered(t, metadata{"redirect_uris": []string{suiteHost + "callback?foo=bar"}}))
	if x := s.signIn(t, s.browser(t), r); len(x.params["foo"]) != 1 || x.params.Get("foo") != "bar" {
		t.Errorf("the answer has foo %q", x.params["foo"])
	}
}

func redirectRefused(m metadata, uris ...string) test {
	return func(t *testing.T, s *suite) {
		c := s.registered(t, m)
		for _, uri := range uris {
			s.browser(t).visit(s.address(t, s.request(c).with("redirect_uri", uri)), nil).stopped(t, "redirect_invalid")
		}
	}
}

// A refresh token outlives the key of its client: it is the client's, not the key's.
func rotationOfTheClient(t *testing.T, s *suite) {
	old, next := newRing(t, time.Now, "ES256"), newRing(t, time.Now, "ES256")
	f := publish(t, jwks(t, old))
	m := byKey(t, old, f.url)
	m["grant_types"] = []string{"authorization_code", "refresh_token"}
	c := s.registered(t, m)
	c.ring, c.alg = old, "ES256"
	r := s.offline(c)
	before := s.signIn(t, s.browser(t), r)
	s.pass(t, 2*time.Second)
	f.holds(jwks(t, next)) // the suite changes its keys within seconds
	c.ring = next
	s.refreshed(t, r, before, c.refresh(t, before.tokens.str("refresh_token")))
	if n := f.read.Load(); n != 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func keysAtAnAddress(t *testing.T, s *suite) {
	ring := newRing(t, time.Now, "ES256")
	c := s.registered(t, byKey(t, ring, publish(t, jwks(t, ring)).url))
	c.ring, c.alg = ring, "ES256"
	s.signIn(t, s.browser(t), s.request(c))
	c.ring = newRing(t, time.Now, "ES256")
	r := s.request(c)
	c.redeem(t, s.code(t, s.browser(t), r).code, r.verifier).says(t, http.StatusUnauthorized, "invalid_client")
}

// OpenID Connect Registration section 5: the list must have every redirect URI.
func sector(t *testing.T, s *suite) {
	list := publish(t, encode(t, []string{suiteHost + "callback", suiteHost + "another"}))
	one := s.registered(t, metadata{"sector_identifier_uri": list.url})
	two := s.registered(t, metadata{"sector_identifier_uri": list.url, "redirect_uris": []string{suiteHost + "another"}})
	if a, b := s.signIn(t, s.browser(t), s.request(one)), s.signIn(t, s.browser(t), s.request(two)); a.sub() != b.sub() {
		t.Error("one sector knows her by two subjects")
	}
}

func sectorBad(t *testing.T, s *suite) {
	list := publish(t, encode(t, []string{suiteHost + "another"}))
	refusedAs("invalid_client_metadata", metadata{"sector_identifier_uri": list.url})(t, s)
}

// The operator rotates our keys. The suite reads the key set before and after: what
// was signed before can still be verified.
func rotationOfTheServer(t *testing.T, s *suite) {
	before := s.signIn(t, s.browser(t), s.request(s.first))
	old := publishedKeys(t, s.fetch(t, "/jwks"))
	cmd := exec.Command(binary(t), "keys", "rotate", "--config", s.file, "--alg", "RS256", "--early")
	cmd.Env = append(os.Environ(), "VOUSSOIR_CLOCK="+s.clockFile)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	set := s.newKeys(t, len(old))
	goodKeys(t, set)
	var err error
	if s.published, err = keys.NewStatic(set); err != nil {
		t.Fatal(err)
	}
	after := s.signIn(t, s.browser(t), s.request(s.first))
	if part(t, before.tokens.str("id_token"), 0)["kid"] == part(t, after.tokens.str("id_token"), 0)["kid"] {
		t.Error("the ID token is signed with the old key")
	}
	if _, err := s.published.Verify(t.Context(), before.tokens.str("id_token"), "RS256"); err != nil {
		t.Errorf("the ID token from before: %v", err)
	}
}

// newKeys waits until more keys are published than there were: a broker takes over a
// rotation within ten seconds.
func (o *op) newKeys(t *testing.T, than int) []byte {
	t.Helper()
	tick, limit := time.NewTicker(100*time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for {
		if set := o.fetch(t, "/jwks"); len(publishedKeys(t, set)) > than {
			return set
		}
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("no new key is published")
		}
	}
}

// OpenID Connect Core section 5.3.2: a signed answer has iss and aud.
func signedUserinfo(t *testing.T, s *suite) {
	x := s.signIn(t, s.browser(t), s.request(s.registered(t, metadata{"userinfo_signed_response_alg": "RS256"})).with("scope", "openid email"))
	if x.info["iss"] != s.issuer || x.info["aud"] != x.id["aud"] || x.info["email"] != "camille@mail.example" {
		t.Errorf("userinfo is %v", x.info)
	}
}
