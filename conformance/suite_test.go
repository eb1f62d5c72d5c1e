package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// suite is what the modules of a plan work with: a broker, two clients, and how
// the plan wants requests sent and answers returned.
type suite struct {
	*op
	first, second *client
	mode          string               // response_mode; "": the default
	plain         bool                 // browsers that do not say where a form comes from
	pkce          bool                 // each request has a challenge
	pushed        bool                 // by PAR (RFC 9126)
	signed        bool                 // as request objects (RFC 9101)
	notices       <-chan *http.Request // that services got from the broker
}

// request is an authorization request.
type request struct {
	*client
	url.Values
	verifier string
	// Of a signed one: claims beside the parameters, where nil takes one away, and
	// what is signed with.
	claims map[string]any
	signer *client
	alg    string // "": ES256
	tamper bool   // change the signature
	beside url.Values
}

// request is what most modules begin with.
func (s *suite) request(c *client) *request {
	r := &request{client: c, claims: map[string]any{}, signer: c, Values: url.Values{
		"client_id": {c.id}, "redirect_uri": {c.redirect}, "response_type": {"code"}, "scope": {"openid"},
		"state": {random()}, "nonce": {random()},
	}}
	if s.mode != "" {
		r.Set("response_mode", s.mode)
	}
	if s.pkce {
		r.verifier = random()
		r.Set("code_challenge", challenge(r.verifier))
		r.Set("code_challenge_method", "S256")
	}
	return r
}

// browser is a fresh one.
func (s *suite) browser(t *testing.T) *browser {
	t.Helper()
	b := s.op.browser(t)
	b.plain = s.plain
	return b
}

// with sets a parameter, and without takes one away.
func (r *request) with(name, value string) *request { r.Set(name, value); return r }
func (r *request) without(name string) *request     { r.Del(name); return r }

// form is what is pushed, or what stands in the address.
func (s *suite) form(t *testing.T, r *request) url.Values {
	t.Helper()
	if !s.signed {
		return r.Values
	}
	form := url.Values{"client_id": {r.id}, "request": {s.object(t, r)}}
	maps.Copy(form, r.beside)
	return form
}

