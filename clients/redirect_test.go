package clients

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckRedirectURI_RFC9700_2_1(t *testing.T) {
	tests := []struct {
		name, uri string
		loopback  bool
		fault     string // part of what is wrong; "": nothing
	}{
		{"https is right", "https://service.example/callback", false, ""},
		{"a port is right", "https://service.example:8443/callback", false, ""},
		{"a query is right", "https://service.example/callback?tenant=7", false, ""},
		{"no path is right", "https://service.example", false, ""},
		{"loopback http is right in development", "http://localhost:8090/callback", true, ""},
		{"an IPv6 loopback is right in development", "http://[::1]:8090/callback", true, ""},
		{"loopback http is wrong outside development", "http://localhost:8090/callback", false, "development"},
		{"http elsewhere is wrong in development too", "http://service.example/callback", true, "loopback"},
		{"a host that only begins like loopback is not", "http://localhost.evil.example/", true, "loopback"},
		{"a fragment is wrong, RFC 6749 3.1.2", "https://service.example/callback#x", false, "fragment"},
		{"an empty fragment is wrong too", "https://service.example/callback#", false, "fragment"},
		{"a wildcard host is wrong", "https://*.example/callback", false, "wildcard"},
		{"a wildcard path is wrong", "https://service.example/*", false, "wildcard"},
		{"a wildcard query is wrong", "https://service.example/?a=*", false, "wildcard"},
		{"a user is wrong", "https://service.example@evil.example/", false, "user name"},
		{"code in the query is wrong, RU-12", "https://service.example/?code=1", false, "parameter code"},
		{"iss in the query is wrong, RU-12", "https://service.example/?a=1&iss=x", false, "parameter iss"},
		{"state in the query, encoded, is wrong, RU-12", "https://service.example/?%73tate", false, "parameter state"},
		{"error in the query is wrong, RU-12", "https://service.example/?error", false, "parameter error"},
		{"a semicolon in the query is wrong", "https://service.example/?a;code=1", false, "malformed"},
		{"javascript is wrong, RU-09", "javascript:alert(1)", true, "scheme"},
		{"javascript in odd letters is wrong, RU-09", "JaVaScRiPt:alert(1)", true, "scheme"},
		{"data is wrong, RU-09", "data:text/html,x", true, "scheme"},
		{"a custom scheme is wrong", "app://callback", true, "scheme"},
		{"an opaque https is wrong", "https:service.example/callback", false, "host"},
		{"no host is wrong", "https:///callback", false, "host"},
		{"a relative URI is wrong", "/callback", false, "absolute"},
		{"a scheme-relative URI is wrong", "//service.example/callback", false, "absolute"},
		{"nothing is wrong", "", false, "absolute"},
		{"capitals are wrong, RU-08", "https://Service.example/", false, "capital"},
		{"the default port is wrong, RU-08", "https://service.example:443/", false, "default port"},
		{"an empty port is wrong", "https://service.example:/", false, "default port"},
		{"a trailing dot is wrong, RU-08", "https://service.example./", false, "dot"},
		{"dot segments are wrong", "https://service.example/a/../b", false, ".."},
		{"encoded dot segments are wrong, RU-05", "https://service.example/a/%2e%2e/b", false, ".."},
		{"a backslash is wrong", `https://service.example\@evil.example`, false, "sign"},
		{"letters outside ASCII are wrong, RU-08", "https://sérvice.example/", false, "ASCII"},
		{"a space is wrong", "https://service.example/a b", false, "space"},
		{"a line end is wrong", "https://service.example/\n", false, "space"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := CheckRedirectURI(tt.uri, tt.loopback)
			switch {
			case tt.fault == "" && f != nil:
				t.Errorf("CheckRedirectURI(%q) = %+v, want nothing", tt.uri, f)
			case tt.fault != "" && (f == nil || !strings.Contains(f.What, tt.fault) || f.Instead == ""):
				t.Errorf("CheckRedirectURI(%q) = %+v, want a fault about %q", tt.uri, f, tt.fault)
			}
		})
	}
}

func TestSector_Core_8_1(t *testing.T) {
	for want, uris := range map[string][]string{
		"service.example": {"https://service.example/a", "https://service.example:8443/b"},
		"":                {"https://service.example/a", "https://other.example/a"},
		"[none]":          nil,
	} {
		if want == "[none]" {
			want = ""
		}
		if got := Sector(uris); got != want {
			t.Errorf("Sector(%q) = %q, want %q", uris, got, want)
		}
	}
}

// What passes is https, or loopback http, has a host and no fragment, whatever
// a stranger writes.
func TestCheckRedirectURI_NothingElsePasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uri := rapid.OneOf(
			rapid.StringMatching(`(https?|javascript|data)?(://)?[a-z@*.#:?=/%\\0-9]{0,40}`),
			rapid.String(),
		).Draw(t, "uri")
		if CheckRedirectURI(uri, true) != nil {
			return
		}
		if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") || strings.ContainsAny(uri, "#*\\ ") {
			t.Errorf("CheckRedirectURI(%q) found nothing wrong", uri)
		}
	})
}
