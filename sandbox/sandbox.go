// Package sandbox is the demo world: test identities of invented people,
// identity providers that know them, and a sample service that shows what it
// received. Each is an HTTP handler of its own that speaks plain OpenID Connect
// and knows nothing of the broker between them, so that the broker meets here
// what it meets outside.
// It never holds a real person, never keeps anything but memory, and nothing in
// it may run in production. Read identities.go for who there is, provider.go and
// service.go for how to start one.
package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed pages
var pages embed.FS

// maxBody bounds every body that a stranger sends us.
const maxBody = 64 << 10

// maxQuery bounds a query string.
const maxQuery = 8 << 10

// newHandle returns 256 random bits, base64url: a code, a token, a cookie, a state.
func newHandle() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// digest is what we keep of a handle.
func digest(handle string) [32]byte { return sha256.Sum256([]byte(handle)) }

// params reads a query or form in which no parameter occurs twice (RFC 6749
// section 3.1): two readers could otherwise see two different requests.
func params(raw url.Values) (map[string]string, error) {
	out := make(map[string]string, len(raw))
	for k, vs := range raw {
		if len(vs) != 1 {
			return nil, errors.New("a parameter occurs more than once")
		}
		out[k] = vs[0]
	}
	return out, nil
}

// query parses the query string of r within maxQuery.
func query(r *http.Request) (url.Values, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, errors.New("the query is too long")
	}
	return url.ParseQuery(r.URL.RawQuery)
}

// form parses the body of r, and only the body: nothing may be slipped in
// through the query of a POST.
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, errors.New("the form cannot be read")
	}
	return r.PostForm, nil
}

// checkOrigin refuses a base address that is more than scheme and host.
func checkOrigin(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(raw, "#") {
		return fmt.Errorf("%q is not an address like http://localhost:8081", raw)
	}
	return nil
}

// pageHeaders sets what every page of the sandbox carries. There is no
// form-action: browsers apply it to the redirects that follow a form too, and
// those leave for the broker and from there perhaps for the service.
func pageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// stylesheet serves the one stylesheet of the sandbox.
func stylesheet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, pages, "pages/style.css")
}

// parsePages reads the named templates together with the layout.
func parsePages(names ...string) (*template.Template, error) {
	files := []string{"pages/layout.html"}
	for _, n := range names {
		files = append(files, "pages/"+n)
	}
	return template.ParseFS(pages, files...)
}
