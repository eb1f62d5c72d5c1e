package provider

import (
	"net/http"

	"github.com/voussoir-id/voussoir/web"
)

// PathProviderKeys is where identity providers find the keys of our client
// assertions. It is not one of Paths: no service has any use for it, and a
// service that verified a token by these keys would be wrong.
const PathProviderKeys = PathJWKS + "/providers"

// ServeKeys serves a JWKS with its entity tag, as PathJWKS is served.
func ServeKeys(ks interface {
	JWKS() (body []byte, etag string)
}) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, etag := ks.JWKS()
		return serveDocument(w, r, body, etag, "application/jwk-set+json")
	}
}
