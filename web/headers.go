package web

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// maxURL is the longest request target that we read, in bytes.
const maxURL = 16 << 10

// Nothing but our own style sheet and images; no script; no frame around us.
const policyBase = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action "

func (s *Site) baseHeaders(h http.Header, a audience, v *visit) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Correlation-Id", v.number)
	if s.issuer.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	if a == forMachines {
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		return
	}
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()")
	h.Set("Content-Security-Policy", policyBase+"'none'")
}

// formAction is where the forms of a sign-in may lead. Chromium applies
// form-action to every redirect after the form, and our forms are answered by a
// 303 to a provider or to the service, which redirect further to addresses that
// nobody can list (a service's callback sends people to its www host). So we
// name the scheme, not the origins: 'self' alone breaks each sign-in, and a list
// of origins breaks those with a second hop. See docs/decisions.
func formAction(issuer *url.URL) string {
	if issuer.Scheme == "http" {
		return "'self' https: http:"
	}
	return "'self' https:"
}

// forms is formAction for a page whose forms end at target: a native app's
// redirect URI (RFC 8252) is on loopback http or has a scheme of its own.
func (s *Site) forms(target string) string {
	u, err := url.Parse(target)
	if err != nil || target == "" {
		return s.formAction
	}
	switch scheme := strings.ToLower(u.Scheme); {
	case scheme == "https", unsafeScheme(scheme):
		return s.formAction
	case scheme == "http" && strings.HasPrefix(u.Host, "["):
		return s.formAction + " http:" // a policy has no way to write [::1] (CSP 3 section 2.3.1)
	case scheme == "http" && plainHost(u.Host):
		return s.formAction + " http://" + u.Host
	case scheme == "http":
		return s.formAction
	default:
		return s.formAction + " " + scheme + ":"
	}
}

// plainHost reports whether host can stand in a policy: no sign that would end
// the source or the directive.
func plainHost(host string) bool {
	return host != "" && !strings.ContainsAny(host, " \t;,'\"")
}

// unsafeScheme reports whether a link to such an address would run or show
// something in our place. An empty one is a relative address.
func unsafeScheme(scheme string) bool {
	switch scheme {
	case "", "javascript", "data", "vbscript", "blob", "file", "filesystem", "about", "view-source":
		return true
	}
	return false
}

// ownHosts lists the Host headers that are ours.
func ownHosts(issuer *url.URL, dev bool) []string {
	port := issuer.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[issuer.Scheme]
	}
	names := []string{issuer.Hostname()}
	if dev {
		names = append(names, "localhost", "127.0.0.1")
	}
	var out []string
	for _, n := range names {
		n = strings.ToLower(n)
		out = append(out, net.JoinHostPort(n, port))
		if (issuer.Scheme == "https" && port == "443") || (issuer.Scheme == "http" && port == "80") {
			if strings.Contains(n, ":") {
				n = "[" + n + "]"
			}
			out = append(out, n)
		}
	}
	return out
}

// Guard stands in front of everything: another Host than the issuer's gets 421
// (in development loopback names with the issuer's port are ours too), a request
// target above 16 KiB gets 414, TRACE and CONNECT get 405. X-Forwarded-Host and
// method overrides are ignored everywhere: nothing here reads them. /healthz and
// /readyz answer under any Host, because orchestrators ask by address.
func (s *Site) Guard(next http.Handler) http.Handler {
	refuse := func(status int, code Code) http.Handler {
		return s.PageFromAnySite("guard", func(http.ResponseWriter, *http.Request) error {
			return &refusal{status: status, problem: Fail(code, nil)}
		})
	}
	misdirected := refuse(http.StatusMisdirectedRequest, RequestInvalid)
	tooLong := refuse(http.StatusRequestURITooLong, TooLarge)
	refused := refuse(http.StatusMethodNotAllowed, MethodNotAllowed)
	badMethod := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "GET, HEAD, POST") // RFC 9110 section 15.5.6
		refused.ServeHTTP(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// net/http reads a request with both a length and chunks by its chunks, and
		// hides the length. A proxy that went by the length would take what is left
		// for part of this request, and we for the next one: there must be no next one
		// (RFC 9112 section 6.1).
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		switch {
		case len(r.RequestURI) > maxURL || len(r.URL.Path)+len(r.URL.RawQuery) > maxURL:
			tooLong.ServeHTTP(w, r)
		case !s.ownHost(r.Host) && r.URL.Path != "/healthz" && r.URL.Path != "/readyz":
			misdirected.ServeHTTP(w, r)
		case r.Method == http.MethodTrace || r.Method == http.MethodConnect:
			badMethod.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Site) ownHost(host string) bool {
	for _, h := range s.hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

// refusal is a problem with a status of its own.
type refusal struct {
	status  int
	problem *Problem
}

func (r *refusal) Error() string { return r.problem.Error() }
func (r *refusal) Unwrap() error { return r.problem }
