package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// The key management algorithms that we encrypt with (RFC 7518 sections 4.3 and
// 4.6). RSA1_5 and RSA-OAEP with SHA-1 are not among them and never will be.
const (
	ecdhES     = "ECDH-ES"
	rsaOAEP256 = "RSA-OAEP-256"
)

// a256GCM is the one content encryption (RFC 7518 section 5.3).
const a256GCM = "A256GCM"

// Recipient is a public key of somebody else that we encrypt to.
type Recipient struct {
	kid string // "": none
	alg string
	key any // *ecdsa.PublicKey or *rsa.PublicKey
}

// Recipient returns the first key of the set that is published for encryption with
// alg: ECDH-ES or RSA-OAEP-256. A key that says neither that (use, alg) nor
// anything else is taken for a signature key: nothing is ever encrypted to it.
func (s *Static) Recipient(_ context.Context, alg string) (Recipient, error) {
	return s.set.recipient(alg)
}

// Fits reports whether some key of the set is for alg, be it of a signature or of
// encryption.
func (s *Static) Fits(alg string) bool {
	return slices.ContainsFunc(s.set, func(k publicKey) bool { return slices.Contains(k.algs, alg) })
}

// Recipient is that of Static. errors.Is(err, ErrUnavailable) means that the keys
// cannot be had right now, or that they have been had and none fits: both are for
// their owner to mend.
func (r *Remote) Recipient(ctx context.Context, alg string) (Recipient, error) {
	set, err := r.sets.Get(ctx)
	if err != nil {
		return Recipient{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	to, err := set.recipient(alg)
	if !errors.Is(err, errNoKey) {
		return to, err
	}
	if set, err = r.again(ctx); err != nil {
		return Recipient{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if to, err = set.recipient(alg); err != nil {
		return Recipient{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return to, nil
}

func (s keySet) recipient(alg string) (Recipient, error) {
	if !encrypts(alg) {
		return Recipient{}, fmt.Errorf("keys: algorithm %q is not one that we encrypt with", alg)
	}
	for _, k := range s {
		if slices.Contains(k.algs, alg) {
			return Recipient{kid: k.kid, alg: alg, key: k.key}, nil
		}
	}
	return Recipient{}, errNoKey
}

// EncryptJWT wraps a signed JWT for the recipient (RFC 7519 section 11.2: signed
// first, then encrypted): a compact JWE with cty JWT and the kid of the key.
func (r Recipient) EncryptJWT(enc, signed string) (string, error) {
	if enc != a256GCM {
		return "", fmt.Errorf("keys: content encryption %q is not one that we use", enc)
	}
	to := jose.Recipient{Algorithm: jose.KeyAlgorithm(r.alg), Key: r.key, KeyID: r.kid}
	e, err := jose.NewEncrypter(jose.A256GCM, to, (&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		return "", fmt.Errorf("keys: encrypt: %w", err)
	}
	jwe, err := e.Encrypt([]byte(signed))
	if err != nil {
		return "", fmt.Errorf("keys: encrypt: %w", err)
	}
	compact, err := jwe.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("keys: encrypt: %w", err)
	}
	return compact, nil
}

func encrypts(alg string) bool { return alg == ecdhES || alg == rsaOAEP256 }

// forEncryption turns a parsed key into one that only encrypts. A key is for one
// of the two, never for both (RFC 7517 section 4.2).
func forEncryption(k publicKey) (publicKey, error) {
	switch k.key.(type) {
	case *ecdsa.PublicKey:
		k.algs = []string{ecdhES}
	case *rsa.PublicKey:
		k.algs = []string{rsaOAEP256}
	default:
		return publicKey{}, errors.New("is not of a type that we encrypt to")
	}
	return k, nil
}

// mayEncrypt reads key_ops (RFC 7517 section 4.3); absent means anything.
func mayEncrypt(raw json.RawMessage) bool {
	if raw == nil {
		return true
	}
	var ops []string
	if json.Unmarshal(raw, &ops) != nil {
		return false
	}
	return slices.ContainsFunc(ops, func(op string) bool {
		return op == "deriveKey" || op == "deriveBits" || op == "wrapKey" || op == "encrypt"
	})
}
