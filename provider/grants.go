package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

// Digest is the SHA-256 of the issuer and a code or token. Stores see digests
// only. With the issuer inside, a code of another environment is simply unknown
// here, even when both share a store.
type Digest [32]byte

// GrantKind keeps codes and tokens apart, so that one can never pass for the other.
type GrantKind string

// The kinds.
const (
	CodeGrant   GrantKind = "code"
	AccessGrant GrantKind = "access"
	PushedGrant GrantKind = "pushed" // a request, not yet a grant; its handle is in a request_uri
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
	// WithdrawGrant is RevokeGrant because the person has taken her answer back.
	WithdrawGrant(ctx context.Context, id login.GrantID, until time.Time) error
	// Withdrawn reports whether WithdrawGrant was called for a grant, until then.
	Withdrawn(ctx context.Context, id login.GrantID) (bool, error)
}

// OnceStore remembers what may happen only once. It is durable: when Consume
// returns, the fact survives a crash.
type OnceStore interface {
	// Consume returns true for exactly one of all calls with the same kind and id,
	// until then. Any error means that the outcome is unknown.
	Consume(ctx context.Context, kind, id string, until, now time.Time) (first bool, err error)
}

// handleLength is the length of 32 bytes in base64url without padding.
const handleLength = 43

// newHandle returns a code or token: 256 random bits, so that guessing is no
// attack (RFC 6749 section 10.10) and nothing about the person is inside.
func newHandle() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isHandle saves the store from what cannot be one of ours.
func isHandle(s string) bool { return len(s) == handleLength && isBase64URL(s) }

func isBase64URL(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// storeGrant keeps v (a login.Grant for a code, an access for a token) as sealed
// JSON under a new handle, and returns the handle.
func storeGrant[T any](ctx context.Context, c *Codes, k GrantKind, id login.GrantID, v T, expires time.Time) (string, error) {
	handle := newHandle()
	if err := putGrant(ctx, c, k, handle, id, v, expires); err != nil {
		return "", err
	}
	return handle, nil
}

// putGrant is storeGrant for a handle that is made already.
func putGrant[T any](ctx context.Context, c *Codes, k GrantKind, handle string, id login.GrantID, v T, expires time.Time) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s grant", k) // the cause could quote the identity
	}
	d := c.digest(handle)
	sealed, err := c.cfg.Sealer.Seal("grant/"+string(k), d[:], plain)
	if err != nil {
		return fmt.Errorf("seal %s grant: %w", k, err)
	}
	err = c.cfg.Grants.PutGrant(ctx, StoredGrant{Kind: k, Digest: d, Grant: id, Sealed: sealed, Expires: expires})
	if err != nil {
		return fmt.Errorf("put %s grant: %w", k, err)
	}
	return nil
}

// loadGrant reads into v what storeGrant has kept. ErrNoGrant: there is none; any
// other error means that nobody can tell. A grant that does not open is of the
// second sort: its digest is ours, so it is the key that is wrong, not the code.
func loadGrant[T any](ctx context.Context, c *Codes, k GrantKind, handle string, v *T) (StoredGrant, error) {
	if !isToken(handle) {
		return StoredGrant{}, ErrNoGrant
	}
	d := c.digest(handle)
	s, err := c.cfg.Grants.GetGrant(ctx, k, d, c.cfg.Now())
	if err != nil {
		return StoredGrant{}, fmt.Errorf("get %s grant: %w", k, err)
	}
	plain, err := c.cfg.Sealer.Open("grant/"+string(k), d[:], s.Sealed)
	if err != nil {
		return StoredGrant{}, fmt.Errorf("open %s grant: %w", k, err)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return StoredGrant{}, fmt.Errorf("read %s grant", k) // the cause could quote the identity
	}
	return s, nil
}

func (c *Codes) digest(handle string) Digest {
	b := make([]byte, 0, 128)
	b = append(append(append(b, c.cfg.Issuer...), 0), handle...)
	return sha256.Sum256(b)
}
