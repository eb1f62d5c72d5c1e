package journeys

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	store "github.com/voussoir-id/voussoir/store/sql"
)

// The attacks of this file come in through the doors of browsers and services,
// against the real binary. Each test says which promise it tries to break.

// sample is one of the services of the demo, in the test's own hands.
func (w *world) sample(t *testing.T, id string) *service {
	s := newService(t, w.Broker, id)
	s.secret, s.redirect = "demo-secret-of-the-sample-services", w.Service+"/callback"
	return s
}

// question goes from the service's button to the consent page, or to the service
// when there is nothing to ask.
func (s *service) question(c *citizen, r request, idp, who string) *page {
	c.t.Helper()
	p := c.visit(http.MethodGet, r.URL, nil, "", s.back)
	for _, id := range []string{"provider-" + idp, "identity-" + who} {
		if !s.back(p.URL) && p.byID(id) != nil {
			p = c.pressUntil(p, id, nil, s.back)
		}
	}
	return p
}

const libraryScope = "openid given_name age_over_16 email"

// signIn is a whole sign-in: button, provider, agreement, code.
func (s *service) signIn(c *citizen, r request, idp, who string) (code string) {
	c.t.Helper()
	p := s.question(c, r, idp, who)
	if !s.back(p.URL) {
		p = c.pressUntil(p, "consent-agree", nil, s.back)
	}
	if code = p.URL.Query().Get("code"); code == "" {
		c.t.Fatalf("no code at %s (%d, %q)", p.URL.Path, p.Status, p.errorCode())
	}
	return code
}

// Whoever holds a code of another client can burn it and get nothing else.
func TestAttack_ACodeAtAnotherClient_TK06_MX08(t *testing.T) {
	whole(t)
	w := demo(t)
	library, canteen := w.sample(t, "city-library"), w.sample(t, "school-canteen")
	c := newCitizen(t)
	r := library.start(libraryScope, nil)
	code := library.signIn(c, r, lowProvider, "camille")
	if got, err := canteen.redeem(t.Context(), code, r.Verifier); err != nil || got.Status != 400 || got.Error != "invalid_grant" {
		t.Errorf("another client: %d %q %v", got.Status, got.Error, err)
	}
	if got, err := library.redeem(t.Context(), code, r.Verifier); err != nil || got.Status != 400 || got.Error != "invalid_grant" {
		t.Errorf("its own client afterwards: %d %q %v, want the code burnt", got.Status, got.Error, err)
	}
	r = library.start(libraryScope, nil)
	code = library.signIn(c, r, lowProvider, "camille")
	bought, err := library.redeem(t.Context(), code, r.Verifier)
	if err != nil || bought.Status != 200 {
		t.Fatalf("redeem: %d %v", bought.Status, err)
	}
	if got, err := library.redeem(t.Context(), code, r.Verifier); err != nil || got.Error != "invalid_grant" {
		t.Errorf("a second use: %q %v", got.Error, err)
	}
	if status, claims, err := library.userinfo(t.Context(), bought.AccessToken); err != nil || status != 401 || claims["given_name"] != nil {
		t.Errorf("what the first use bought still answers: %d %v", status, err)
	}
	for name, token := range map[string]string{"an ID token": bought.IDToken, "a code": code} {
		if status, _, err := library.userinfo(t.Context(), token); err != nil || status != 401 {
			t.Errorf("RS-02 %s as access token: %d %v", name, status, err)
		}
	}
}

