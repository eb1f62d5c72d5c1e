package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// The signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1).
const (
	es256 = "ES256"
	edDSA = "EdDSA"
	ps256 = "PS256"
	rs256 = "RS256"
)

const rsaBits = 3072 // ANSSI's and NIST's floor beyond 2030

func algorithms() []string { return []string{es256, edDSA, ps256, rs256} }

// Sign returns payload as a compact JWS (RFC 7515 section 7.1) by the active key
// of alg, with kid and typ in its header. ErrNoKey: there is none of that
// algorithm.
func (r *Ring) Sign(ctx context.Context, alg, typ string, payload []byte) (string, error) {
	return r.signAs(ctx, slot{ForServices, alg}, typ, payload)
}

func (r *Ring) signAs(ctx context.Context, at slot, typ string, payload []byte) (string, error) {
	h, err := r.holding(ctx)
	if err != nil {
		return "", err
	}
	s, ok := h.signers[at]
	if !ok {
		return "", fmt.Errorf("sign with %q: %w", at.alg, ErrNoKey)
	}
	if !plainToken(typ) {
		return "", errors.New("keys: malformed typ")
	}
	compact, err := s.compact(ctx, typ, payload)
	if s.inSigner && errors.Is(err, errGone) {
		// Another process has rotated or revoked the key a moment ago.
		if s = r.successor(ctx, h, at); s != nil {
			return s.compact(ctx, typ, payload)
		}
	}
	return compact, err
}

// signing is the active key of one slot.
type signing struct {
	header   string // the JSON header up to the value of typ
	size     int    // of a signature, in bytes
	inSigner bool
	sign     func(ctx context.Context, input []byte) ([]byte, error)
}

// compact writes header, payload and signature into one buffer. The header is
// assembled by hand: its three values need no escaping.
func (s *signing) compact(ctx context.Context, typ string, payload []byte) (string, error) {
	b64 := base64.RawURLEncoding
	header := append(append(make([]byte, 0, 128), s.header...), typ...)
	header = append(header, `"}`...)

	jws := make([]byte, 0, b64.EncodedLen(len(header))+b64.EncodedLen(len(payload))+b64.EncodedLen(s.size)+2)
	jws = b64.AppendEncode(jws, header)
	jws = append(jws, '.')
	jws = b64.AppendEncode(jws, payload)
	sig, err := s.sign(ctx, jws)
	if err != nil {
		return "", fmt.Errorf("keys: sign: %w", err)
	}
	jws = append(jws, '.')
	jws = b64.AppendEncode(jws, sig)
	return string(jws), nil
}

// plainToken reports whether s is made of characters that JSON does not escape.
func plainToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// generate makes a key in this process.
func generate(_ *contents, alg string) (signingKey, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case es256, ecdhES:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case edDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case ps256, rs256, rsaOAEP256, SAMLSigning, SAMLDecryption:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		err = errors.New("unknown algorithm")
	}
	if err != nil {
		return signingKey{}, fmt.Errorf("keys: generate for %q: %w", alg, err)
	}
	k := signingKey{Alg: alg}
	if k.Private, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		return signingKey{}, fmt.Errorf("keys: generate for %s: %w", alg, err)
	}
	if k.Public, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		return signingKey{}, fmt.Errorf("keys: generate for %s: %w", alg, err)
	}
	k.KID, err = thumbprint(private.Public())
	return k, err
}

// thumbprint is the key id of a public key (RFC 7638).
func thumbprint(public crypto.PublicKey) (string, error) {
	jwk := jose.JSONWebKey{Key: public}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errors.New("keys: no thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

func header(k signingKey) string { return `{"alg":"` + k.Alg + `","kid":"` + k.KID + `","typ":"` }

func newSigning(k signingKey) (*signing, error) {
	s := &signing{header: header(k)}
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, errors.New("private key malformed")
	}
	switch key := parsed.(type) {
	case *ecdsa.PrivateKey:
		s.size, s.sign = 64, func(_ context.Context, input []byte) ([]byte, error) { return signES256(key, input) }
	case ed25519.PrivateKey:
		s.size, s.sign = ed25519.SignatureSize, func(_ context.Context, input []byte) ([]byte, error) { return ed25519.Sign(key, input), nil }
	case *rsa.PrivateKey:
		s.size, s.sign = key.Size(), func(_ context.Context, input []byte) ([]byte, error) { return signRSA(key, k.Alg, input) }
	default:
		return nil, errors.New("private key does not sign")
	}
	if id, err := thumbprint(parsed.(crypto.Signer).Public()); err != nil || id != k.KID {
		return nil, errors.New("private and public key differ")
	}
	return s, nil
}

// signES256 returns r and s, 32 bytes each (RFC 7518 section 3.4).
func signES256(key *ecdsa.PrivateKey, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, nil
}

func signRSA(key *rsa.PrivateKey, alg string, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	if alg == rs256 {
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	}
	return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
}
