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
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// holding is the key file as the ring uses it. It is immutable but for caches:
// each change of the file makes a new one.
type holding struct {
	contents contents
	signers  map[slot]*signing // the active keys, but those of SAML
	saml     samlKeys
	openers  []opener         // the keys that decrypt JWEs, oldest first
	sealing  [sealIDSize]byte // id of the secret that seals
	secrets  map[[sealIDSize]byte][]byte
	derived  sync.Map // label → [32]byte
	ciphers  sync.Map // cipherID → *xaes

	services  jwkSet
	providers jwkSet
	stale     time.Time // when one of them must lose a key; zero: never
}

// jwkSet is a JWKS.
type jwkSet struct {
	jwks []byte
	etag string
}

// newHolding also checks all that Ring relies on.
func (r *Ring) newHolding(c contents, now time.Time) (*holding, error) {
	h := &holding{contents: c, signers: map[slot]*signing{}, secrets: map[[sealIDSize]byte][]byte{}}
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
	public := map[Use][]jose.JSONWebKey{ForServices: {}, ForProviders: {}}
	for _, k := range c.Signing {
		key, err := k.check()
		if err == nil {
			err = h.take(k, key, r)
		}
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.KID, err)
		}
		if k.Use != ForSAML && h.publishes(k, now, r.cfg.Retention) {
			set, use := k.Use, "sig"
			if k.Use == ForDecryption {
				set, use = ForProviders, "enc"
			}
			public[set] = append(public[set], jose.JSONWebKey{Key: key, KeyID: k.KID, Algorithm: k.Alg, Use: use})
		}
	}
	var err error
	if h.services, err = publish(public[ForServices]); err != nil {
		return nil, err
	}
	h.providers, err = publish(public[ForProviders])
	return h, err
}

func publish(ks []jose.JSONWebKey) (jwkSet, error) {
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: ks})
	if err != nil {
		return jwkSet{}, errors.New("the JWKS cannot be written")
	}
	sum := sha256.Sum256(body)
	return jwkSet{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}, nil
}

// take puts a key to its use.
func (h *holding) take(k signingKey, public crypto.PublicKey, r *Ring) error {
	switch {
	case k.Use == ForSAML:
		return h.saml.hold(k)
	case k.Use == ForDecryption && k.Private != nil:
		o, err := newOpener(k)
		if err != nil {
			return err
		}
		h.openers = append(h.openers, o)
	case k.Use != ForDecryption && k.State == Active:
		return h.sign(k, public, r)
	}
	return nil
}

// sign makes k the key that signs in its slot.
func (h *holding) sign(k signingKey, public crypto.PublicKey, r *Ring) (err error) {
	at := slot{k.Use, k.Alg}
	if h.signers[at] != nil {
		return errors.New("a second active key")
	}
	if k.InSigner {
		h.signers[at], err = r.newExternal(k, public)
	} else {
		h.signers[at], err = newSigning(k)
	}
	return err
}

// publishes reports whether k belongs into the JWKS now, and notes when that ends.
func (h *holding) publishes(k signingKey, now time.Time, retention time.Duration) bool {
	if k.Use == ForDecryption {
		return k.State == Active
	}
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
	switch {
	case !slices.Contains([]Use{ForServices, ForProviders, ForSAML, ForDecryption}, k.Use):
		return nil, errors.New("unknown use")
	case !usable(k.Use, k.Alg):
		return nil, errors.New("its use does not go with its algorithm")
	}
	if k.InSigner && k.Use.inFile() {
		return nil, errors.New("a key of its use does not lie in a signer")
	}
	switch k.State {
	case Next, Active:
		if k.Private == nil && !k.InSigner {
			return nil, errors.New("private key missing")
		}
		if k.Private != nil && k.InSigner {
			return nil, errors.New("private key in two places")
		}
	case Retired, Revoked:
		if k.Private != nil && (k.State == Revoked || k.Use != ForDecryption) {
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
		return (alg == es256 || alg == ecdhES) && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == edDSA
	case *rsa.PublicKey:
		return (slices.Contains([]string{ps256, rs256, rsaOAEP256}, alg) || slices.Contains(samlAlgorithms(), alg)) && key.N.BitLen() >= rsaBits
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
	if h := r.timely(); h != nil {
		return h.services.jwks, h.services.etag
	}
	return nil, ""
}

// ProviderKeys is the ring as identity providers know us: it signs with, and
// publishes, the keys of our client assertions, and decrypts what they encrypt to us.
type ProviderKeys struct{ r *Ring }

// ForProviders returns the keys of our client assertions.
func (r *Ring) ForProviders() ProviderKeys { return ProviderKeys{r} }

// Sign is Ring.Sign for an identity provider to verify.
func (p ProviderKeys) Sign(ctx context.Context, alg, typ string, payload []byte) (string, error) {
	return p.r.signAs(ctx, slot{ForProviders, alg}, typ, payload)
}

// JWKS is Ring.JWKS for identity providers.
func (p ProviderKeys) JWKS() (body []byte, etag string) {
	if h := p.r.timely(); h != nil {
		return h.providers.jwks, h.providers.etag
	}
	return nil, ""
}

// timely is what the ring holds, without keys whose retention has passed; nil
// when it is closed.
func (r *Ring) timely() *holding {
	h := r.held.Load()
	if h == nil {
		return nil
	}
	if now := r.cfg.Now(); !h.stale.IsZero() && !now.Before(h.stale) {
		if fresh, err := r.newHolding(h.contents, now); err == nil && r.held.CompareAndSwap(h, fresh) {
			h = fresh
		}
	}
	return h
}

// Description is what anyone may know of a signing key.
type Description struct {
	KID       string
	Alg       string
	Use       Use
	InSigner  bool // its private part lies in the signer; of an ended key: still
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
		list[i] = Description{
			KID: k.KID, Alg: k.Alg, Use: k.Use, InSigner: k.InSigner, State: k.State,
			Created: k.Created, Activated: k.Activated, Ended: k.Ended,
		}
	}
	return list
}
