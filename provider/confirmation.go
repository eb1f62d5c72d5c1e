package provider

import (
	"net/http"

	"github.com/voussoir-id/voussoir/clients"
)

// confirmation is whom a token is bound to (RFC 7800 section 3.1): the key of a
// DPoP proof (RFC 9449 section 6), a certificate (RFC 8705 section 3.1), both, or
// nobody: whoever bears it.
type confirmation struct {
	JKT string `json:"jkt,omitempty"`      // SHA-256 thumbprint of the key (RFC 7638), base64url
	X5T string `json:"x5t#S256,omitempty"` // SHA-256 of the certificate, base64url
}

// tokenType is what the token response says of a token bound so.
func (c confirmation) tokenType() string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// claim is c as the cnf of a token, nil when it is bound to nobody.
func (c confirmation) claim() *confirmation {
	if c == (confirmation{}) {
		return nil
	}
	return &c
}

// bind says whom the tokens that this client asks for will be bound to, from what
// its request proves, or refuses when it must be bound and proves nothing.
func (p *Provider) bind(r *http.Request, c *clients.Client) (confirmation, error) {
	var bound confirmation
	if c.CertificateBound {
		if bound.X5T = p.certificateThumbprint(r); bound.X5T == "" {
			return confirmation{}, invalid("a client certificate is required")
		}
	}
	return bound, nil
}
