package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Ephemeral is an ES256 key of one moment, for proofs of possession (RFC 9449). It
// rests nowhere and dies with its holder. It is safe for concurrent use.
type Ephemeral struct {
	key *ecdsa.PrivateKey
	jwk string
}

// NewEphemeral makes one.
func NewEphemeral() (*Ephemeral, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("keys: generate: %w", err)
	}
	public := jose.JSONWebKey{Key: key.Public()}
	jwk, err := public.MarshalJSON()
	if err != nil {
		return nil, errors.New("keys: public key cannot be written")
	}
	return &Ephemeral{key: key, jwk: string(jwk)}, nil
}

// Sign returns payload as a compact JWS with the public key in its header
// (RFC 7515 section 4.1.3).
func (e *Ephemeral) Sign(typ string, payload []byte) (string, error) {
	if !plainToken(typ) {
		return "", errors.New("keys: malformed typ")
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(`{"alg":"ES256","typ":"`+typ+`","jwk":`+e.jwk+`}`)) + "." + b64.EncodeToString(payload)
	sig, err := signES256(e.key, []byte(input))
	if err != nil {
		return "", fmt.Errorf("keys: sign: %w", err)
	}
	return input + "." + b64.EncodeToString(sig), nil
}
