package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// throwaway signs ES256 with a key that lives as long as the process (RFC 7518
// section 3.4). The identity providers of a run need no more; the broker's keys
// are another matter, see package keys.
type throwaway struct {
	key  *ecdsa.PrivateKey
	jwks []byte
	jwk  []byte // the public key alone, with its required members only (RFC 7638)
}

const throwawayKeyID = "bench"

func newThrowaway() (*throwaway, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	pub, err := key.PublicKey.Bytes() // 0x04, X, Y
	if err != nil {
		return nil, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwks, err := json.Marshal(map[string][]map[string]string{"keys": {{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": throwawayKeyID, "x": b64(pub[1:33]), "y": b64(pub[33:]),
	}}})
	jwk := []byte(`{"crv":"P-256","kty":"EC","x":"` + b64(pub[1:33]) + `","y":"` + b64(pub[33:]) + `"}`)
	return &throwaway{key: key, jwks: jwks, jwk: jwk}, err
}

// Sign returns a compact JWS. The only algorithm is ES256.
func (t *throwaway) Sign(_ context.Context, alg, typ string, payload []byte) (string, error) {
	if alg != "ES256" {
		return "", fmt.Errorf("algorithm %s: only ES256", alg)
	}
	return t.sign(`{"alg":"ES256","kid":"`+throwawayKeyID+`","typ":"`+typ+`"}`, payload)
}

// sign is Sign with a header of the caller's own.
func (t *throwaway) sign(header string, payload []byte) (string, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, t.key, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + b64(sig), nil
}

// JWKS returns the public key.
func (t *throwaway) JWKS() (body []byte, etag string) { return t.jwks, `"` + throwawayKeyID + `"` }
