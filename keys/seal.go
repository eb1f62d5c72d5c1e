package keys

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// An envelope is
//
//	version ‖ id of the secret (4) ‖ nonce (24) ‖ XAES-256-GCM(plaintext)
//
// under HKDF(secret, purpose), with the header, the purpose and the caller's aad
// authenticated. One under a person's key has version 2 and no id.
const (
	sealVersion  = 1
	underVersion = 2
	sealIDSize   = 4
)

// Purposes of our own.
const (
	personKeyPurpose = "keys/person"
	ownPurpose       = "keys/own"
	underPurpose     = "keys/under"
)

// Derive computes HMAC-SHA-256 of msg under a secret of its own for each label.
// It is a function for ever: neither rotation nor a new version changes it.
// label is a constant of the program, never data: what belongs to it is kept in
// memory.
func (r *Ring) Derive(ctx context.Context, label string, msg []byte) (out [32]byte, err error) {
	h, err := r.holding(ctx)
	if err != nil {
		return out, err
	}
	key, err := h.derivationKey(label)
	if err != nil {
		return out, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(msg)
	mac.Sum(out[:0])
	return out, nil
}

func (h *holding) derivationKey(label string) ([]byte, error) {
	if key, ok := h.derived.Load(label); ok {
		return key.([]byte), nil
	}
	key, err := hkdf.Expand(sha256.New, h.contents.Derivation, "voussoir/derive/v1/"+label, 32)
	if err != nil {
		return nil, fmt.Errorf("keys: derive: %w", err)
	}
	h.derived.Store(label, key)
	return key, nil
}

// Seal encrypts plaintext for purpose, a constant of the program, and ties it to
// aad. It adds 45 bytes.
func (r *Ring) Seal(purpose string, aad, plaintext []byte) ([]byte, error) {
	h, err := r.holding(context.Background())
	if err != nil {
		return nil, err
	}
	x, err := h.cipher(h.sealing, purpose)
	if err != nil {
		return nil, err
	}
	return sealEnvelope(x, append([]byte{sealVersion}, h.sealing[:]...), purpose, aad, plaintext)
}

// Open returns what was sealed for the same purpose with the same aad, and
// ErrSealed for everything else.
func (r *Ring) Open(purpose string, aad, sealed []byte) ([]byte, error) {
	h, err := r.holding(context.Background())
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1+sealIDSize || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	header := sealed[:1+sealIDSize]
	x, err := h.cipher([sealIDSize]byte(header[1:]), purpose)
	if err != nil {
		return nil, err
	}
	return openEnvelope(x, header, purpose, aad, sealed[len(header):])
}

// NewWrappedKey makes a key for SealUnder. Only the ring can use it, and when
// the wrapped key is destroyed nobody can.
func (r *Ring) NewWrappedKey() ([]byte, error) { return r.Seal(personKeyPurpose, nil, newSecret()) }

// SealUnder encrypts under a wrapped key, or with nil under a key of the ring.
func (r *Ring) SealUnder(wrapped, aad, plaintext []byte) ([]byte, error) {
	if wrapped == nil {
		return r.Seal(ownPurpose, aad, plaintext)
	}
	x, err := r.unwrap(wrapped)
	if err != nil {
		return nil, err
	}
	return sealEnvelope(x, []byte{underVersion}, underPurpose, aad, plaintext)
}

// OpenUnder returns what SealUnder sealed under the same wrapped key (or nil)
// with the same aad, and ErrSealed for everything else.
func (r *Ring) OpenUnder(wrapped, aad, sealed []byte) ([]byte, error) {
	if wrapped == nil {
		return r.Open(ownPurpose, aad, sealed)
	}
	x, err := r.unwrap(wrapped)
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1 || sealed[0] != underVersion {
		return nil, ErrSealed
	}
	return openEnvelope(x, sealed[:1], underPurpose, aad, sealed[1:])
}

func (r *Ring) unwrap(wrapped []byte) (*xaes, error) {
	key, err := r.Open(personKeyPurpose, nil, wrapped)
	if err != nil {
		return nil, fmt.Errorf("wrapped key: %w", err)
	}
	return newXAES(key)
}

type cipherID struct {
	secret  [sealIDSize]byte
	purpose string
}

// cipher returns the cipher of a purpose, ErrSealed for a secret that we lack.
func (h *holding) cipher(secret [sealIDSize]byte, purpose string) (*xaes, error) {
	id := cipherID{secret, purpose}
	if x, ok := h.ciphers.Load(id); ok {
		return x.(*xaes), nil
	}
	root, ok := h.secrets[secret]
	if !ok {
		return nil, ErrSealed
	}
	key, err := hkdf.Expand(sha256.New, root, "voussoir/seal/v1/"+purpose, xaesKeySize)
	if err != nil {
		return nil, fmt.Errorf("keys: seal: %w", err)
	}
	x, err := newXAES(key)
	if err != nil {
		return nil, fmt.Errorf("keys: seal: %w", err)
	}
	h.ciphers.Store(id, x)
	return x, nil
}

// sealID names a sealing secret without giving anything of it away.
func sealID(secret []byte) (id [sealIDSize]byte, err error) {
	if len(secret) != 32 {
		return id, fmt.Errorf("a sealing secret has %d bytes", len(secret))
	}
	b, err := hkdf.Expand(sha256.New, secret, "voussoir/seal id/v1", sealIDSize)
	copy(id[:], b)
	return id, err
}

func sealEnvelope(x *xaes, header []byte, purpose string, aad, plaintext []byte) ([]byte, error) {
	out := make([]byte, len(header)+xaesNonceSize, len(header)+xaesNonceSize+len(plaintext)+xaesOverhead)
	nonce := out[copy(out, header):]
	rand.Read(nonce)
	return x.seal(out, nonce, plaintext, envelopeAAD(header, purpose, aad))
}

func openEnvelope(x *xaes, header []byte, purpose string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < xaesNonceSize {
		return nil, ErrSealed
	}
	nonce, ciphertext := sealed[:xaesNonceSize], sealed[xaesNonceSize:]
	plaintext, err := x.open(nonce, ciphertext, envelopeAAD(header, purpose, aad))
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// envelopeAAD is injective: the version gives the header's length, the purpose
// has its own in front, and aad is the rest.
func envelopeAAD(header []byte, purpose string, aad []byte) []byte {
	b := make([]byte, 0, len(header)+4+len(purpose)+len(aad))
	b = append(b, header...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(purpose)))
	b = append(b, purpose...)
	return append(b, aad...)
}
