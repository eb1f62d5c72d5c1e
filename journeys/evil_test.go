package journeys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// members is a JSON object.
type members = map[string]any

// evil is one server that plays as many OpenID providers as a test wants, each under a
// path of its own. A provider does everything right but for what its trick says.
type evil struct {
	*httptest.Server
	key, stranger *ecdsa.PrivateKey
	rsa           *rsa.PrivateKey
	from          string // the broker's address

	mu      sync.Mutex // guards what follows
	parties map[string]*party
}

// trick is what a provider does wrong; nil: it is honest there.
type trick struct {
	discovery func(p *party, doc members)
	answer    func(p *party, q url.Values)                 // the authorization response
	claims    func(p *party, c members)                    // of the ID token, before it is signed
	sign      func(p *party, claims string) string         // in place of signing
	tokens    func(doc members)                            // the token answer
	userinfo  func(c members)                              // what userinfo says of her
	token     func(w http.ResponseWriter, _ *http.Request) // in place of an answer, each
	info      func(w http.ResponseWriter, _ *http.Request)
	jwks      func(w http.ResponseWriter, _ *http.Request)
	set       func(p *party) []members // its keys
}

// party is one provider.
type party struct {
	trick
	evil   *evil
	issuer string

	mu    sync.Mutex // guards what follows
	calls map[string]int
	asked url.Values         // the last authentication request
	sent  url.Values         // the last token request
	codes map[string]members // what a code is good for
}

func newEvil(t *testing.T) *evil {
	t.Helper()
	e := &evil{parties: map[string]*party{}}
	for _, k := range []**ecdsa.PrivateKey{&e.key, &e.stranger} {
		var err error
		if *k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if e.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		e.mu.Lock()
		p := e.parties[id]
		e.mu.Unlock()
		if p == nil {
			http.NotFound(w, r)
			return
		}
		p.serve(w, r, path)
	}))
	t.Cleanup(e.Close)
	return e
}

// party adds a provider.
func (e *evil) party(id string, tr trick) *party {
	p := &party{trick: tr, evil: e, issuer: e.URL + "/" + id, calls: map[string]int{}, codes: map[string]members{}}
	e.mu.Lock()
	e.parties[id] = p
	e.mu.Unlock()
	return p
}

// broker is where its people come from.
func (p *party) broker() string { return p.evil.from }

func (p *party) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[path]
}

func (p *party) serve(w http.ResponseWriter, r *http.Request, path string) {
	p.mu.Lock()
	p.calls[path]++
	p.mu.Unlock()
	switch {
	case path == ".well-known/openid-configuration":
		p.serveDiscovery(w)
	case path == "jwks" && p.jwks != nil:
		p.jwks(w, r)
	case path == "jwks" && p.set != nil:
		evilJSON(w, members{"keys": p.set(p)})
	case path == "jwks":
		evilJSON(w, members{"keys": []members{p.evil.jwk("k1")}})
	case path == "authorize":
		p.serveAuthorize(w, r)
	case path == "token" && p.token != nil:
		p.token(w, r)
	case path == "token":
		p.serveToken(w, r)
	case path == "userinfo" && p.info != nil:
		p.info(w, r)
	case path == "userinfo":
		who := evilPerson()
		if p.userinfo != nil {
			p.userinfo(who)
		}
		evilJSON(w, who)
	default:
		http.NotFound(w, r)
	}
}

// evilPerson is who signs in; canaries knows her.
func evilPerson() members {
	return members{
		"sub": "subject-of-zephirine-oriflamme", "given_name": "Zéphirine", "family_name": "ORIFLAMME", "birthdate": "1971-11-03", "gender": "female",
		"birthplace": "75107", "birthcountry": "99100", "email": "zephirine.oriflamme@example.org", "email_verified": true,
	}
}

func evilJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (e *evil) jwk(kid string) members {
	b, err := e.key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return members{"kty": "EC", "crv": "P-256", "x": enc(b[1:33]), "y": enc(b[33:]), "kid": kid, "alg": "ES256", "use": "sig"}
}

func (p *party) serveDiscovery(w http.ResponseWriter) {
	doc := members{
		"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token",
		"userinfo_endpoint": p.issuer + "/userinfo", "jwks_uri": p.issuer + "/jwks", "authorization_response_iss_parameter_supported": true,
	}
	if p.discovery != nil {
		p.discovery(p, doc)
	}
	evilJSON(w, doc)
}

