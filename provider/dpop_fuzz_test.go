package provider

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestNormalURI_IsOneSpelling: what is compared equal leads to one place.
func TestNormalURI_IsOneSpelling_RFC3986_6_2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scheme := rapid.SampledFrom([]string{"https", "HTTPS", "http", "hTTp"}).Draw(t, "scheme")
		host := rapid.SampledFrom([]string{"a.example", "A.Example", "b.example", "[::1]"}).Draw(t, "host")
		port := rapid.SampledFrom([]string{"", ":443", ":80", ":8443"}).Draw(t, "port")
		path := rapid.SampledFrom([]string{"", "/", "/token", "/%74oken", "/TOKEN", "/token/", "/x/../token", "//token"}).Draw(t, "path")
		rest := rapid.SampledFrom([]string{"", "?", "?a=/b", "#c", "?a#c"}).Draw(t, "rest")
		got, ok := normalURI(scheme + "://" + host + port + path + rest)
		p := strings.TrimPrefix(port, ":")
		if p == map[string]string{"https": "443", "http": "80"}[strings.ToLower(scheme)] {
			port = ""
		}
		unescaped, _ := url.PathUnescape(path)
		if want := strings.ToLower(scheme+"://"+host) + port + unescaped; !ok || got != want {
			t.Errorf("normalURI = %q, %t, want %q", got, ok, want)
		}
	})
	for _, bad := range []string{"", "/token", "//broker.example/token", "token", "ftp://broker.example/token", "https:broker.example", "https://u@broker.example/token", "https:///token", "%", "https://a b/"} {
		if got, ok := normalURI(bad); ok {
			t.Errorf("normalURI(%q) = %q", bad, got)
		}
	}
}

// FuzzDPoPProof: whatever a stranger says in a proof, signed by his own key or not, he
// does not read with a stolen token nor break anything.
func FuzzDPoPProof(f *testing.F) {
	w := newProofWorld(f)
	h, thief := holders()[0], holders()[1]
	access := w.boundToken(h)
	seed := func(changes ...spoil) {
		for _, route := range []struct{ method, path, token string }{{"GET", PathUserInfo, access}, {"POST", PathToken, ""}} {
			header, claims := w.parts(thief, route.method, route.path, route.token, changes...)
			head, _ := json.Marshal(header)
			body, _ := json.Marshal(claims)
			f.Add(string(head), string(body))
		}
	}
	seed()
	seed(spoil{header: map[string]any{"jwk": h.jwk()}})
	seed(spoil{header: map[string]any{"alg": "none"}, claims: map[string]any{"htu": "HTTPS://Broker.example:443/%75serinfo?#"}})
	seed(spoil{claims: map[string]any{"nbf": worldStart, "exp": 1.5, "jti": []int{1}}})
	f.Add("not.a.jws", "{}")
	f.Fuzz(func(t *testing.T, head, body string) {
		for _, proof := range []string{thief.signRaw(head, body), head} {
			if got := w.do(with(readRequest("DPoP", access), proof)); got.status != 401 || !json.Valid([]byte(got.body)) {
				t.Errorf("userinfo: %d %s", got.status, got.body)
			}
			r := post(PathToken, tokenForm(newHandle()))
			basic(r, "bound", secret)
			if got := w.do(with(r, proof)); got.status != 400 || !json.Valid([]byte(got.body)) {
				t.Errorf("token: %d %s", got.status, got.body)
			}
		}
		if c, err := parseProof([]byte(body)); err == nil && (c.jti == "" || c.htm == "" || c.htu == "" || c.iat <= 0) {
			t.Errorf("parseProof accepts %q", body)
		}
	})
}
