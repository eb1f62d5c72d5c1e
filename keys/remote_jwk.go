package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// The sizes of an RSA key that we accept: below 2048 bits it is weak, above 8192
// a verification costs us more than it should (RFC 8725 section 3.5).
const (
	minRSABits = 2048
	maxRSABits = 8192
	maxKID     = 512 // bytes
)

// publicKey is one usable key. algs are those that it may verify or, if it is for
// encryption, encrypt with: fixed by its type and use, narrowed by the JWK's alg.
type publicKey struct {
	kid  string // "": none
	algs []string
	key  crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
}

// keySet is immutable.
type keySet []publicKey

// parseSet reads a JWK set key by key, so that one broken key does not cost the
// good ones. skipped says why a key was left out, by its place in the list; an
// error means that this is no key set at all.
func parseSet(data []byte) (set keySet, skipped []error, err error) {
	members, err := protocol.Object(data)
	if err != nil {
		return nil, nil, err
	}
	var list []json.RawMessage
	if members["keys"] == nil || json.Unmarshal(members["keys"], &list) != nil || list == nil {
		return nil, nil, errors.New("keys: no list of keys")
	}
	if len(list) > maxRemoteKeys {
		return nil, nil, errors.New("keys: too many keys")
	}
	for i, raw := range list {
		k, err := parseJWK(raw)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("keys: key %d: %w", i, err))
			continue
		}
		set = append(set, k)
	}
	return set, skipped, nil
}

// jwk holds the members that we read, all of them strings (RFC 7517, RFC 7518
// section 6, RFC 8037). x5c, x5u and the like are never looked at.
type jwk struct{ kty, use, alg, kid, crv, x, y, n, e string }

func parseJWK(raw json.RawMessage) (publicKey, error) {
	m, err := protocol.Object(raw)
	if err != nil {
		return publicKey{}, err
	}
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if m[secret] != nil {
			return publicKey{}, errors.New("has private or symmetric parts") // it is burnt, or no key for us
		}
	}
	var j jwk
	for name, dst := range map[string]*string{
		"kty": &j.kty, "use": &j.use, "alg": &j.alg, "kid": &j.kid, "crv": &j.crv, "x": &j.x, "y": &j.y, "n": &j.n, "e": &j.e,
	} {
		if m[name] == nil {
			continue
		}
		if m[name][0] != '"' || json.Unmarshal(m[name], dst) != nil {
			return publicKey{}, fmt.Errorf("%s is not a string", name)
		}
	}
	encryption := j.use == "enc" || j.use == "" && encrypts(j.alg)
	switch {
	case encryption && !mayEncrypt(m["key_ops"]):
		return publicKey{}, errors.New("is not for encryption")
	case !encryption && (j.use != "" && j.use != "sig" || !mayVerify(m["key_ops"])):
		return publicKey{}, errors.New("is not for signatures")
	}
	if len(j.kid) > maxKID {
		return publicKey{}, errors.New("kid is too long")
	}
	k, err := j.public()
	if err != nil {
		return publicKey{}, err
	}
	if encryption {
		if k, err = forEncryption(k); err != nil {
			return publicKey{}, err
		}
	}
	k.kid = j.kid
	if m["alg"] != nil {
		if !slices.Contains(k.algs, j.alg) {
			return publicKey{}, errors.New("alg does not fit its type")
		}
		k.algs = []string{j.alg}
	}
	return k, nil
}

// mayVerify reads key_ops (RFC 7517 section 4.3); absent means anything.
func mayVerify(raw json.RawMessage) bool {
	if raw == nil {
		return true
	}
	var ops []string
	return json.Unmarshal(raw, &ops) == nil && slices.Contains(ops, "verify")
}

func (j jwk) public() (publicKey, error) {
	switch j.kty {
	case "EC":
		return j.ec()
	case "OKP":
		x, err := decodeSegment(j.x)
		if j.crv != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			return publicKey{}, errors.New("is not an Ed25519 key")
		}
		return publicKey{algs: []string{"EdDSA"}, key: ed25519.PublicKey(x)}, nil
	case "RSA":
		return j.rsa()
	}
	return publicKey{}, errors.New("is of an unknown type")
}

func (j jwk) ec() (publicKey, error) {
	var curve elliptic.Curve
	var alg string
	switch j.crv {
	case "P-256":
		curve, alg = elliptic.P256(), "ES256"
	case "P-384":
		curve, alg = elliptic.P384(), "ES384"
	case "P-521":
		curve, alg = elliptic.P521(), "ES512"
	default:
		return publicKey{}, errors.New("is on an unknown curve")
	}
	size := (curve.Params().BitSize + 7) / 8
	x, errX := decodeSegment(j.x)
	y, errY := decodeSegment(j.y)
	if errX != nil || errY != nil || len(x) != size || len(y) != size { // full length: RFC 7518 section 6.2.1.2
		return publicKey{}, errors.New("has malformed coordinates")
	}
	point := slices.Concat([]byte{4}, x, y)
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point) // checks that the point is on the curve
	if err != nil {
		return publicKey{}, errors.New("is not a point on its curve")
	}
	return publicKey{algs: []string{alg}, key: pub}, nil
}

func (j jwk) rsa() (publicKey, error) {
	nb, errN := decodeSegment(j.n)
	eb, errE := decodeSegment(j.e)
	if errN != nil || errE != nil || len(nb) > maxRSABits/8+1 || len(eb) > 4 {
		return publicKey{}, errors.New("has a malformed modulus or exponent")
	}
	n, e := new(big.Int).SetBytes(nb), new(big.Int).SetBytes(eb).Int64()
	if b := n.BitLen(); b < minRSABits || b > maxRSABits || n.Bit(0) == 0 {
		return publicKey{}, errors.New("has a weak or oversized modulus")
	}
	if e < 65537 || e > 1<<31-1 || e%2 == 0 { // FIPS 186-5 section A.1.1; e=1 would make every signature valid
		return publicKey{}, errors.New("has a weak exponent")
	}
	return publicKey{algs: []string{"PS256", "RS256"}, key: &rsa.PublicKey{N: n, E: int(e)}}, nil
}