// object is a request object (RFC 9101 section 4).
func (s *suite) object(t *testing.T, r *request) string {
	t.Helper()
	now := s.now()
	claims := map[string]any{
		"iss": r.id, "aud": s.issuer, "jti": random(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	for name := range r.Values {
		claims[name] = r.Get(name)
	}
	for name, value := range r.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	alg := r.alg
	if alg == "" {
		alg = "ES256"
	}
	compact := r.signer.sign(t, alg, "oauth-authz-req+jwt", claims)
	if r.tamper {
		compact = tampered(compact)
	}
	return compact
}

// push sends a request to /par.
func (s *suite) push(t *testing.T, r *request) reply {
	t.Helper()
	return r.send(t, http.MethodPost, "/par", s.form(t, r))
}

// address is where the browser begins; a request that must be pushed is.
func (s *suite) address(t *testing.T, r *request) string {
	t.Helper()
	if !s.pushed {
		return s.issuer + "/authorize?" + s.form(t, r).Encode()
	}
	answer := s.push(t, r)
	if answer.status != http.StatusCreated || answer.str("request_uri") == "" {
		t.Fatalf("push: %d %v", answer.status, answer.body)
	}
	return s.reference(r.client, answer.str("request_uri"))
}

// reference is the address of a pushed request.
func (s *suite) reference(c *client, requestURI string) string {
	return s.issuer + "/authorize?" + url.Values{"client_id": {c.id}, "request_uri": {requestURI}}.Encode()
}

// ask sends the browser through a request and checks how the answer came, if one
// did: in the mode of the plan, with iss (RFC 9207) and the state of the request.
func (s *suite) ask(t *testing.T, b *browser, r *request) outcome {
	t.Helper()
	return s.arrive(t, r, b.visit(s.address(t, r), nil))
}

func (s *suite) arrive(t *testing.T, r *request, o outcome) outcome {
	t.Helper()
	if o.params == nil {
		return o
	}
	if want := r.Get("response_mode") == "form_post"; o.posted != want {
		t.Errorf("the answer came in a form: %v, want %v", o.posted, want)
	}
	if r.Get("response_mode") == "jwt" {
		o.params = s.opened(t, r.client, o.params)
	}
	wellReturned(t, o.params)
	if o.params.Get("iss") != s.issuer || o.params.Get("state") != r.Get("state") || len(o.params["state"]) > 1 {
		t.Errorf("iss %q, state %q, want %q and %q", o.params.Get("iss"), o.params["state"], s.issuer, r.Get("state"))
	}
	return o
}

// opened is what a signed answer says (JARM section 2.1).
func (s *suite) opened(t *testing.T, c *client, params url.Values) url.Values {
	t.Helper()
	compact := params.Get("response")
	if params.Has("code") || params.Has("error") || params.Has("state") {
		t.Error("something stands beside the signed answer")
	}
	if _, err := s.published.Verify(t.Context(), compact, "ES256"); err != nil {
		t.Fatalf("the answer in a JWT: %v", err)
	}
	claims, out := part(t, compact, 1), url.Values{}
	if exp, _ := claims["exp"].(float64); claims["aud"] != c.id || time.Unix(int64(exp), 0).Before(s.now()) || time.Unix(int64(exp), 0).After(s.now().Add(10*time.Minute)) {
		t.Errorf("the answer in a JWT is for %v until %v", claims["aud"], claims["exp"])
	}
	for _, name := range []string{"iss", "code", "state", "error", "error_description"} {
		if v, ok := claims[name].(string); ok {
			out.Set(name, v)
		}
	}
	return out
}

// session is what a client has after a sign-in.
type session struct {
	outcome
	code   string
	tokens reply
	access string
	info   map[string]any // of userinfo
	id     map[string]any // the claims of the ID token
}

func (x session) sub() string { s, _ := x.id["sub"].(string); return s }

// authTime is when the person proved who she is, or 0.
func (x session) authTime() int64 { n, _ := x.id["auth_time"].(float64); return int64(n) }

// asked reports whether she had to do that during this sign-in.
func (x outcome) asked() bool { return slices.Contains(x.pressed, "identity-"+person) }

// code is a sign-in up to the code.
func (s *suite) code(t *testing.T, b *browser, r *request) session {
	t.Helper()
	return coded(t, s.ask(t, b, r))
}

func coded(t *testing.T, o outcome) session {
	t.Helper()
	code := o.params.Get("code")
	if code == "" || o.params.Has("error") {
		t.Fatalf("no code: page %q (%d), answer %v, pressed %v", o.page, o.status, o.params, o.pressed)
	}
	return session{outcome: o, code: code}
}

// signIn is a whole sign-in: code, tokens, a good ID token, the same person at
// userinfo.
func (s *suite) signIn(t *testing.T, b *browser, r *request) session {
	t.Helper()
	x := s.code(t, b, r)
	return s.spend(t, r, x)
}

func (s *suite) spend(t *testing.T, r *request, x session) session {
	t.Helper()
	x.tokens = r.redeem(t, x.code, r.verifier)
	x.access = x.tokens.str("access_token")
	if x.tokens.status != http.StatusOK || x.access == "" || !strings.Contains(x.tokens.header.Get("Cache-Control"), "no-store") {
		t.Fatalf("token: %d %v", x.tokens.status, x.tokens.body)
	}
	x.id = s.idToken(t, r, x)
	if x.info = s.claims(t, r.client, x); x.info["sub"] != x.sub() {
		t.Errorf("userinfo is of %v, the ID token of %s", x.info["sub"], x.sub())
	}
	return x
}

// idToken verifies an ID token as a relying party does (OpenID Connect Core
// section 3.1.3.7) and returns its claims.
func (s *suite) idToken(t *testing.T, r *request, x session) map[string]any {
	t.Helper()
	compact := x.tokens.str("id_token")
	head := part(t, compact, 0)
	alg, _ := head["alg"].(string)
	if _, err := s.published.Verify(t.Context(), compact, alg); err != nil || head["kid"] == nil {
		t.Fatalf("the ID token, %v: %v", head, err)
	}
	id := part(t, compact, 1)
	sum := sha256.Sum256([]byte(x.access))
	if half := base64.RawURLEncoding.EncodeToString(sum[:16]); id["at_hash"] != half {
		t.Errorf("at_hash is %v, want %s", id["at_hash"], half)
	}
	exp, _ := id["exp"].(float64)
	iat, _ := id["iat"].(float64)
	now := float64(s.now().Unix())
	if id["iss"] != s.issuer || id["aud"] != r.id || exp <= now || iat > now+1 || iat < now-60 {
		t.Errorf("iss %v, aud %v, iat %v, exp %v at %v", id["iss"], id["aud"], iat, exp, now)
	}
	if sub, _ := id["sub"].(string); sub == "" || len(sub) > 255 {
		t.Errorf("sub is %v", id["sub"])
	}
	nonce, has := id["nonce"]
	if has != r.Has("nonce") || has && nonce != r.Get("nonce") {
		t.Errorf("nonce is %v, want %v", nonce, r.Values["nonce"])
	}
	return id
}

// claims is what userinfo says to a client with its access token; where it is signed,
// what we signed.
func (s *suite) claims(t *testing.T, c *client, x session) map[string]any {
	t.Helper()
	r := c.userinfo(t, http.MethodGet, x.scheme(), x.access)
	if kind := r.header.Get("Content-Type"); r.status == http.StatusOK && kind == "application/jwt" {
		alg, _ := part(t, string(r.text), 0)["alg"].(string)
		if _, err := s.published.Verify(t.Context(), string(r.text), alg); err != nil {
			t.Fatalf("the signed userinfo: %v", err)
		}
		return part(t, string(r.text), 1)
	}
	if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		t.Fatalf("userinfo: %d %s", r.status, r.header.Get("WWW-Authenticate"))
	}
	return r.body
}

// scheme is how the access token is presented: as its type says.
func (x session) scheme() string { return x.tokens.str("token_type") }

// dead checks that an access token opens nothing any more (RFC 6749 section 4.1.2).
func (s *suite) dead(t *testing.T, c *client, x session) {
	t.Helper()
	if r := c.userinfo(t, http.MethodGet, x.scheme(), x.access); r.status != http.StatusUnauthorized {
		t.Errorf("the access token still opens userinfo: %d", r.status)
	}
}

// says checks an error of an endpoint.
func (r reply) says(t *testing.T, status int, codes ...string) {
	t.Helper()
	if r.status != status || !slices.Contains(codes, r.str("error")) {
		t.Errorf("the answer is %d %v, want %d %v", r.status, r.body, status, codes)
	}
}

// returned checks that the service was told an error, and got no code.
func (o outcome) returned(t *testing.T, codes ...string) {
	t.Helper()
	if o.params.Has("code") || !slices.Contains(codes, o.params.Get("error")) {
		t.Errorf("page %q (%d), answer %v, want error %v", o.page, o.status, o.params, codes)
	}
}

// stopped checks that the person was told, by the stable code of a page, and the
// suite nothing.
func (o outcome) stopped(t *testing.T, page string) {
	t.Helper()
	if o.callback != "" || o.page != page || o.status != http.StatusBadRequest {
		t.Errorf("called %q with %v; page %q (%d), want %q (400)", o.callback, o.params, o.page, o.status, page)
	}
}
