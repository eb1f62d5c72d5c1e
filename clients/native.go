package clients

import (
	"net/url"
	"regexp"
	"strings"
)

// loopbackBases begin the redirect URIs of native apps on the person's own
// machine (RFC 8252 section 7.3). Not localhost: a resolver could make that
// another machine (section 8.3).
var loopbackBases = []string{"http://127.0.0.1", "http://[::1]"}

// privateUse is com.example.app:/path (RFC 8252 section 7.1): a domain name of the
// app's maker backwards, so that two makers do not take the same one, then one
// slash, because there is no authority. The dot keeps out every scheme that a
// browser gives a meaning to.
var privateUse = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+:/([^/]|$)`)

// anyPort reports whether uri is the registered loopback URI but for the port,
// which an app learns only when it starts to listen (RFC 8252 section 7.3). All
// other bytes are the same.
func anyPort(registered, uri string) bool {
	for _, base := range loopbackBases {
		r, ok := strings.CutPrefix(registered, base)
		u, same := strings.CutPrefix(uri, base)
		if ok && same && startsPath(r) {
			rest, good := withoutPort(u)
			want, _ := withoutPort(r)
			return good && rest == want
		}
	}
	return false
}

// startsPath says that the host ends here: 127.0.0.1.example does not begin with
// 127.0.0.1.
func startsPath(s string) bool { return s == "" || strings.IndexByte(":/?", s[0]) >= 0 }

// withoutPort cuts ":1" to ":65535" from the front of s, if it begins with a colon.
func withoutPort(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, ":") {
		return s, true
	}
	i, port := 1, 0
	for ; i < len(s) && i <= 5 && s[i] >= '0' && s[i] <= '9'; i++ {
		port = port*10 + int(s[i]-'0')
	}
	return s[i:], i > 1 && s[1] != '0' && port <= 65535
}

// CheckNativeRedirectURI says what is wrong with a redirect URI of a native app at
// registration, or nil. Beside what CheckRedirectURI accepts it may be http on a
// loopback address, with every port, and of a private-use scheme.
func CheckNativeRedirectURI(uri string, loopbackHTTP bool) *Fault {
	scheme, _, _ := strings.Cut(uri, ":")
	if privateUse.MatchString(uri) {
		return checkPrivateUse(uri, scheme)
	}
	for _, base := range loopbackBases {
		if rest, ok := strings.CutPrefix(uri, base); ok && startsPath(rest) {
			return CheckRedirectURI(uri, true)
		}
	}
	if s := strings.ToLower(scheme); s != "http" && s != "https" && strings.Contains(uri, ":") {
		return &Fault{"its scheme is not a domain name of yours backwards, followed by one slash", "com.example.app:/callback"}
	}
	f := CheckRedirectURI(uri, loopbackHTTP)
	if f != nil && strings.HasPrefix(uri, "http://localhost") {
		return &Fault{"localhost can be made to mean another machine", "http://127.0.0.1/callback"}
	}
	return f
}

// checkPrivateUse puts the rest of the URI through the checks that every redirect
// URI goes through.
func checkPrivateUse(uri, scheme string) *Fault {
	f := CheckRedirectURI("https://app.example"+uri[len(scheme)+1:], false)
	if f != nil {
		f.Instead = "com.example.app:/callback"
	}
	return f
}

// TakesForms reports whether a browser can post a form to a redirect URI
// (response_mode form_post): to an app's private-use scheme it cannot.
func TakesForms(redirectURI string) bool {
	return strings.HasPrefix(redirectURI, "https://") || strings.HasPrefix(redirectURI, "http://")
}

// Imitable reports whether another program on the person's device can receive what
// is sent to this redirect URI and so pass for the client: it proves itself with
// nothing, and the address is not a website's. Nothing may be answered there
// without the person, whatever she agreed to before (RFC 8252 section 8.6).
func (c *Client) Imitable(redirectURI string) bool {
	return c.AuthMethod == Public && !strings.HasPrefix(redirectURI, "https://")
}

// CheckOrigin says what is wrong with an origin that may call us from a browser,
// or nil: it is what browsers send in Origin (RFC 6454 section 6.2), byte for byte.
func CheckOrigin(origin string, loopbackHTTP bool) *Fault {
	if strings.Contains(origin, "*") || origin == "null" {
		return &Fault{"an origin is one website: neither a wildcard nor null", "https://app.example, one entry for each"}
	}
	u, f := checkURI(origin, loopbackHTTP)
	if f != nil {
		return f
	}
	if exact := (&url.URL{Scheme: u.Scheme, Host: u.Host}).String(); exact != origin {
		return &Fault{"an origin has neither a path nor a slash at the end", exact}
	}
	return nil
}
