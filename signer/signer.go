// Package signer is the wire between the broker and a process that holds private
// keys in a PKCS #11 token (cmd/voussoir-signer): a protocol of four questions
// over a Unix socket, its server, and its client. Private keys are never on it:
// public keys and signatures come back, nothing else. It knows neither tokens
// of OpenID Connect nor PKCS #11; see wire.go for the bytes, client.go and
// server.go for the two ends, and docs/decisions/0022-signer.md for why.
package signer

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// Alg is a signature algorithm (RFC 7518 section 3.1). Each key has exactly one.
type Alg byte

// The algorithms. All of them sign a SHA-256 digest.
const (
	ES256 Alg = 1
	PS256 Alg = 2
	RS256 Alg = 3
)

// RSABits is the size of the RSA keys that a signer generates.
const RSABits = 3072

// ParseAlg returns the algorithm of this JWS name.
func ParseAlg(name string) (Alg, bool) {
	for _, a := range []Alg{ES256, PS256, RS256} {
		if a.String() == name {
			return a, true
		}
	}
	return 0, false
}

// String is the JWS name, "" for none of ours.
func (a Alg) String() string {
	switch a {
	case ES256:
		return "ES256"
	case PS256:
		return "PS256"
	case RS256:
		return "RS256"
	}
	return ""
}

// KeyID names a key on the wire: the SHA-256 of its PKIX public key.
type KeyID [sha256.Size]byte

// String is for log lines.
func (id KeyID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Key is a key pair of the token, as the outside may know it.
type Key struct {
	Alg    Alg
	Public []byte // PKIX
}

// ID names the key.
func (k Key) ID() KeyID { return sha256.Sum256(k.Public) }

// Errors that a caller may want to tell apart. ErrUnavailable: nobody answered in
// time, or the token failed; later it may work. ErrNoKey: the token does not have
// that key, or not for that algorithm. ErrRefused: the signer does not do this.
var (
	ErrUnavailable = errors.New("signer: not available")
	ErrNoKey       = errors.New("signer: no such key")
	ErrRefused     = errors.New("signer: refused")
)

// Token holds key pairs. Implemented over PKCS #11 by cmd/voussoir-signer, and by
// Client for who is at the other end of the socket. Any error but ErrNoKey and
// ErrRefused says that the token did not work. Safe for concurrent use.
type Token interface {
	// Keys lists the key pairs that are meant for the broker, in a stable order.
	Keys(ctx context.Context) ([]Key, error)
	// Generate makes a key pair whose private part can never be read.
	Generate(ctx context.Context, alg Alg) (Key, error)
	// Sign signs a SHA-256 digest. A signature by ES256 is r and s, 32 bytes each
	// (RFC 7518 section 3.4).
	Sign(ctx context.Context, alg Alg, id KeyID, digest [sha256.Size]byte) ([]byte, error)
	// Destroy removes a key pair for ever; no error when it is gone already.
	Destroy(ctx context.Context, id KeyID) error
}
