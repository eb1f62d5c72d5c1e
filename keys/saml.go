package keys

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // RSA-OAEP needs no collision resistance, and XML Encryption's default is this one
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// The two algorithms of the keys for SAML providers (ForSAML). They are keys of the
// file: never in a signer, which would have to decrypt, never in a JWKS, and they
// never sign a JWS; they rotate like all others.
const (
	SAMLSigning    = "SAML-RS256" // signs authentication requests
	SAMLDecryption = "SAML-OAEP"  // opens encrypted assertions
)

// signedQuery is how everything begins that a SAML key signs: a JWS begins with
// base64url of a brace, so that neither can ever pass for the other, even if
// somebody published both keys as one.
const (
	signedQuery  = "SAMLRequest="
	signedAnswer = "SAMLResponse=" // to a logout of theirs
)

// certificateLife is how long our certificates say that they are valid. Providers
// pin the key by our metadata; the certificate is only its wrapping.
const certificateLife = 20 * 365 * 24 * time.Hour

// samlKey is a key for SAML that can still be used.
type samlKey struct {
	private     *rsa.PrivateKey
	certificate func() ([]byte, error) // DER, self-signed; made when it is first asked for
}

// samlKeys are those of a holding.
type samlKeys struct{ activeSign, nextSign, activeOpen, nextOpen *samlKey }

func samlAlgorithms() []string { return []string{SAMLSigning, SAMLDecryption} }

// hold takes k in if it is in use.
func (s *samlKeys) hold(k signingKey) error {
	slot, ok := map[string]map[State]**samlKey{
		SAMLSigning:    {Active: &s.activeSign, Next: &s.nextSign},
		SAMLDecryption: {Active: &s.activeOpen, Next: &s.nextOpen},
	}[k.Alg][k.State]
	switch {
	case !ok:
		return nil
	case *slot != nil:
		return errors.New("a second key in one place")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	private, isRSA := parsed.(*rsa.PrivateKey)
	if err != nil || !isRSA {
		return errors.New("private key malformed")
	}
	if id, err := thumbprint(private.Public()); err != nil || id != k.KID {
		return errors.New("private and public key differ")
	}
	*slot = &samlKey{private: private, certificate: sync.OnceValues(func() ([]byte, error) { return selfSigned(private, k) })}
	return nil
}

// selfSigned makes the same certificate for the same key each time: nothing of it
// is random, and a signature of PKCS #1 v1.5 is a function. So it need not be kept.
func selfSigned(private *rsa.PrivateKey, k signingKey) ([]byte, error) {
	serial := sha256.Sum256(k.Public)
	serial[0] &= 0x7f // positive (RFC 5280 section 4.1.2.2)
	usage := x509.KeyUsageDigitalSignature
	if k.Alg == SAMLDecryption {
		usage = x509.KeyUsageKeyEncipherment
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:16]), Subject: pkix.Name{CommonName: "Voussoir " + k.Alg + " " + k.KID[:8]},
		NotBefore: k.Created.Add(-24 * time.Hour), NotAfter: k.Created.Add(certificateLife),
		KeyUsage: usage, SignatureAlgorithm: x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, errors.New("certificate cannot be made")
	}
	return der, nil
}

// SAMLCertificates are what a provider needs to know of our keys, DER.
type SAMLCertificates struct {
	Signing [][]byte // the one that signs now first, then the one that will
	// Encryption is of the key that providers encrypt to: the next one, because it
	// opens what is encrypted to it through one whole rotation.
	Encryption []byte
}

// SAMLCertificates returns our certificates. ErrNoKey: the ring has no SAML keys.
func (r *Ring) SAMLCertificates(ctx context.Context) (SAMLCertificates, error) {
	h, err := r.holding(ctx)
	if err != nil {
		return SAMLCertificates{}, err
	}
	s := h.saml
	if s.activeSign == nil || s.nextSign == nil || s.nextOpen == nil {
		return SAMLCertificates{}, fmt.Errorf("SAML certificates: %w", ErrNoKey)
	}
	var all [3][]byte
	for i, k := range []*samlKey{s.activeSign, s.nextSign, s.nextOpen} {
		if all[i], err = k.certificate(); err != nil {
			return SAMLCertificates{}, fmt.Errorf("SAML certificates: %w", err)
		}
	}
	return SAMLCertificates{Signing: all[:2], Encryption: all[2]}, nil
}

// SignSAMLQuery signs the query of a request, or of an answer to a logout, for the HTTP-Redirect
// binding (SAML bindings section 3.4.4.1) with RSA-SHA256, and nothing else.
func (r *Ring) SignSAMLQuery(ctx context.Context, query string) ([]byte, error) {
	h, err := r.holding(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case h.saml.activeSign == nil:
		return nil, fmt.Errorf("sign a SAML request: %w", ErrNoKey)
	case !strings.HasPrefix(query, signedQuery) && !strings.HasPrefix(query, signedAnswer):
		return nil, errors.New("keys: not the query of a SAML request")
	}
	sig, err := signRSA(h.saml.activeSign.private, rs256, []byte(query))
	if err != nil {
		return nil, fmt.Errorf("keys: sign: %w", err)
	}
	return sig, nil
}

// OAEP are the parameters of a key transport (XML Encryption 1.1 section 5.5.2).
type OAEP struct{ SHA256, MGFSHA256 bool } // false: SHA-1, the default of that specification

// UnwrapSAMLKey opens a content key that a provider has encrypted to us with
// RSA-OAEP. ErrSealed: it was not encrypted to a key of ours, or was altered; the
// error says no more than that.
func (r *Ring) UnwrapSAMLKey(ctx context.Context, wrapped []byte, o OAEP) ([]byte, error) {
	h, err := r.holding(ctx)
	if err != nil {
		return nil, err
	}
	if h.saml.activeOpen == nil || h.saml.nextOpen == nil {
		return nil, fmt.Errorf("open a SAML key: %w", ErrNoKey)
	}
	options := &rsa.OAEPOptions{Hash: o.hash(o.SHA256), MGFHash: o.hash(o.MGFSHA256)}
	for _, k := range []*samlKey{h.saml.nextOpen, h.saml.activeOpen} {
		if key, err := k.private.Decrypt(rand.Reader, wrapped, options); err == nil {
			return key, nil
		}
	}
	return nil, ErrSealed
}

func (OAEP) hash(strong bool) crypto.Hash {
	if strong {
		return crypto.SHA256
	}
	return crypto.SHA1
}
