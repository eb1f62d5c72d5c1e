package sandbox

import (
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// Fault is a failure switch of the sign-in page: what this one sign-in shall do
// wrong, so that anyone can see what the relying party makes of it.
type Fault string

// The switches. They are the values of the radio buttons named "fail".
const (
	FaultNone         Fault = ""
	FaultServerError  Fault = "server_error"  // the authorization response is an error
	FaultTokenError   Fault = "token_error"   // the token endpoint answers 500
	FaultWrongNonce   Fault = "wrong_nonce"   // another nonce than was sent
	FaultExpired      Fault = "expired_token" // the ID token expired an hour ago
	FaultLowerACR     Fault = "lower_acr"     // one level below this provider's
	FaultWrongSub     Fault = "wrong_sub"     // userinfo speaks of somebody else
	FaultBadSignature Fault = "bad_signature" // the ID token's signature does not hold
	FaultWrongIssuer  Fault = "wrong_issuer"  // iss in the response is somebody else's (RFC 9207)
	FaultSlow         Fault = "slow"          // the token endpoint answers after SlowFor
)

// SlowFor is longer than a relying party should wait for a token.
const SlowFor = 10 * time.Second

// faults is the order of the page.
func faults() []Fault {
	return []Fault{
		FaultNone, FaultServerError, FaultTokenError, FaultWrongNonce, FaultExpired, FaultLowerACR,
		FaultWrongSub, FaultBadSignature, FaultWrongIssuer, FaultSlow,
	}
}

func faultNamed(s string) (Fault, bool) {
	for _, f := range faults() {
		if string(f) == s {
			return f, true
		}
	}
	return FaultNone, false
}

// elementID is the id of the switch on the page.
func (f Fault) elementID() string {
	if f == FaultNone {
		return "fail-none"
	}
	return "fail-" + strings.ReplaceAll(string(f), "_", "-")
}

// oneBelow is the next lower level; below the lowest there is none, and we say
// a word that means nothing to anybody.
func oneBelow(a protocol.ACR) protocol.ACR {
	switch a {
	case protocol.EIDAS3:
		return protocol.EIDAS2
	case protocol.EIDAS2:
		return protocol.EIDAS1
	}
	return "eidas0"
}

// breakSignature changes the last but one character of a compact JWS: the very
// last one may hold only padding bits.
func breakSignature(jws string) string {
	i := len(jws) - 2
	c := "A"
	if jws[i] == 'A' {
		c = "B"
	}
	return jws[:i] + c + jws[i+1:]
}
