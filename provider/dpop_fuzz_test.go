package provider

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
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

// FuzzDPoPProof: whatever a stranger sends as a proof, he does not read with a stolen
// token nor break anything; his own key is of no use.
func FuzzDPoPProof(f *testing.F) {
	w := newProofWorld(f)
	h, thief := holders()[0], holders()[1]
	access := w.boundToken(h)
	f.Add(w.proof(thief, "GET", PathUserInfo, access))
	for _, spoiled := range badProofs() {
		header, claims := w.parts(thief, "GET", PathUserInfo, access)
		f.Add(strings.Join(spoiled(thief, header, claims), ","))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := w.do(with(readRequest("DPoP", access), raw))
		if got.status != 401 || !json.Valid([]byte(got.body)) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		r := post(PathToken, tokenForm(newHandle()))
		basic(r, "bound", secret)
		if got := w.do(with(r, raw)); got.status != 400 || !json.Valid([]byte(got.body)) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if payload, err := base64.RawURLEncoding.DecodeString(raw); err == nil {
			if c, err := parseProof(payload); err == nil && (c.jti == "" || c.htm == "" || c.htu == "" || c.iat <= 0) {
				t.Errorf("parseProof accepts %s", strconv.Quote(string(payload)))
			}
		}
	})
}
