package journeys

import (
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func saying(status int, contentType, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// slowly sends a byte now and then and never ends.
func slowly(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for {
		if _, err := io.WriteString(w, " "); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// rudely answers bytes that are no HTTP, and repeats in them what it was sent.
func rudely(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 ZZ "+r.PostForm.Get("code")+" zephirine\r\n\r\n")
	_ = c.Close()
}

// chattily answers, and then says something that nobody asked for.
func chattily(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}zephirine ORIFLAMME\r\n")
	time.Sleep(100 * time.Millisecond)
	_ = c.Close()
}

// evilAnswers are rows about key sets, token answers and userinfo.
func evilAnswers() []attack {
	row := func(line, name, see, reason string, tr trick) attack {
		return attack{line: line, name: name, see: see, reason: reason, trick: tr}
	}
	tokens := func(name, see, reason string, f func(http.ResponseWriter, *http.Request)) attack {
		return row("UT-18", name, see, reason, trick{token: f})
	}
	edited := func(name, reason string, change func(doc members)) attack {
		return row("UT-18", name, "invalid", reason, trick{tokens: change})
	}
	rows := []attack{
		row("UT-16", "5 MB of keys", "unavailable", "keys", trick{jwks: saying(200, "application/json", `{"keys":["`+strings.Repeat("k", 5<<20)+`"]}`)}),
		row("UT-16", "ten thousand keys", "unavailable", "keys", trick{jwks: saying(200, "application/json", `{"keys":[`+strings.Repeat("{},", 9999)+`{}]}`)}),
		row("UT-16", "keys that never end", "unavailable", "keys", trick{jwks: slowly}),
		row("UT-16", "keys at a link-local address", "unavailable", "keys", trick{jwks: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		}}),
		row("UT-16", "one broken key among good ones", "consent", "", trick{set: func(p *party) []members {
			return []members{{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": 7}, p.evil.jwk("k1")}
		}}),
		tokens("HTML", "invalid", "token_answer", saying(200, "text/html", "<html>")),
		tokens("5 MB", "invalid", "token_answer", saying(200, "application/json", `{"x":"`+strings.Repeat("x", 5<<20)+`"}`)),
		tokens("nothing", "invalid", "token_answer", saying(200, "application/json", "")),
		tokens("500", "unavailable", "unreachable", saying(500, "application/json", "{}")),
		tokens("an error with her name in it", "refused", "refused", saying(400, "application/json", `{"error":"zephirine ORIFLAMME","error_description":"Zéphirine"}`)),
		tokens("a redirect", "invalid", "token_answer", saying(302, "", "")),
		tokens("no HTTP, but the code once more", "unavailable", "unreachable", rudely),
		tokens("two answers", "invalid", "token_answer", chattily),
		tokens("no end", "unavailable", "unreachable", slowly),
		tokens("a bomb", "invalid", "token_answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 10<<20))
			_ = z.Close()
		}),
		edited("no ID token", "token_answer", func(d members) { delete(d, "id_token") }),
		edited("of type mac", "token_answer", func(d members) { d["token_type"] = "mac" }),
		edited("no access token", "token_answer", func(d members) { delete(d, "access_token") }),
		edited("an access token with a line end", "token_answer", func(d members) { d["access_token"] = "a\r\nX: y" }),
		row("UI-01", "about somebody else", "invalid", "subject", trick{userinfo: func(c members) { c["sub"] = "somebody else" }}),
		row("UI-01", "about nobody", "invalid", "subject", trick{userinfo: func(c members) { delete(c, "sub") }}),
		row("UI-01", "HTML", "invalid", "userinfo", trick{info: saying(200, "text/html", "<html>")}),
		row("UI-03", "HTML in a name", "error bad_identity", "identity", trick{userinfo: func(c members) { c["given_name"] = "<script>Zéphirine</script>" }}),
		row("UI-03", "a right-to-left switch", "error bad_identity", "identity", trick{userinfo: func(c members) { c["given_name"] = "Zéphirine\u202e" }}),
		row("UI-03", "a NUL", "error bad_identity", "identity", trick{userinfo: func(c members) { c["given_name"] = "Zéphirine\x00" }}),
		row("UI-03", "a date that is none", "error bad_identity", "identity", trick{userinfo: func(c members) { c["birthdate"] = "0000-13-45" }}),
		row("UI-03", "a name of 50 KB", "error bad_identity", "identity", trick{userinfo: func(c members) { c["given_name"] = strings.Repeat("A", 50<<10) }}),
		row("UI-03", "a name of 1 MB", "invalid", "userinfo", trick{userinfo: func(c members) { c["given_name"] = strings.Repeat("A", 1<<20) }}),
		row("UI-03", "two dates", "invalid", "identity", trick{claims: func(_ *party, c members) { c["birthdate"] = "1971-11-04" }}),
		{line: "UI-03", name: "letters and accents apart", see: "consent", trick: trick{userinfo: func(c members) { c["given_name"] = "Ze\u0301phirine" }}, asked: wantClaims(members{"given_name": "Zéphirine"})},
		{line: "UI-04", name: "roles, levels and names that nobody asked for", see: "consent", trick: trick{userinfo: func(c members) {
			c["roles"], c["acr"], c["Given_Name"], c["auth_time"], c["given_name_array"] = []string{"admin"}, "eidas3", "Eve", 1, []string{"Eve"}
		}}, asked: wantClaims(members{"given_name": "Zéphirine"})},
	}
	for name, bits := range map[string]int{"RSA of 1024 bits": 1024, "an exponent of 1": 2048} {
		rows = append(rows, weakKey(name, bits))
	}
	good := func(change func(k members)) func(p *party) []members {
		return func(p *party) []members { k := p.evil.jwk("k1"); change(k); return []members{k} }
	}
	for name, set := range map[string]func(p *party) []members{
		"a point that is on no curve": good(func(k members) { k["y"] = k["x"] }),
		"a key for encryption":        good(func(k members) { k["use"] = "enc"; delete(k, "alg") }),
		"a key with its private part": good(func(k members) { k["d"] = k["x"] }),
	} {
		a := token("UT-15", name, "signature", trick{set: set})
		rows = append(rows, a)
	}
	return rows
}

// weakKey is a provider whose only key is too weak to prove anything.
func weakKey(name string, bits int) attack {
	key := sizedRSA(bits)
	e := "AQAB"
	if bits >= 2048 {
		e = "AQ"
	}
	a := token("UT-15", name, "signature", trick{
		set:  func(*party) []members { return []members{rsaJWK(&key.PublicKey, e)} },
		sign: func(_ *party, c string) string { return rs256(key, `{"alg":"RS256","kid":"k1"}`, c) },
	})
	a.settings = "client_secret: " + upstreamSecret + ", id_token_signed_response_alg: RS256"
	return a
}

// agree takes her to the service, unless she is there already.
func (w *evilWorld) agree(c *citizen, p *page) *page {
	if p.byID("consent-agree") == nil {
		return p
	}
	return c.pressUntil(p, "consent-agree", nil, w.library.back)
}

// wantClaims agrees, and compares all that the service is told of her.
func wantClaims(want members) func(t *testing.T, w *evilWorld, c *citizen, p *page, r request) {
	return func(t *testing.T, w *evilWorld, c *citizen, p *page, r request) {
		t.Helper()
		back := w.agree(c, p)
		tk, err := w.library.redeem(t.Context(), back.URL.Query().Get("code"), r.Verifier)
		if err != nil || tk.Status != http.StatusOK {
			t.Fatalf("token answer %d %s, %v", tk.Status, tk.Error, err)
		}
		_, got, err := w.library.userinfo(t.Context(), tk.AccessToken)
		delete(got, "sub")
		if err != nil || asJSON(got) != asJSON(want) {
			t.Errorf("the service is told %v, %v; want %v", got, err, want)
		}
		body, _ := base64.RawURLEncoding.DecodeString(strings.Split(tk.IDToken+"..", ".")[1])
		var claims struct{ ACR string }
		if err := json.Unmarshal(body, &claims); err != nil || claims.ACR != "eidas1" {
			t.Errorf("acr %q, %v; want eidas1", claims.ACR, err)
		}
	}
}

// evilMixUps are rows about who answers, and about what is not sent by a provider.
func evilMixUps() []attack {
	answer := func(line, name, see, reason string, f func(p *party, q url.Values)) attack {
		return attack{line: line, name: name, see: see, reason: reason, trick: trick{answer: f}, after: func(t *testing.T, p *party) {
			if p.count("token") != 0 {
				t.Error("the code was sent before the answer held")
			}
		}}
	}
	document := func(name string, f func(p *party, d members)) attack {
		return attack{line: "MX-04", name: name, see: "unavailable", reason: "metadata", trick: trick{discovery: f}, after: func(t *testing.T, p *party) {
			if p.count("authorize") != 0 {
				t.Error("she was sent there")
			}
		}}
	}
	said := func(code string) func(*party, url.Values) {
		return func(_ *party, q url.Values) {
			q.Del("code")
			q.Set("error", code)
			q.Set("error_description", "Zéphirine")
		}
	}
	return []attack{
		answer("MX-01", "another issuer", "invalid", "issuer", func(_ *party, q url.Values) { q.Set("iss", "https://other.example") }),
		answer("MX-01", "another issuer, in an error", "invalid", "issuer", func(p *party, q url.Values) { said("access_denied")(p, q); q.Set("iss", "x") }),
		answer("MX-01", "an error that is none", "refused", "refused", said("zephirine ORIFLAMME")),
		answer("MX-01", "an error and a code", "invalid", "answer", func(_ *party, q url.Values) { q.Set("error", "access_denied") }),
		answer("MX-02", "no issuer, though it was announced", "invalid", "issuer", func(_ *party, q url.Values) { q.Del("iss") }),
		document("another issuer", func(_ *party, d members) { d["issuer"] = "https://other.example" }),
		document("a token endpoint on our own host", func(p *party, d members) {
			broker, _ := url.Parse(p.broker())
			d["token_endpoint"] = "http://" + broker.Host + "/token"
		}),
		document("an endpoint that is no URL", func(_ *party, d members) { d["authorization_endpoint"] = "javascript:alert(1)" }),
		document("a token endpoint with a password", func(p *party, d members) { d["token_endpoint"] = strings.Replace(p.issuer, "://", "://a:b@", 1) }),
		{
			line: "MX-05", name: "a token endpoint that names somebody else's", see: "consent",
			settings: "private_key_jwt: true, id_token_signed_response_alg: ES256",
			trick:    trick{discovery: func(p *party, d members) { d["token_endpoint"] = p.issuer + "/token?of=https://honest.example/token" }},
			after: func(t *testing.T, p *party) {
				p.mu.Lock()
				defer p.mu.Unlock()
				assertion := p.sent.Get("client_assertion")
				sing("client assertion", assertion)
				body, _ := base64.RawURLEncoding.DecodeString(strings.Split(assertion+"..", ".")[1])
				var claims struct{ Aud any }
				if err := json.Unmarshal(body, &claims); err != nil || claims.Aud != p.issuer {
					t.Errorf("the assertion is for %v, %v; want %s alone", claims.Aud, err, p.issuer)
				}
			},
		},
		token("MX-06", "the key of another provider", "signature", trick{sign: func(p *party, c string) string {
			return es256(p.evil.stranger, `{"alg":"ES256","kid":"k1"}`, c)
		}}),
		{line: "MX-07", name: "switched off while she is there", away: true, own: switchedOff},
		{line: "MX-08", name: "what one service got, another uses", away: true, own: crossed},
		{line: "UT-23", name: "a configuration that does not say how to verify", away: true, own: unverifying},
	}
}

// switchedOff: an operator takes a provider out of service, and who comes back from it
// learns that; nothing is asked of the provider any more.
func switchedOff(t *testing.T, w *evilWorld) {
	c, r := newCitizen(t), w.library.start("openid given_name", nil)
	p := c.visit(http.MethodGet, r.URL, nil, "", w.library.back)
	there := c.visit(http.MethodPost, w.broker+p.URL.Path+"/provider", url.Values{"provider": {"two"}}, w.broker, func(u *url.URL) bool {
		return strings.HasPrefix(u.Path, "/callback/") // she is on her way back
	})
	if out, err := w.voussoir("", nil, "kill", "provider", "two", "--reason", "a test"); err != nil {
		t.Fatalf("kill: %v %s", err, out)
	}
	end := time.Now().Add(5 * time.Second)
	for w.states()["two"] != "switched_off" {
		if time.Now().After(end) {
			t.Fatal("the running broker does not follow within 5 s")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if p := c.get(there.URL.String()); p.errorCode() != "provider_unknown" || p.Status != http.StatusBadRequest && p.Status != http.StatusNotFound {
		t.Errorf("back from it: %s (%d %q), want provider_unknown", p.URL.Path, p.Status, p.errorCode())
	}
	if n := w.parties["two"].count("token"); n != 0 {
		t.Errorf("%d calls to a provider that is switched off", n)
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(w.proc.out.String(), `"code":"provider_unknown"`) })
}

// crossed: a code, a state and a flow of one service are worth nothing to another.
func crossed(t *testing.T, w *evilWorld) {
	c, r, p := w.visit(t, "one", nil)
	if seen(p) != "consent" {
		t.Fatalf("she sees %q", seen(p))
	}
	back := w.agree(c, p)
	code := back.URL.Query().Get("code")
	if tk, err := w.court.redeem(t.Context(), code, r.Verifier); err != nil || tk.Status != http.StatusBadRequest || tk.Error != "invalid_grant" {
		t.Errorf("another service redeems the code: %d %q, %v", tk.Status, tk.Error, err)
	}
	if tk, err := w.library.redeem(t.Context(), code, r.Verifier); err != nil || tk.Status != http.StatusBadRequest {
		t.Errorf("after that it is still good: %d %q, %v", tk.Status, tk.Error, err)
	}
	second, _ := url.Parse(w.library.start("openid given_name", nil).URL)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.broker+"/par", strings.NewReader(second.RawQuery))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(w.library.id, w.library.secret)
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if status, err := w.library.json(req, &pushed); err != nil || status != http.StatusCreated {
		t.Fatalf("POST /par: %d, %v", status, err)
	}
	stolen := url.Values{"client_id": {"court"}, "request_uri": {pushed.RequestURI}}
	if p := newCitizen(t).visit(http.MethodGet, w.broker+"/authorize?"+stolen.Encode(), nil, "", w.court.back); p.Status != http.StatusBadRequest || p.errorCode() != "flow_unknown" {
		t.Errorf("another service uses the pushed request: %d %q at %s", p.Status, p.errorCode(), p.URL.Path)
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(w.proc.out.String(), `"code":"invalid_grant"`) })
}

// unverifying: there is no way to say that signatures are not to be verified.
func unverifying(t *testing.T, w *evilWorld) {
	file := filepath.Join(t.TempDir(), "voussoir.yaml")
	for _, alg := range []string{"", "none", "HS256", "any"} {
		text := strings.Replace(w.config(), "id_token_signed_response_alg: ES256", `id_token_signed_response_alg: "`+alg+`"`, 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(binary(t, ""), "check", "--config", file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "id_token_signed_response_alg") {
			t.Errorf("%q: the configuration passes: %v\n%s", alg, err, out)
		}
	}
}

// sizedRSA makes a key of a size that is refused elsewhere.
func sizedRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}