// The answer waits for a double click, and for nobody else.
func TestAttack_TheAnswerIsForItsOwnBrowser_FB02(t *testing.T) {
	whole(t)
	w := demo(t)
	s := w.sample(t, "city-library")
	c, stranger := newCitizen(t), newCitizen(t)
	r := s.start(libraryScope, nil)
	question := s.question(c, r, lowProvider, "camille")
	flow := w.Broker + "/login/" + flowID(t, c)
	code := c.pressUntil(question, "consent-agree", nil, s.back).URL.Query().Get("code")
	if code == "" {
		t.Fatal("no code")
	}
	for _, path := range []string{"", "/consent", "/provider", "/cancel"} {
		if again := c.visit(http.MethodGet, flow+path, nil, "", s.back).URL.Query().Get("code"); again != code {
			t.Errorf("a double click at %q gets another answer", path)
		}
		if p := stranger.visit(http.MethodGet, flow+path, nil, "", s.back); p.errorCode() != "flow_not_yours" {
			t.Errorf("a stranger at %q: %d %q", path, p.Status, p.errorCode())
		}
		if p := stranger.visit(http.MethodPost, flow+path, url.Values{}, w.Broker, s.back); p.errorCode() != "flow_not_yours" {
			t.Errorf("a stranger posts to %q: %d %q", path, p.Status, p.errorCode())
		}
		if p := c.visit(http.MethodHead, flow+path, nil, "", s.back); p.Status != 405 || p.Header.Get("Location") != "" {
			t.Errorf("HEAD of %q: %d", path, p.Status)
		}
		if p := c.visit(http.MethodPost, flow+path, url.Values{"answer": {"agree"}}, "https://evil.example", s.back); p.errorCode() != "cross_site" && path != "" {
			t.Errorf("a form of another site at %q: %d %q", path, p.Status, p.errorCode())
		}
	}
	for _, late := range []url.Values{{"answer": {"refuse"}}, {"answer": {"agree"}, "claim": {"email"}}} {
		p := c.visit(http.MethodPost, flow+"/consent", late, w.Broker, s.back)
		if p.URL.Query().Get("code") != code {
			t.Errorf("a later answer %v changed the first one: %s", late, p.errorCode())
		}
	}
}

// One computer, two people: the page that is open is Camille's, then Zoé takes
// over the keyboard.
func TestAttack_TwoPeopleAtOneComputer_FB03(t *testing.T) {
	whole(t)
	w := demo(t)
	s := w.sample(t, "city-library")
	c := newCitizen(t)
	hers := s.question(c, s.start(libraryScope, nil), lowProvider, "camille")
	if !strings.Contains(hers.Body, "Camille") {
		t.Fatalf("not Camille's question: %s", hers.URL.Path)
	}
	// "Use another account", at the same provider, which still knows Camille.
	p := c.press(hers, "change", nil)
	p = c.pressUntil(p, "provider-"+lowProvider, nil, s.back)
	if p.byID("identity-zoe") == nil {
		t.Fatalf("the provider was not asked for another account: %s", p.URL.Path)
	}
	p = c.pressUntil(p, "identity-zoe", nil, s.back)
	if !strings.Contains(p.Body, "Zoé") || strings.Contains(p.Body, "Camille") {
		t.Fatalf("not Zoé's question: %s", p.URL.Path)
	}
	// Camille's page is still open in the first tab.
	old := c.pressUntil(hers, "consent-agree", url.Values{"claim": {"email"}}, s.back)
	if s.back(old.URL) || !strings.Contains(old.Body, "Zoé") {
		t.Fatalf("agreeing on Camille's page released something: %s", old.URL.Path)
	}
	code := c.pressUntil(p, "consent-agree", nil, s.back).URL.Query().Get("code")
	if code == "" {
		t.Fatal("no code for Zoé")
	}
	// What Zoé allowed the library is not what she allowed the canteen.
	canteen := w.sample(t, "school-canteen")
	next := canteen.question(c, canteen.start("openid given_name family_name birthdate", nil), lowProvider, "nobody")
	if canteen.back(next.URL) || next.byID("consent-agree") == nil || !strings.Contains(next.Body, "Zoé") {
		t.Errorf("the session answered for her at another service: %s", next.URL.Path)
	}
}

