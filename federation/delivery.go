package federation

import "github.com/voussoir-id/voussoir/protocol"

// Delivery is which claims a provider promised and which it sent with one sign-in:
// names, by our words, never values. What it sent may still be refused.
type Delivery struct {
	Promised, Sent []protocol.Claim
}

// Claims of a Delivery that no service is given as claims of their own.
const (
	EmailVerified protocol.Claim = "email_verified"
	ACRClaim      protocol.Claim = "acr"
)
