package provider

import (
	"net/http"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// preflightAge is how long a browser may remember the answer to a preflight, in
// seconds: a registration that ends is noticed soon.
const preflightAge = "300"

// varyOrigin is shared by all answers.
var varyOrigin = []string{"Origin"}

// crossOrigin lets programs in browsers call a route, if their origin is registered
// (Fetch Standard, section "CORS protocol"). It answers the browser's question
// beforehand, which cannot say for which client it asks, for every origin that some
// client has. Whether the program may read the real answer is for readable to say,
// once the client is known. There are never credentials: our cookies belong to the
// visits of people, and no route behind this reads one.
func (p *Provider) crossOrigin(methods string, h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		header := w.Header()
		header["Vary"] = varyOrigin // also without one: a cache must not mix the two
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			return h(w, r)
		}
		origin, ok := originOf(r)
		if !ok || !p.Clients().HasOrigin(origin) {
			return h(w, r) // which says that there is no such method
		}
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Methods", methods)
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
		header.Set("Access-Control-Max-Age", preflightAge)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// byNamed is h behind readable, for the client that the request names, proven or
// not: also what is wrong with its credentials may be read by its own program.
func (p *Provider) byNamed(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, ok := originOf(r); ok {
			if c, ok := p.Clients().Get(named(r)); ok {
				readable(w.Header(), r, c)
			}
		}
		return h(w, r)
	}
}

// named is the client that a form request says it comes from. Nothing is believed
// of it but whose origins to look at.
func named(r *http.Request) protocol.ClientID {
	cred, err := readCredentials(r.Header, r.PostForm)
	if err != nil || cred.id != "" {
		return cred.id
	}
	return assertedID(cred.assertion)
}

// readable lets the program that asks read the answer, if its origin is one of the
// client's own, byte for byte.
func readable(h http.Header, r *http.Request, c *clients.Client) {
	origin, ok := originOf(r)
	if !ok || !slices.Contains(c.AllowedOrigins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce")
}

// originOf is the one origin of a request. "null" is every sandboxed frame and
// local file, so it is nobody.
func originOf(r *http.Request) (string, bool) {
	list := r.Header["Origin"]
	if len(list) != 1 || list[0] == "" || strings.EqualFold(list[0], "null") {
		return "", false
	}
	return list[0], true
}
