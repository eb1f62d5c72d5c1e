// Package provider is our OpenID Provider side: authorize, token, userinfo,
// discovery and JWKS, on zitadel/oidc as an HTTP adapter (oplib.go is the only
// file that imports its op package) behind our own hardening. It signs only
// identity.Released. It never decides what is released, never shows a choice and
// never sees an unminimised identity.
package provider

import (
	"context"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

// Digest is the SHA-256 of a code or token. Stores see digests only.
type Digest [32]byte

// GrantKind keeps codes and tokens apart, so that one can never pass for the other.
type GrantKind string

// The kinds.
const (
	CodeGrant   GrantKind = "code"
	AccessGrant GrantKind = "access"
)

// StoredGrant is a grant as a store sees it: sealed.
type StoredGrant struct {
	Kind    GrantKind
	Digest  Digest
	Grant   login.GrantID
	Sealed  []byte
	Expires time.Time
}

// ErrNoGrant: unknown, expired or revoked.
var ErrNoGrant = errors.New("no such grant")

// GrantStore keeps grants until they expire. Any error but ErrNoGrant means that
// the outcome is unknown and the caller answers temporarily_unavailable.
type GrantStore interface {
	PutGrant(ctx context.Context, g StoredGrant) error
	// GetGrant returns ErrNoGrant for another kind, after expiry at now, and after
	// RevokeGrant of its grant id, even when the put came after the revocation.
	GetGrant(ctx context.Context, k GrantKind, d Digest, now time.Time) (StoredGrant, error)
	// RevokeGrant kills everything of one grant, now and later; until is when the
	// last of its tokens would have expired and the tombstone may be forgotten.
	RevokeGrant(ctx context.Context, id login.GrantID, until time.Time) error
}

// OnceStore remembers what may happen only once. It is durable: when Consume
// returns, the fact survives a crash.
type OnceStore interface {
	// Consume returns true for exactly one of all calls with the same kind and id,
	// until then. Any error means that the outcome is unknown.
	Consume(ctx context.Context, kind, id string, until, now time.Time) (first bool, err error)
}
