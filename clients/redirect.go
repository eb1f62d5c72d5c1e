package clients

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Fault is what is wrong with a URI that a service registers, and what would be
// right. Neither text ever holds a query's value.
type Fault struct{ What, Instead string }

// responseParameters are the ones that an authorization response adds. A
// registered URI that already carries one could hide ours (parameter pollution).
var responseParameters = []string{"code", "state", "iss", "error", "error_description", "error_uri", "session_state", "response"}

// CheckRedirectURI says what is wrong with a redirect URI at registration, or
// nil: it must be an absolute https URI in the one form in which browsers send
// it, without fragment, user, wildcard or a parameter of our own answers
// (RFC 6749 section 3.1.2, RFC 9700 sections 2.1 and 4.1). With loopbackHTTP,
// http is allowed on a loopback host, for development.
func CheckRedirectURI(uri string, loopbackHTTP bool) *Fault {
	if strings.Contains(uri, "*") {
		return &Fault{"a redirect URI holds no wildcard: it is compared byte for byte", "each URI in full, one entry each"}
	}
	u, f := checkURI(uri, loopbackHTTP)
	if f != nil {
		return f
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return &Fault{"its query is malformed", "a URI with a correct query, or none"}
	}
	for _, p := range responseParameters {
		if query.Has(p) {
			return &Fault{fmt.Sprintf("a redirect URI must not carry the parameter %s: the answer brings its own", p), "the URI without it"}
		}
	}
	return nil
}

// CheckURL says what is wrong with an address that we call or that identifies a
// provider, or nil.
func CheckURL(address string, loopbackHTTP bool) *Fault {
	_, f := checkURI(address, loopbackHTTP)
	return f
}

// checkURI refuses whatever two programs may read differently.
func checkURI(uri string, loopbackHTTP bool) (*url.URL, *Fault) {
	const example = "https://service.example/callback"
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] >= 0x7f || strings.IndexByte("\\\"<>^`{|}", uri[i]) >= 0 {
			return nil, &Fault{"it holds a space, a letter outside ASCII or a sign that no URI can hold", "it percent-encoded, and the host in its xn-- form"}
		}
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, &Fault{"it is not a URI", example}
	}
	scheme, _, _ := strings.Cut(uri, ":")
	switch {
	case u.Scheme == "" || u.Scheme != "http" && u.Scheme != "https" && !strings.Contains(uri, ":"):
		return nil, &Fault{"it is not an absolute URI", example}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &Fault{"its scheme is not https", example}
	case scheme != u.Scheme || u.Host != strings.ToLower(u.Host):
		return nil, &Fault{"its scheme or host has capital letters, which a browser would change", "scheme and host in small letters"}
	case u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, &Fault{"it has no host", example}
	case u.User != nil || strings.Contains(u.Host, "@"):
		return nil, &Fault{"it holds a user name before the host", "the URI without the part before @"}
	case strings.Contains(uri, "#"):
		return nil, &Fault{"it holds a fragment (#)", "the URI without # and what follows"}
	case strings.Contains(u.Host, "*"):
		return nil, &Fault{"it holds no wildcard: it is compared byte for byte", "each URI in full, one entry each"}
	case strings.HasSuffix(u.Hostname(), ".") || strings.Contains(u.Host, "%"):
		return nil, &Fault{"its host ends in a dot or holds a %", "the plain host name"}
	case strings.HasSuffix(u.Host, ":") || u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return nil, &Fault{"it names the default port, which a browser leaves out", "the URI without the port"}
	case dotted(u.Path):
		return nil, &Fault{"its path holds . or .., which a browser resolves", "the path that results"}
	case u.Scheme == "http" && !Loopback(u.Hostname()):
		return nil, &Fault{"http is for loopback hosts in development only", "https://" + u.Host + u.Path}
	case u.Scheme == "http" && !loopbackHTTP:
		return nil, &Fault{"http is allowed with development: true only", "https://" + u.Host + u.Path}
	}
	return u, nil
}

// dotted reports a segment . or .. in a decoded path.
func dotted(path string) bool {
	for _, s := range strings.Split(path, "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// Loopback reports whether host means this machine: localhost, a name under it,
// or a loopback address.
func Loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Sector returns the pairwise sector of redirect URIs when none is configured:
// their host, or "" when they have several (OpenID Connect Core section 8.1).
func Sector(redirectURIs []string) string {
	host := ""
	for _, r := range redirectURIs {
		u, err := url.Parse(r)
		if err != nil || u.Hostname() == "" || host != "" && host != u.Hostname() {
			return ""
		}
		host = u.Hostname()
	}
	return host
}
