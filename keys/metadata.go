package keys

import "time"

// Metadata is what the records know of a signing key: never the key itself. A
// zero time means not yet.
type Metadata struct {
	KID       string
	Alg       string // JWS algorithm (RFC 7518 section 3.1)
	State     string // next | active | retired | revoked
	Created   time.Time
	Activated time.Time
	Retired   time.Time
}
