package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// VerifyEmbedded checks the signature of a JWS in compact form that carries its own
// public key in the header jwk, as a proof of possession does (RFC 9449 section
// 4.2), by one of algs, and returns its payload and the SHA-256 thumbprint of that
// key (RFC 7638, base64url). It says that the sender has the private key and
// nothing about who the sender is: the caller compares the thumbprint with one that
// it knows. A key that is private, symmetric, weak, off its curve or not meant for
// signatures is refused, as are the tokens that Remote.Verify refuses. Errors quote
// nothing of the token.
func VerifyEmbedded(compact string, algs ...string) (payload []byte, thumb string, err error) {
	m, err := headerOf(compact)
	if err != nil {
		return nil, "", err
	}
	alg, err := headerText(m, "alg")
	if err != nil || !slices.Contains(algs, alg) {
		return nil, "", errors.New("keys: header names no algorithm that is accepted")
	}
	t, err := parseToken(compact, alg)
	if err != nil {
		return nil, "", err
	}
	k, err := embedded(m["jwk"], alg)
	if err != nil {
		return nil, "", fmt.Errorf("keys: jwk: %w", err)
	}
	if err := k.verify(t); err != nil {
		return nil, "", err
	}
	if payload, err = decodeSegment(t.payload); err != nil {
		return nil, "", err
	}
	if thumb, err = thumbprint(k.key); err != nil {
		return nil, "", err
	}
	return payload, thumb, nil
}

// embedded reads a key that may verify alg.
func embedded(raw json.RawMessage, alg string) (publicKey, error) {
	if raw == nil {
		return publicKey{}, errors.New("is missing")
	}
	k, err := parseJWK(raw)
	if err != nil {
		return publicKey{}, err
	}
	if !slices.Contains(k.algs, alg) {
		return publicKey{}, errors.New("is not for the algorithm of the header")
	}
	return k, nil
}

// headerOf reads the header of a compact JWS; nothing in it is to be believed yet.
func headerOf(compact string) (map[string]json.RawMessage, error) {
	if len(compact) > maxToken {
		return nil, errMalformed
	}
	header, _, _, ok := segments(compact)
	if !ok {
		return nil, errMalformed
	}
	h, err := decodeSegment(header)
	if err != nil {
		return nil, err
	}
	m, err := protocol.Object(h)
	if err != nil {
		return nil, fmt.Errorf("keys: header: %w", err)
	}
	return m, nil
}
