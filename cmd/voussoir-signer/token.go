package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThalesGroup/crypto11"

	"github.com/voussoir-id/voussoir/signer"
)

// labelPrefix and an algorithm are the label (CKA_LABEL) of every key that is
// ours: "voussoir ES256". A key of any other label is never touched.
const labelPrefix = "voussoir "

// token is the token as signer.Token. The key pairs that it has found are
// remembered; looking for them again finds those that came later.
type token struct {
	context *crypto11.Context

	mu   sync.Mutex // guards what follows
	keys map[signer.KeyID]keyPair
}

type keyPair struct {
	signer.Key
	pair crypto11.Signer
}

// openToken logs in. The token's own errors never contain the PIN.
func openToken(o options, pin string) (*token, error) {
	c, err := crypto11.Configure(&crypto11.Config{
		Path: o.module, TokenLabel: o.label, TokenSerial: o.serial, Pin: pin,
		MaxSessions: 32, PoolWaitTimeout: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("open the token: %w", err)
	}
	return &token{context: c, keys: map[signer.KeyID]keyPair{}}, nil
}

func (t *token) close(ctx context.Context, log *slog.Logger) {
	if err := t.context.Close(); err != nil {
		log.LogAttrs(ctx, slog.LevelError, "the token did not close cleanly", slog.String("error", err.Error()))
	}
}

// Keys implements signer.Token; sorted by id, which no restart changes.
func (t *token) Keys(context.Context) ([]signer.Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.look(); err != nil {
		return nil, err
	}
	ks := make([]signer.Key, 0, len(t.keys))
	for _, k := range t.keys {
		ks = append(ks, k.Key)
	}
	slices.SortFunc(ks, func(a, b signer.Key) int {
		return cmp.Or(cmp.Compare(a.Alg, b.Alg), bytes.Compare(a.Public, b.Public))
	})
	return ks, nil
}

// look reads the key pairs anew. The caller holds mu.
func (t *token) look() error {
	pairs, err := t.context.FindAllKeyPairs()
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	found := map[signer.KeyID]keyPair{}
	for _, pair := range pairs {
		label, err := t.context.GetAttribute(pair, crypto11.CkaLabel)
		if err != nil {
			return fmt.Errorf("read a label: %w", err)
		}
		if label == nil {
			continue
		}
		name, ours := strings.CutPrefix(string(label.Value), labelPrefix)
		alg, known := signer.ParseAlg(name)
		if !ours || !known || !suits(pair.Public(), alg) {
			continue
		}
		k, err := describe(pair, alg)
		if err != nil {
			return err
		}
		found[k.ID()] = keyPair{k, pair}
	}
	t.keys = found
	return nil
}

func suits(public crypto.PublicKey, alg signer.Alg) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return alg == signer.ES256 && key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return alg != signer.ES256 && key.N.BitLen() >= signer.RSABits && key.N.BitLen() <= 4096
	}
	return false
}

func describe(pair crypto11.Signer, alg signer.Alg) (signer.Key, error) {
	public, err := x509.MarshalPKIXPublicKey(pair.Public())
	if err != nil {
		return signer.Key{}, errors.New("a public key cannot be written")
	}
	return signer.Key{Alg: alg, Public: public}, nil
}

// Generate implements signer.Token. The private part is sensitive and not
// extractable (CKA_SENSITIVE, CKA_EXTRACTABLE).
func (t *token) Generate(_ context.Context, alg signer.Alg) (signer.Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	label := []byte(labelPrefix + alg.String())
	var pair crypto11.Signer
	var err error
	if alg == signer.ES256 {
		pair, err = t.context.GenerateECDSAKeyPairWithLabel(id, label, elliptic.P256())
	} else {
		pair, err = t.context.GenerateRSAKeyPairWithLabel(id, label, signer.RSABits)
	}
	if err != nil {
		return signer.Key{}, fmt.Errorf("generate: %w", err)
	}
	k, err := describe(pair, alg)
	if err != nil {
		return signer.Key{}, err
	}
	t.keys[k.ID()] = keyPair{k, pair}
	return k, nil
}

// find looks again for a key that it does not know.
func (t *token) find(id signer.KeyID) (keyPair, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k, ok := t.keys[id]; ok {
		return k, nil
	}
	if err := t.look(); err != nil {
		return keyPair{}, err
	}
	k, ok := t.keys[id]
	if !ok {
		return keyPair{}, signer.ErrNoKey
	}
	return k, nil
}

// Sign implements signer.Token.
func (t *token) Sign(_ context.Context, alg signer.Alg, id signer.KeyID, digest [sha256.Size]byte) ([]byte, error) {
	k, err := t.find(id)
	if err != nil {
		return nil, err
	}
	if k.Alg != alg {
		return nil, signer.ErrNoKey
	}
	opts := crypto.SignerOpts(crypto.SHA256)
	if alg == signer.PS256 {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	sig, err := k.pair.Sign(rand.Reader, digest[:], opts)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if alg == signer.ES256 {
		return fixed(sig)
	}
	return sig, nil
}

// fixed turns an ASN.1 signature into r and s of 32 bytes each (RFC 7518 section 3.4).
func fixed(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) > 0 || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
		return nil, errors.New("sign: the token's signature is malformed")
	}
	out := make([]byte, 64)
	sig.R.FillBytes(out[:32])
	sig.S.FillBytes(out[32:])
	return out, nil
}

// Destroy implements signer.Token.
func (t *token) Destroy(_ context.Context, id signer.KeyID) error {
	k, err := t.find(id)
	if errors.Is(err, signer.ErrNoKey) {
		return nil
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, id)
	if err := k.pair.Delete(); err != nil {
		return fmt.Errorf("destroy: %w", err)
	}
	return nil
}
