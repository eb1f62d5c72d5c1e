package provider

import (
	"crypto/subtle"
	"net/http"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
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
// its request proves, or refuses when it must be bound and proves nothing. The client
// has authenticated: nobody else uses up a proof. What is refused here does not burn
// the code (RFC 9449 section 5).
func (p *Provider) bind(r *http.Request, c *clients.Client) (confirmation, error) {
	jkt, err := p.provenKey(r)
	if err != nil {
		return confirmation{}, err
	}
	if jkt == "" && c.DPoPBound {
		return confirmation{}, invalid("this client must send a DPoP proof")
	}
	bound := confirmation{JKT: jkt}
	if c.CertificateBound {
		if bound.X5T = p.certificateThumbprint(r); bound.X5T == "" {
			return confirmation{}, invalid("a client certificate is required")
		}
	}
	return bound, nil
}

// bindCode ties the code of a pushed request to the key that pushes it, and so does
// dpop_jkt in the request; of two they must be one (RFC 9449 section 10.1).
func (p *Provider) bindCode(r *http.Request, req *protocol.AuthRequest) error {
	jkt, err := p.provenKey(r)
	if err != nil || jkt == "" {
		return err
	}
	if req.DPoPKey != "" && !sameKey(req.DPoPKey, jkt) {
		return errProof("is not by the key that dpop_jkt names")
	}
	req.DPoPKey = jkt
	return nil
}

// dpopKey reads the thumbprint of the only key that may redeem the code (RFC 9449
// section 10).
func (a params) dpopKey() *protocol.Error {
	jkt := a.get("dpop_jkt")
	if jkt != "" && !isHandle(jkt) {
		return invalid("dpop_jkt must be 43 base64url characters")
	}
	a.req.DPoPKey = jkt
	return nil
}

// otherKey says why a request that proves this much may not have a grant that is for
// one key only, or "".
func otherKey(g login.Grant, proven confirmation) string {
	if g.DPoPKey != "" && !sameKey(g.DPoPKey, proven.JKT) {
		return "dpop_jkt"
	}
	return ""
}

// holds checks that whoever presents an access token has what it is bound to. A
// bound token is refused from a bearer, and one that is bound to nobody with the
// scheme DPoP: neither side may believe in a protection that is not there (RFC 9449
// sections 7.1 and 7.2).
func (p *Provider) holds(h http.Header, r *http.Request, token string, to confirmation) error {
	if to.X5T != "" && to.X5T != p.certificateThumbprint(r) { // RFC 8705 section 3
		return errToken("bound to another certificate")
	}
	dpop := usesDPoP(r)
	switch {
	case to.JKT == "" && dpop:
		return errToken("not bound to a key")
	case to.JKT != "" && !dpop:
		return errToken("bound to a key and presented as a bearer token")
	case to.JKT != "":
		return p.holdsKey(h, r, token, to.JKT)
	}
	return nil
}

func sameKey(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
