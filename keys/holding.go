package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// holding is the key file as the ring uses it. It is immutable but for caches:
// each change of the file makes a new one.
type holding struct {
	contents contents
	signers  map[string]*signer // the active key of each algorithm
	saml     samlKeys
	sealing  [sealIDSize]byte // id of the secret that seals
	secrets  map[[sealIDSize]byte][]byte
	derived  sync.Map // label → [32]byte
	ciphers  sync.Map // cipherID → *xaes

	jwks  []byte
	etag  string
	stale time.Time // when jwks must lose a key; zero: never
}

// newHolding also checks all that Ring relies on.
func newHolding(c contents, now time.Time, retention time.Duration) (*holding, error) {
	h := &holding{contents: c, signers: map[string]*signer{}, secrets: map[[sealIDSize]byte][]byte{}}
	if len(c.Derivation) != 32 || len(c.Sealing) == 0 {
		return nil, errors.New("a secret is missing")
	}
	for i, secret := range c.Sealing {
		id, err := sealID(secret)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			h.sealing = id
		}
		h.secrets[id] = secret
	}
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range c.Signing {
		key, err := k.check()
		switch {
		case err != nil:
		case k.forSAML():
			err = h.saml.holdSAML(k)
		case k.State == Active:
			err = h.sign(k)
		}
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.KID, err)
		}
		if !k.forSAML() && h.publishes(k, now, retention) {
			public.Keys = append(public.Keys, jose.JSONWebKey{Key: key, KeyID: k.KID, Algorithm: k.Alg, Use: "sig"})
		}
	}
	var err error
	if h.jwks, err = json.Marshal(public); err != nil {
		return nil, errors.New("the JWKS cannot be written")
	}
	sum := sha256.Sum256(h.jwks)
	h.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return h, nil
}

// sign makes k the key that signs for its algorithm.
func (h *holding) sign(k signingKey) (err error) {
	if h.signers[k.Alg] != nil {
		return errors.New("a second active key")
	}
	h.signers[k.Alg], err = newSigner(k)
	return err
}

// publishes reports whether k belongs into the JWKS now, and notes when that ends.
func (h *holding) publishes(k signingKey, now time.Time, retention time.Duration) bool {
	if k.State != Retired {
		return k.State != Revoked
	}
	until := k.Ended.Add(retention)
	if !now.Before(until) {
		return false
	}
	if h.stale.IsZero() || until.Before(h.stale) {
		h.stale = until
	}
	return true
}

// check returns the public key of a signing key that makes sense.
func (k signingKey) check() (crypto.PublicKey, error) {
	public, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return nil, errors.New("public key malformed")
	}
	if !suits(public, k.Alg) {
		return nil, errors.New("key does not suit its algorithm")
	}
	if id, err := thumbprint(public); err != nil || id != k.KID {
		return nil, errors.New("key id is not the thumbprint")
	}
	switch k.State {
	case Next, Active:
		if k.Private == nil {
			return nil, errors.New("private key missing")
		}
	case Retired, Revoked:
		if k.Private != nil {
			return nil, errors.New("private key not destroyed")
		}
	default:
		return nil, errors.New("unknown state")
	}
	return public, nil
}

func suits(public crypto.PublicKey, alg string) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return alg == es256 && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == edDSA
	case *rsa.PublicKey:
		return (alg == ps256 || alg == rs256 || alg == SAMLSigning || alg == SAMLDecryption) && key.N.BitLen() >= rsaBits
	}
	return false
}

// holding is what the ring holds now, or why the caller cannot have it.
func (r *Ring) holding(ctx context.Context) (*holding, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if h := r.held.Load(); h != nil {
		return h, nil
	}
	return nil, ErrClosed
}

// JWKS is our public keys (RFC 7517 section 5) and a strong ETag, quotes
// included. The bytes are made once per change and are not the caller's to
// change; nil when the ring is closed.
func (r *Ring) JWKS() (body []byte, etag string) {
	h := r.held.Load()
	if h == nil {
		return nil, ""
	}
	if now := r.cfg.Now(); !h.stale.IsZero() && !now.Before(h.stale) {
		if fresh, err := newHolding(h.contents, now, r.cfg.Retention); err == nil && r.held.CompareAndSwap(h, fresh) {
			h = fresh
		}
	}
	return h.jwks, h.etag
}

// Description is what anyone may know of a signing key.
type Description struct {
	KID       string
	Alg       string
	State     State
	Created   time.Time
	Activated time.Time // zero: not yet
	Ended     time.Time // when it was retired or revoked; zero: not yet
}

// Keys lists all signing keys that there ever were, oldest first; nil when the
// ring is closed.
func (r *Ring) Keys() []Description {
	h := r.held.Load()
	if h == nil {
		return nil
	}
	list := make([]Description, len(h.contents.Signing))
	for i, k := range h.contents.Signing {
		list[i] = Description{KID: k.KID, Alg: k.Alg, State: k.State, Created: k.Created, Activated: k.Activated, Ended: k.Ended}
	}
	return list
}