// A silent request tells a service whether she is signed in and has agreed here,
// and nothing of the provider or of other services.
func TestAttack_ASilentRequestIsNoOracle_AZ14(t *testing.T) {
	whole(t)
	w := demo(t)
	library, canteen := w.sample(t, "city-library"), w.sample(t, "school-canteen")
	c := newCitizen(t)
	silent := func(s *service, scope string, extra url.Values) string {
		q := url.Values{"prompt": {"none"}}
		for k, v := range extra {
			q[k] = v
		}
		p := c.visit(http.MethodGet, s.start(scope, q).URL, nil, "", s.back)
		if p.URL.Query().Get("code") != "" {
			return "code"
		}
		return p.URL.Query().Get("error")
	}
	sub := url.Values{"claims": {`{"id_token":{"sub":{"value":"somebody"}}}`}}
	for name, extra := range map[string]url.Values{"nobody": nil, "nobody, and a subject is named": sub} {
		if got := silent(library, libraryScope, extra); got != "login_required" {
			t.Errorf("%s: %s", name, got)
		}
	}
	library.signIn(c, library.start(libraryScope, nil), lowProvider, "camille")
	for name, tt := range map[string]struct {
		s     *service
		scope string
		extra url.Values
		want  string
	}{
		"here she agreed":                   {library, libraryScope, nil, "code"},
		"with her provider as hint":         {library, libraryScope, url.Values{"idp_hint": {lowProvider}}, "code"},
		"with another provider as hint":     {library, libraryScope, url.Values{"idp_hint": {highProvider}}, "code"},
		"another subject":                   {library, libraryScope, sub, "login_required"},
		"a higher level":                    {library, libraryScope, url.Values{"acr_values": {"eidas2"}}, "login_required"},
		"another service":                   {canteen, "openid given_name", nil, "interaction_required"},
		"another service with another hint": {canteen, "openid given_name", url.Values{"idp_hint": {highProvider}}, "interaction_required"},
		"a claim that no policy allows":     {library, libraryScope, url.Values{"claims": {`{"userinfo":{"birthdate":{"essential":true}}}`}}, "code"},
	} {
		if got := silent(tt.s, tt.scope, tt.extra); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// A service smuggles demands past the policy: by claims, by form fields, by scopes.
func TestAttack_NothingIsReleasedThatWasNotShown_PV04(t *testing.T) {
	whole(t)
	w := demo(t)
	s := w.sample(t, "city-library")
	c := newCitizen(t)
	r := s.start("openid identite_pivot email idp_id amr profile", url.Values{"claims": {
		`{"id_token":{"birthdate":{"essential":true},"family_name":null,"idp_id":null,"email":{"essential":true}},"userinfo":{"gender":{"essential":true},"sub":null,"age_over_18":null}}`,
	}})
	p := s.question(c, r, lowProvider, "camille")
	address := w.Broker + "/login/" + flowID(t, c) + "/consent"
	for name, form := range map[string]url.Values{
		"a claim without a box": {"answer": {"agree"}, "claim": {"birthdate"}},
		"a box twice":           {"answer": {"agree"}, "claim": {"email", "email"}},
		"two answers":           {"answer": {"refuse", "agree"}},
		"another field":         {"answer": {"agree"}, "scope": {"birthdate"}},
	} {
		if got := c.visit(http.MethodPost, address, form, w.Broker, s.back); got.errorCode() != "request_invalid" {
			t.Errorf("FB-14 %s: %d %q", name, got.Status, got.errorCode())
		}
	}
	code := c.pressUntil(p, "consent-agree", nil, s.back).URL.Query().Get("code")
	got, err := s.redeem(t.Context(), code, r.Verifier)
	if err != nil || got.Status != 200 {
		t.Fatalf("redeem: %d %v", got.Status, err)
	}
	_, claims, err := s.userinfo(t.Context(), got.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"sub", "given_name", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "at_hash", "sid"}
	for where, set := range map[string]map[string]any{"userinfo": claims, "ID token": payload(t, got.IDToken)} {
		for name := range set {
			if !slices.Contains(allowed, name) {
				t.Errorf("%s has %s, which nobody agreed to", where, name)
			}
		}
	}
}

// payload reads a JWT without looking at its signature.
func payload(t *testing.T, compact string) map[string]any {
	t.Helper()
	return part(t, compact, 1)
}

// A provider sees one and the same request whichever service it is for.
func TestAttack_AProviderCannotTellTheServices_PV01(t *testing.T) {
	whole(t)
	w := demo(t)
	seen := map[string]string{}
	for id, scope := range map[string]string{"city-library": libraryScope, "school-canteen": "openid given_name family_name birthdate email"} {
		s, c := w.sample(t, id), newCitizen(t)
		atIdP := func(u *url.URL) bool { return strings.HasPrefix(u.String(), w.LowIdP) }
		for how, extra := range map[string]url.Values{"by choice": nil, "directly": {"idp_hint": {lowProvider}}} {
			u, err := url.Parse(s.start(scope, extra).URL)
			if err != nil {
				t.Fatal(err)
			}
			// The browser obeys the policy of each redirect; all of them say: no referrer.
			for range 3 {
				resp, _ := c.do(http.MethodGet, u, nil, "")
				if got := resp.Header.Get("Referrer-Policy"); got != "no-referrer" {
					t.Errorf("%s: %s answers with Referrer-Policy %q", how, u.Path, got)
				}
				to := resp.Header.Get("Location")
				if to == "" {
					break
				}
				if u, err = u.Parse(to); err != nil || atIdP(u) {
					break
				}
			}
			if !atIdP(u) {
				p := c.get(u.String())
				p = c.pressUntil(p, "provider-"+lowProvider, nil, atIdP)
				u = p.URL
			}
			q := u.Query()
			for _, fresh := range []string{"state", "nonce", "code_challenge"} {
				if q.Get(fresh) == "" {
					t.Errorf("no %s", fresh)
				}
				q.Del(fresh)
			}
			seen[id+" "+how] = u.Path + "?" + q.Encode()
		}
	}
	first := seen["city-library by choice"]
	for who, request := range seen {
		if request != first {
			t.Errorf("%s: %s differs from %s", who, request, first)
		}
	}
}

// The public part of the audit log is for everybody to read. Nothing in it may
// be the same for one person at two services and another for another person.
func TestAttack_ThePublicTrailLinksNobody_PV01(t *testing.T) {
	whole(t)
	data := t.TempDir()
	w := demoIn(t, data)
	library, canteen := w.sample(t, "city-library"), w.sample(t, "school-canteen")
	for _, who := range []string{"camille", "zoe"} {
		c := newCitizen(t)
		for _, s := range []*service{library, canteen} {
			r := s.start("openid given_name", nil)
			code := s.signIn(c, r, lowProvider, who)
			got, err := s.redeem(t.Context(), code, r.Verifier)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.userinfo(t.Context(), got.AccessToken); err != nil {
				t.Fatal(err)
			}
			if _, err := s.redeem(t.Context(), code, r.Verifier); err != nil { // the trail of a thief
				t.Fatal(err)
			}
		}
	}
	w.stop()
	records, err := store.OpenRecords(t.Context(), store.Config{Dir: filepath.Join(data, "data"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = records.Close() }()
	entries, err := records.Entries(t.Context(), 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]map[string]bool{}
	notices := map[any]int{} // the hash of the words that each of them read
	for _, e := range entries {
		var public map[string]any
		if err := json.Unmarshal(e.Public, &public); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(public["kind"]) == "config.loaded" || strings.HasPrefix(fmt.Sprint(public["kind"]), "key.") {
			continue // of the broker, not of people
		}
		delete(public, "time")
		if n, ok := public["notice"]; ok {
			notices[n]++
			delete(public, "notice")
		}
		for name, value := range public {
			if words[name] == nil {
				words[name] = map[string]bool{}
			}
			words[name][fmt.Sprint(value)] = true
		}
	}
	want := map[string][]string{
		"kind":   {"login.started", "provider.chosen", "login.verified", "consent.given", "consent.informed", "token.issued", "userinfo.served", "code.reused", "registry.checked"},
		"client": {"city-library", "school-canteen"}, "policy": {"library", "canteen"}, "policy_version": {"1"},
		"rule":   {"first-time", "informed", "every-time"},
		"claims": {"[given_name]", "[given_name age_over_16]"}, "acr": {"eidas1"}, "outcome": {"ok", "invalid_grant", "exact"}, "basis": {"consent", "public_task"},
	}
	for name, values := range words {
		for v := range values {
			if !slices.Contains(want[name], v) {
				t.Errorf("public field %s holds %q", name, v)
			}
		}
	}
	if len(words["kind"]) < 7 {
		t.Errorf("the trail has only %v", words["kind"])
	}
	// Both read the same at each of the two services: the hash is of the notice, and of
	// nothing of theirs.
	if !slices.Equal(slices.Collect(maps.Values(notices)), []int{2, 2}) {
		t.Errorf("the notices are not the same for both people: %v", notices)
	}
}

// A browser whose jar another page has filled up, with real cookies of ours, can
// still sign in, and carries at most ten afterwards.
func TestAttack_AFullCookieJarLocksNobodyOut(t *testing.T) {
	whole(t)
	w := demo(t)
	s := w.sample(t, "city-library")
	c := newCitizen(t)
	c.jar["localhost"] = map[string]string{}
	for i := range 170 { // Chromium keeps 180 of one site
		c.jar["localhost"][fmt.Sprintf("__Host-voussoir-flow-%022d", i)] = random()
	}
	if s.signIn(c, s.start(libraryScope, nil), lowProvider, "camille") == "" {
		t.Fatal("no code")
	}
	flows := 0
	for name := range c.jar["localhost"] {
		if strings.HasPrefix(name, "__Host-voussoir-flow-") {
			flows++
		}
	}
	if flows > 10 {
		t.Errorf("%d cookies of visits, want at most 10", flows)
	}
}

// Whatever two programs on the way could read differently is refused, or read in
// the one way that leaves nothing over.
func TestAttack_RequestsThatTwoReadersReadDifferently_IN01_IN08_DO02(t *testing.T) {
	whole(t)
	w := demo(t)
	host := strings.TrimPrefix(w.Broker, "http://")
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	const end = "Connection: close\r\n\r\n"
	tests := []struct {
		name, first, rest string
		want              string // status; one answer and no more
	}{
		{"IN-08 a length and chunks", "POST /token", form + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: " + host + "\r\n" + end, "400"},
		{"IN-08 two lengths", "POST /token", form + "Content-Length: 5\r\nContent-Length: 6\r\n" + end + "abcdef", "400"},
		{"IN-08 chunks twice", "POST /token", form + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + end + "0\r\n\r\n", "501"},
		{"IN-08 chunks of another name", "POST /token", form + "Transfer-Encoding: xchunked\r\n" + end + "0\r\n\r\n", "501"},
		{"IN-01 two hosts", "GET /", "Host: evil.example\r\n" + end, "400"},
		{"IN-01 an absolute address of somebody else", "GET http://evil.example/", end, "421"},
		{"IN-03 NUL in a header", "GET /", "X-A: a\x00b\r\n" + end, "400"},
		{"DO-02 a header of 30 KB", "GET /", "X-A: " + strings.Repeat("a", 30000) + "\r\n" + end, "431"},
		{"DO-02 ten thousand headers", "GET /", strings.Repeat("X: a\r\n", 10000) + end, "431"},
		{"DO-02 an address of 17 KB", "GET /" + strings.Repeat("a", 17000), end, "414"},
		{"DO-04 a compressed form", "POST /token", form + "Content-Encoding: gzip\r\nContent-Length: 0\r\n" + end, "415"},
		{"DO-01 a body that says it is 100 MB", "POST /token", form + "Content-Length: 104857600\r\n" + end + strings.Repeat("a", 70000), "413"},
		{"AZ-18 a method in a header", "POST /jwks", "X-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n" + end, "405"},
		{"AZ-18 CONNECT", "CONNECT " + host, end, "405"},
		{"FB-18 a path with two slashes", "POST //login/x/consent", form + "Content-Length: 12\r\n" + end + "answer=agree", "404"},
		{"IN-06 a path that climbs", "GET /static/../../etc/passwd", end, "404"},
		{"IN-06 a path that climbs, encoded", "GET /static/..%2f..%2fetc/passwd", end, "404"},
		{"IN-06 NUL in the path", "GET /login/%00", end, "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := speak(t, host, tt.first+" HTTP/1.1\r\nHost: "+host+"\r\n"+tt.rest)
			if n := strings.Count(answer, "HTTP/1.1 "); n != 1 || !strings.HasPrefix(answer, "HTTP/1.1 "+tt.want) {
				t.Errorf("%d answers, the first %q, want one %s", n, tail(answer[:min(len(answer), 40)], 40), tt.want)
			}
			if strings.Contains(answer, "evil.example") {
				t.Error("the answer repeats what was sent")
			}
		})
	}
}

// speak sends bytes and returns all that comes back until the other side closes.
func speak(t *testing.T, host, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(conn, text) }() // it may be refused half-way
	out, err := io.ReadAll(conn)
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
}
