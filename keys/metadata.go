package keys

import (
	"context"
	"time"
)

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

// MetadataStore keeps the life of each key for auditors, also when the key file
// is lost or rolled back to an older copy. It is durable and safe for
// concurrent use.
type MetadataStore interface {
	// PutKey stores m, or replaces the state and the later times of the key with
	// this KID. A key never changes its algorithm or its creation time: then
	// PutKey returns an error and changes nothing.
	PutKey(ctx context.Context, m Metadata) error
	// Keys lists every key there ever was, oldest first.
	Keys(ctx context.Context) ([]Metadata, error)
}