// serveAuthorize signs her in without a question.
func (p *party) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	code := random()
	sing("code of the provider", code)
	sing("state at the provider", q.Get("state"))
	sing("nonce at the provider", q.Get("nonce"))
	answer := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.issuer}}
	now := time.Now()
	claims := members{
		"iss": p.issuer, "sub": evilPerson()["sub"], "aud": q.Get("client_id"), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"nonce": q.Get("nonce"), "acr": "eidas1", "auth_time": now.Unix(),
	}
	p.mu.Lock()
	p.asked, p.codes[code] = q, claims
	p.mu.Unlock()
	if p.answer != nil {
		p.answer(p, answer)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (p *party) serveToken(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.sent = r.PostForm
	claims := maps.Clone(p.codes[r.PostForm.Get("code")])
	delete(p.codes, r.PostForm.Get("code"))
	p.mu.Unlock()
	if claims == nil {
		w.WriteHeader(http.StatusBadRequest)
		evilJSON(w, members{"error": "invalid_grant"})
		return
	}
	if p.claims != nil {
		p.claims(p, claims)
	}
	sign := p.sign
	if sign == nil {
		sign = func(p *party, c string) string { return es256(p.evil.key, `{"alg":"ES256","kid":"k1"}`, c) }
	}
	doc := members{"access_token": random(), "token_type": "Bearer", "expires_in": 60, "id_token": sign(p, asJSON(claims))}
	for _, name := range []string{"access_token", "id_token"} {
		sing(name+" of the provider", doc[name].(string))
	}
	if p.tokens != nil {
		p.tokens(doc)
	}
	evilJSON(w, doc)
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// es256 makes a token of any header and payload.
func es256(key *ecdsa.PrivateKey, header, payload string) string {
	input := b64(header) + "." + b64(payload)
	d := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, d[:])
	if err != nil {
		panic(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + b64(string(sig))
}

// evilWorld is a broker that has all these providers.
type evilWorld struct {
	*faultWorld
	*evil
	saml *evilSAML
}

// settings of one more provider, beside its id and its issuer.
const (
	plainParty = "client_secret: " + upstreamSecret + ", id_token_signed_response_alg: ES256"
	atLevel    = ", userinfo: { fetch: true }, acr: { max: eidas2 }, civil_identity: true"
)

// newEvilWorld starts one broker with a provider for each attack.
func newEvilWorld(t *testing.T, attacks []attack) *evilWorld {
	t.Helper()
	whole(t)
	w := &evilWorld{evil: newEvil(t)}
	var configs []string
	for i := range attacks {
		a := &attacks[i]
		if a.away {
			continue
		}
		a.id = fmt.Sprintf("p%d", i)
		a.party = w.party(a.id, a.trick)
		settings := a.settings
		if settings == "" {
			settings = plainParty
		}
		configs = append(configs, fmt.Sprintf("  - { id: %s, name: { en: \"Provider %[1]s\" }, issuer: %q, client_id: voussoir, %s%s }\n", a.id, a.party.issuer, settings, atLevel))
	}
	w.saml = newEvilSAML(t)
	honest := func(redirect string) string {
		w.from = redirect[:strings.Index(redirect, "/callback/")]
		return w.party(redirect[strings.LastIndex(redirect, "/")+1:], trick{}).issuer
	}
	w.faultWorld = newFaultWorld(t, honest, honest)
	// Encryption and SAML have keys, which are made at a start.
	configs = append(configs, w.saml.config(t)...)
	w.proc.stop()
	w.write(strings.Replace(w.config(), "clients:\n", strings.Join(configs, "")+"clients:\n", 1))
	w.proc = launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", w.file)
	return w
}

// attack is one row: what a provider does, and what must come of it.
type attack struct {
	line, name string
	trick      trick
	settings   string     // of the provider, in place of plainParty
	request    url.Values // of the service, beside the usual
	away       bool       // it is not by such a provider; then own does it
	own        func(t *testing.T, w *evilWorld)
	times      int // how often she tries; 0: once

	see    string                                                           // "consent" (she is signed in), or the code of the notice
	reason string                                                           // in the log; "": none, since nothing is wrong
	after  func(t *testing.T, p *party)                                     // what else must hold
	asked  func(t *testing.T, w *evilWorld, c *citizen, p *page, r request) // goes on from there

	id    string
	party *party
}

// notices are words of the sentences that a person reads, by the code of each.
func notices() map[string]string {
	return map[string]string{
		"refused": "refused to sign you in", "unavailable": "does not work right now", "invalid": "that we could not check",
		"too_weak": "was not secure enough", "too_old": "is too old", "bad_identity": "incomplete or wrong",
	}
}

// visit chooses a provider, whatever page of the list it is on.
func (w *evilWorld) visit(t *testing.T, id string, extra url.Values) (*citizen, request, *page) {
	t.Helper()
	c, r := newCitizen(t), w.library.start("openid given_name", extra)
	p := c.visit(http.MethodGet, r.URL, nil, "", w.library.back)
	if p.byID("provider-one") == nil && p.byID("lead") == nil {
		t.Fatalf("no choice page but %s (%d %q)", p.URL.Path, p.Status, p.errorCode())
	}
	return c, r, c.visit(http.MethodPost, w.broker+p.URL.Path+"/provider", url.Values{"provider": {id}}, w.broker, w.library.back)
}

// seen says what a page is, in the words of attack.see.
func seen(p *page) string {
	if p.byID("consent-agree") != nil || p.URL.Query().Get("code") != "" { // or her standing answer
		return "consent"
	}
	for code, words := range notices() {
		if strings.Contains(p.Body, `role="alert"`) && strings.Contains(p.Body, words) {
			return code
		}
	}
	if code := p.errorCode(); code != "" {
		return "error " + code
	}
	return fmt.Sprintf("%s (%d)", p.URL.Path, p.Status)
}

// reasons are those that the log gives for a provider, in order, without repetition.
func (w *evilWorld) reasons(id string) []string {
	var out []string
	for line := range strings.Lines(w.proc.out.String()) {
		var e struct{ Msg, Provider, Reason string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Provider == id && e.Reason != "" && !slices.Contains(out, e.Reason) {
			out = append(out, e.Reason)
		}
	}
	return out
}

// wantReasons waits for the log, which comes through a pipe.
func (w *evilWorld) wantReasons(t *testing.T, id string, want ...string) {
	t.Helper()
	got := w.reasons(id)
	for end := time.Now().Add(5 * time.Second); !slices.Equal(got, want) && len(got) <= len(want) && time.Now().Before(end); got = w.reasons(id) {
		time.Sleep(5 * time.Millisecond)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log gives the reasons %q, want %q", got, want)
	}
}

func (a *attack) try(t *testing.T, w *evilWorld) {
	for range max(1, a.times) {
		c, r, p := w.visit(t, a.id, a.request)
		if got := seen(p); got != a.see {
			t.Fatalf("she sees %q, want %q", got, a.see)
		}
		if a.asked != nil {
			a.asked(t, w, c, p, r)
		}
	}
	if a.reason == "" {
		w.wantReasons(t, a.id)
	} else {
		w.wantReasons(t, a.id, a.reason)
	}
	if a.after != nil {
		a.after(t, a.party)
	}
}

// TestHostileProvider plays every line of the families MX, UT, UI and SA against the
// real binary. Whatever a provider does, she ends where she can go on, no service gets
// an answer, the log says why in one word of the list in docs/hostile-providers.md, and
// nothing of her, her code or her tokens.
func TestHostileProvider(t *testing.T) {
	attacks := slices.Concat(evilTokens(t), evilAnswers(), evilMixUps())
	w := newEvilWorld(t, attacks)
	byLine := map[string][]func(t *testing.T){}
	add := func(line, name string, f func(t *testing.T)) {
		byLine[line] = append(byLine[line], func(t *testing.T) { t.Run(name, func(t *testing.T) { t.Parallel(); f(t) }) })
	}
	for i := range attacks {
		a := &attacks[i]
		if a.away {
			add(a.line, a.name, func(t *testing.T) { a.own(t, w) })
			continue
		}
		add(a.line, a.name, func(t *testing.T) { a.try(t, w) })
	}
	for _, a := range w.saml.rows {
		add(a.line, a.name, func(t *testing.T) { a.try(t, w) })
	}
	for line, tests := range elsewhere() {
		for _, test := range tests {
			add(line, test, func(t *testing.T) { exists(t, test) })
		}
	}
	for _, line := range evilLines() {
		if len(byLine[line]) == 0 {
			t.Errorf("%s: nobody tries it", line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(byLine)) {
		if !slices.Contains(evilLines(), line) {
			t.Errorf("%s is no line", line)
		}
		t.Run(line, func(t *testing.T) {
			for _, run := range byLine[line] {
				run(t)
			}
		})
	}
	w.quiet(t)
}

// quiet looks for everything that must not be logged in what this broker has logged.
func (w *evilWorld) quiet(t *testing.T) {
	t.Helper()
	log := w.proc.out.String()
	canaries.Lock()
	defer canaries.Unlock()
	for value, what := range canaries.values {
		if strings.Contains(log, value) {
			t.Errorf("a %s stands in the log", what)
		}
	}
	for _, words := range []string{`"reason":"invalid"`, "Unsolicited response", "panic"} {
		if strings.Contains(log, words) {
			t.Errorf("the log has %s", words)
		}
	}
}

// evilLines are the lines of the catalogue of attacks.
func evilLines() []string {
	return strings.Fields(`MX-01 MX-02 MX-04 MX-05 MX-06 MX-07 MX-08
		UT-02 UT-03 UT-04 UT-05 UT-06 UT-08 UT-09 UT-10 UT-11 UT-12 UT-14 UT-15 UT-16 UT-17 UT-18 UT-20 UT-21 UT-22 UT-23
		UI-01 UI-03 UI-04
		SA-01 SA-02 SA-03 SA-04 SA-05 SA-07 SA-08 SA-09 SA-10 SA-11 SA-13 SA-14 SA-15 SA-16`)
}
