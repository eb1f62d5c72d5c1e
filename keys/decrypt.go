package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/protocol"
)

// DecryptsFor is how long a retired key still decrypts: a provider may encrypt to
// it for as long as it keeps our JWKS, a day at most, and its message takes
// moments. Then the private part is destroyed.
const DecryptsFor = 48 * time.Hour

// errUnreadable tells nobody which step failed.
var errUnreadable = errors.New("keys: encrypted token cannot be read")

// opener is a private key that decrypts.
type opener struct {
	kid, alg string
	key      crypto.PrivateKey // *ecdsa.PrivateKey or *rsa.PrivateKey
}

// newOpener reads the private part of a key, which is there unless it was destroyed.
func newOpener(k signingKey) (opener, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return opener{}, errors.New("private key malformed")
	}
	var public crypto.PublicKey
	switch key := parsed.(type) {
	case *ecdsa.PrivateKey:
		public = key.Public()
	case *rsa.PrivateKey:
		public = key.Public()
	default:
		return opener{}, errors.New("private key does not decrypt")
	}
	if id, err := thumbprint(public); err != nil || id != k.KID {
		return opener{}, errors.New("private and public key differ")
	}
	return opener{kid: k.KID, alg: k.Alg, key: parsed}, nil
}

// Decrypt opens a compact JWE (RFC 7516 section 7.1) of at most 64 KiB that was
// encrypted to one of our keys with alg (ECDH-ES or RSA-OAEP-256) and A256GCM, and
// returns what is in it, which nobody has vouched for yet: anyone can encrypt to a
// public key. The header has no say: another algorithm, compression, a password
// count or an extension is refused before any key is touched. An error that is
// ErrClosed or of ctx is ours; every other one means that the token is no good.
func (p ProviderKeys) Decrypt(ctx context.Context, alg, compact string) ([]byte, error) {
	kid, err := parseEncrypted(compact, alg)
	if err != nil {
		return nil, err
	}
	h, err := p.r.holding(ctx)
	if err != nil {
		return nil, err
	}
	jwe, err := jose.ParseEncryptedCompact(compact, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, errUnreadable
	}
	for _, o := range h.openers { // without a kid: a few, and a wrong one opens nothing
		if o.alg != alg || kid != "" && o.kid != kid {
			continue
		}
		if plain, err := jwe.Decrypt(o.key); err == nil {
			return plain, nil
		}
	}
	return nil, errUnreadable
}

// parseEncrypted reads the header of a compact JWE and returns its kid, "" for none.
func parseEncrypted(compact, alg string) (kid string, err error) {
	if !encrypts(alg) {
		return "", fmt.Errorf("keys: algorithm %q is not one that we decrypt", alg)
	}
	if len(compact) > maxToken || strings.Count(compact, ".") != 4 {
		return "", errUnreadable
	}
	encoded, _, _ := strings.Cut(compact, ".")
	h, err := decodeSegment(encoded)
	if err != nil {
		return "", errUnreadable
	}
	m, err := protocol.Object(h)
	if err != nil {
		return "", fmt.Errorf("keys: header: %w", err)
	}
	// zip is how a few bytes become gigabytes, p2c how one message becomes an hour.
	for _, name := range []string{"zip", "p2c", "p2s", "crit", "b64"} {
		if _, ok := m[name]; ok {
			return "", errors.New("keys: header demands what we do not do: " + name)
		}
	}
	return pinned(m, alg)
}

// pinned holds the algorithms of a header against the ones that we accept.
func pinned(m map[string]json.RawMessage, alg string) (kid string, err error) {
	gotAlg, errAlg := headerText(m, "alg")
	gotEnc, errEnc := headerText(m, "enc")
	kid, errKid := headerText(m, "kid")
	switch err := errors.Join(errAlg, errEnc, errKid); {
	case err != nil:
		return "", err
	case gotAlg != alg || gotEnc != a256GCM:
		return "", fmt.Errorf("keys: header names other algorithms than %s and %s", alg, a256GCM)
	case len(kid) > maxKID:
		return "", errors.New("keys: kid is too long")
	}
	return kid, nil
}

// Encrypted reports whether a token has the five parts of a compact JWE.
func Encrypted(compact string) bool {
	return len(compact) <= maxToken && strings.Count(compact, ".") == 4
}

// forget destroys the private parts of keys that have been retired for long enough.
func (c *contents) forget(now time.Time) {
	for i := range c.Signing {
		if k := &c.Signing[i]; k.State == Retired && k.Private != nil && !now.Before(k.Ended.Add(DecryptsFor)) {
			k.Private = nil
		}
	}
}

// inFile reports whether keys of a use are in the file whatever holds the others: a
// signer signs JWSs and nothing else.
func (u Use) inFile() bool { return u == ForDecryption || u == ForSAML }

// apart splits slots into those that a signer may hold and those of the file.
func apart(slots []slot) (sign, file []slot) {
	for _, at := range slots {
		if at.use.inFile() {
			file = append(file, at)
		} else {
			sign = append(sign, at)
		}
	}
	return sign, file
}

// usable reports whether a use and an algorithm belong together: a key signs or
// decrypts, never both (RFC 7517 section 4.2), and a key for SAML no tokens.
func usable(u Use, alg string) bool {
	switch u {
	case ForDecryption:
		return encrypts(alg)
	case ForSAML:
		return slices.Contains(samlAlgorithms(), alg)
	}
	return slices.Contains(algorithms(), alg)
}
