package clients

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckNativeRedirectURI_RFC8252_7(t *testing.T) {
	tests := []struct {
		name, uri string
		fault     string // part of what is wrong; "": nothing
	}{
		{"loopback is right without a port, 7.3", "http://127.0.0.1/callback", ""},
		{"loopback is right with a port", "http://127.0.0.1:8080/callback", ""},
		{"loopback is right without a path", "http://127.0.0.1", ""},
		{"the IPv6 loopback is right", "http://[::1]/callback", ""},
		{"a scheme that is a domain backwards is right, 7.1", "com.example.app:/callback", ""},
		{"a scheme with a dash and digits is right", "org.my-app2.v1:/cb?tenant=7", ""},
		{"a scheme without a path beyond its slash is right", "com.example.app:/", ""},
		{"a claimed https URI is right, 7.2", "https://app.example/callback", ""},
		{"localhost is wrong, 8.3", "http://localhost:8080/callback", "localhost"},
		{"a host that begins like loopback is wrong", "http://127.0.0.1.example/callback", "http"},
		{"a user that looks like loopback is wrong", "http://127.0.0.1@evil.example/", "user name"},
		{"another loopback address is wrong", "http://127.0.0.2/callback", "http"},
		{"a scheme without a dot is wrong, 7.1", "myapp:/callback", "backwards"},
		{"two slashes are wrong: there is no host, 7.1", "com.example.app://callback", "backwards"},
		{"three slashes are wrong", "com.example.app:///callback", "backwards"},
		{"no slash is wrong", "com.example.app:callback", "backwards"},
		{"capitals are wrong", "com.Example.app:/callback", "backwards"},
		{"a dot at the end is wrong", "com.example.:/callback", "backwards"},
		{"javascript is wrong", "javascript:/alert(1)", "backwards"},
		{"javascript with a dot is no javascript, and wrong in its rest", "javascript.x:/a b", "space"},
		{"data is wrong", "data:/text", "backwards"},
		{"intent is wrong", "intent:/x", "backwards"},
		{"a fragment is wrong", "com.example.app:/callback#x", "fragment"},
		{"a wildcard is wrong", "com.example.app:/*", "wildcard"},
		{"code in the query is wrong, RU-12", "com.example.app:/callback?code=1", "parameter code"},
		{"dots are wrong", "com.example.app:/a/../b", ".."},
		{"http elsewhere is wrong", "http://app.example/callback", "http"},
		{"nothing is wrong", "", "absolute"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := CheckNativeRedirectURI(tt.uri, false)
			if (f == nil) != (tt.fault == "") || f != nil && (!strings.Contains(f.What, tt.fault) || f.Instead == "") {
				t.Errorf("CheckNativeRedirectURI(%q) = %+v, want %q", tt.uri, f, tt.fault)
			}
		})
	}
}

func TestHasRedirectURI_AnyPortOfALoopbackOnly_RFC8252_7_3(t *testing.T) {
	registered := []string{"http://127.0.0.1/callback", "http://[::1]:9000/callback?a=1", "com.example.app:/callback", "https://app.example/callback"}
	tests := []struct {
		name, uri   string
		native, web bool
	}{
		{"as registered", "http://127.0.0.1/callback", true, true},
		{"a port", "http://127.0.0.1:51004/callback", true, false},
		{"the highest port", "http://127.0.0.1:65535/callback", true, false},
		{"a port that is none", "http://127.0.0.1:65536/callback", false, false},
		{"a port of six digits", "http://127.0.0.1:651004/callback", false, false},
		{"port zero", "http://127.0.0.1:0/callback", false, false},
		{"a port with a zero in front", "http://127.0.0.1:080/callback", false, false},
		{"an empty port", "http://127.0.0.1:/callback", false, false},
		{"a port that is a word", "http://127.0.0.1:x/callback", false, false},
		{"a user behind the port", "http://127.0.0.1:80@evil.example/callback", false, false},
		{"a host that begins with it", "http://127.0.0.1.evil.example/callback", false, false},
		{"a host that begins with it and a port", "http://127.0.0.1:80.evil.example/callback", false, false},
		{"another path", "http://127.0.0.1:51004/callback2", false, false},
		{"the path encoded", "http://127.0.0.1:51004/%63allback", false, false},
		{"a query more", "http://127.0.0.1:51004/callback?x", false, false},
		{"a fragment", "http://127.0.0.1:51004/callback#x", false, false},
		{"localhost is another host", "http://localhost:51004/callback", false, false},
		{"the other loopback is another host", "http://[::1]:51004/callback", false, false},
		{"https is another scheme", "https://127.0.0.1:51004/callback", false, false},
		{"capitals", "HTTP://127.0.0.1:51004/callback", false, false},
		{"another port than the registered one", "http://[::1]:9001/callback?a=1", true, false},
		{"without the registered port", "http://[::1]/callback?a=1", true, false},
		{"a private-use scheme as registered", "com.example.app:/callback", true, true},
		{"a private-use scheme with a port", "com.example.app:80/callback", false, false},
		{"a website as registered", "https://app.example/callback", true, true},
		{"a website at another port", "https://app.example:8443/callback", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for native, want := range map[bool]bool{true: tt.native, false: tt.web} {
				c := Client{RedirectURIs: registered, Native: native}
				if got := c.HasRedirectURI(tt.uri); got != want {
					t.Errorf("native %v: HasRedirectURI(%q) = %v, want %v", native, tt.uri, got, want)
				}
			}
		})
	}
}

// Whatever a stranger sends, what passes differs from a registered URI in a port.
func TestHasRedirectURI_OnlyThePortMayDiffer(t *testing.T) {
	c := Client{Native: true, RedirectURIs: []string{"http://127.0.0.1/callback"}}
	rapid.Check(t, func(t *rapid.T) {
		uri := rapid.OneOf(
			rapid.StringMatching(`http://127\.0\.0\.1[:@.\[\]/?#0-9a-z%]{0,12}(/callback)?`), rapid.StringMatching(`http://127\.0\.0\.1:[0-9]{1,6}/callback`),
		).Draw(t, "uri")
		if !c.HasRedirectURI(uri) || uri == "http://127.0.0.1/callback" {
			return
		}
		port, ok := strings.CutPrefix(strings.TrimSuffix(uri, "/callback"), "http://127.0.0.1:")
		if !ok || strings.Trim(port, "0123456789") != "" || len(port) > 5 || port == "" {
			t.Errorf("HasRedirectURI(%q)", uri)
		}
	})
}

func TestCheckOrigin_RFC6454_6_2(t *testing.T) {
	for origin, fault := range map[string]string{
		"https://app.example": "", "https://app.example:8443": "", "http://127.0.0.1:5173": "", "http://[::1]:5173": "",
		"https://app.example/": "slash", "https://app.example/a": "path", "https://app.example?a": "path", "https://app.example#": "fragment",
		"https://*.example": "wildcard", "*": "wildcard", "null": "null", "": "absolute", "http://app.example": "loopback",
		"https://App.example": "capital", "https://app.example:443": "default port", "https://u@app.example": "user name",
		"com.example.app://x": "https", "chrome-extension://abc": "https", "https://app.example.": "dot", "https://sérvice.example": "ASCII",
	} {
		f := CheckOrigin(origin, true)
		if (f == nil) != (fault == "") || f != nil && (!strings.Contains(f.What, fault) || f.Instead == "") {
			t.Errorf("CheckOrigin(%q) = %+v, want %q", origin, f, fault)
		}
	}
	if CheckOrigin("http://127.0.0.1:5173", false) == nil {
		t.Error("http is accepted outside development")
	}
}
