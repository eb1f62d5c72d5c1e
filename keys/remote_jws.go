package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 64 << 10

// base64url is strict: without padding and with zero trailing bits, so that a
// value has one spelling only.
var base64url = base64.RawURLEncoding.Strict()

var (
	errMalformed = errors.New("keys: not a compact JWS")
	errNoKey     = errors.New("keys: no key fits")
	errSignature = errors.New("keys: signature does not verify")
)

// token is a compact JWS taken apart. Nothing in it is to be believed yet.
type token struct {
	alg     string // the one that the caller pinned, equal to the header's
	kid     string // "": none
	signed  string // header.payload, as it was signed
	payload string // base64url
	sig     []byte
}

// parseToken reads the header and nothing of the payload. jku, x5u, jwk and x5c
// are ignored: a token does not choose the key that proves it (RFC 8725 section
// 3.10). An unknown extension is refused (RFC 7515 section 4.1.11), and we know none.
func parseToken(compact, alg string) (token, error) {
	if !supported(alg) {
		return token{}, fmt.Errorf("keys: algorithm %q is not one that we verify", alg)
	}
	if len(compact) > maxToken {
		return token{}, errMalformed
	}
	header, payload, sig, ok := segments(compact)
	if !ok {
		return token{}, errMalformed
	}
	h, err := decodeSegment(header)
	if err != nil {
		return token{}, err
	}
	m, err := protocol.Object(h)
	if err != nil {
		return token{}, fmt.Errorf("keys: header: %w", err)
	}
	kid, err := checkHeader(m, alg)
	if err != nil {
		return token{}, err
	}
	s, err := decodeSegment(sig)
	if err != nil {
		return token{}, err
	}
	return token{alg: alg, kid: kid, signed: compact[:len(header)+1+len(payload)], payload: payload, sig: s}, nil
}

// checkHeader returns the kid, "" for none, of a header that names alg and demands
// nothing that we do not do.
func checkHeader(m map[string]json.RawMessage, alg string) (kid string, err error) {
	if _, ok := m["crit"]; ok {
		return "", errors.New("keys: header demands an extension")
	}
	if _, ok := m["b64"]; ok {
		return "", errors.New("keys: unencoded payload")
	}
	got, errAlg := headerText(m, "alg")
	kid, errKid := headerText(m, "kid")
	if err := errors.Join(errAlg, errKid); err != nil {
		return "", err
	}
	if got != alg {
		return "", fmt.Errorf("keys: header names another algorithm than %s", alg)
	}
	if len(kid) > maxKID {
		return "", errors.New("keys: kid is too long")
	}
	return kid, nil
}

// Typ returns the typ of a compact JWS's header in lower case and without the
// prefix "application/" (RFC 7515 section 4.1.9), "" when there is none. It
// verifies nothing: call it after Verify, to tell kinds of token apart (RFC 8725
// section 3.11).
func Typ(compact string) (string, error) {
	m, err := headerOf(compact)
	if err != nil {
		return "", err
	}
	typ, err := headerText(m, "typ")
	return strings.TrimPrefix(strings.ToLower(typ), "application/"), err
}

func segments(compact string) (header, payload, sig string, ok bool) {
	header, rest, ok1 := strings.Cut(compact, ".")
	payload, sig, ok2 := strings.Cut(rest, ".")
	return header, payload, sig, ok1 && ok2 && header != "" && sig != "" && !strings.Contains(sig, ".")
}

// decodeSegment refuses line breaks too, which encoding/base64 skips.
func decodeSegment(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errMalformed
	}
	b, err := base64url.DecodeString(s)
	if err != nil {
		return nil, errMalformed
	}
	return b, nil
}

func headerText(m map[string]json.RawMessage, name string) (string, error) {
	raw, ok := m[name]
	if !ok {
		return "", nil
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("keys: header: %s is not a string", name)
	}
	return s, nil
}

// supported lists what we verify. HS256 and its kin are not here and never will
// be: a public key must not be usable as a shared secret (RFC 8725 section 2.1).
func supported(alg string) bool {
	switch alg {
	case "ES256", "ES384", "ES512", "EdDSA", "PS256", "RS256":
		return true
	}
	return false
}

// verify finds the one key that fits and checks the signature. Only then is the
// payload decoded.
func (s keySet) verify(t token) ([]byte, error) {
	var fit *publicKey
	for i := range s {
		if t.kid != "" && s[i].kid != t.kid || !slices.Contains(s[i].algs, t.alg) {
			continue
		}
		if fit != nil {
			return nil, errors.New("keys: several keys fit") // trying them in turn is guessing
		}
		fit = &s[i]
	}
	if fit == nil {
		return nil, errNoKey
	}
	if err := fit.verify(t); err != nil {
		return nil, err
	}
	return decodeSegment(t.payload)
}

func (k publicKey) verify(t token) error {
	h, digest := digestOf(t.alg, t.signed)
	ok := false
	switch pub := k.key.(type) {
	case *ecdsa.PublicKey:
		ok = verifyEC(pub, digest, t.sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, []byte(t.signed), t.sig)
	case *rsa.PublicKey:
		if t.alg == "PS256" { // salt as long as the hash: RFC 7518 section 3.5
			ok = rsa.VerifyPSS(pub, h, digest, t.sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(pub, h, digest, t.sig) == nil
		}
	}
	if !ok {
		return errSignature
	}
	return nil
}

// verifyEC takes r and s at full length one after the other (RFC 7518 section
// 3.4); a DER signature has another length and is refused, as are zeros.
func verifyEC(pub *ecdsa.PublicKey, digest, sig []byte) bool {
	size := (pub.Curve.Params().BitSize + 7) / 8
	if len(sig) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
	return r.Sign() > 0 && s.Sign() > 0 && ecdsa.Verify(pub, digest, r, s)
}

// digestOf returns nothing for EdDSA, which hashes by itself.
func digestOf(alg, signed string) (crypto.Hash, []byte) {
	switch alg {
	case "ES384":
		d := sha512.Sum384([]byte(signed))
		return crypto.SHA384, d[:]
	case "ES512":
		d := sha512.Sum512([]byte(signed))
		return crypto.SHA512, d[:]
	case "EdDSA":
		return 0, nil
	}
	d := sha256.Sum256([]byte(signed))
	return crypto.SHA256, d[:]
}
