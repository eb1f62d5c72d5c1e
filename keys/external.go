package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/signer"
)

// Signer holds private keys that this process cannot read. Implemented by
// signer.Client; see signer.Token for what each call promises.
type Signer interface {
	Keys(ctx context.Context) ([]signer.Key, error)
	Generate(ctx context.Context, alg signer.Alg) (signer.Key, error)
	Sign(ctx context.Context, alg signer.Alg, id signer.KeyID, digest [sha256.Size]byte) ([]byte, error)
	Destroy(ctx context.Context, id signer.KeyID) error
}

// errGone: the signer does not have the key. Always together with ErrUnavailable:
// for whoever asks for a signature it is a matter of time or of the operator.
var errGone = errors.New("keys: the signer does not have this key")

func inSigners(alg string) bool { _, ok := signer.ParseAlg(alg); return ok }

// maker makes keys where Config says.
func (r *Ring) maker(ctx context.Context) maker {
	if r.cfg.Signer == nil {
		return generate
	}
	return func(c *contents, alg string) (signingKey, error) { return r.obtain(ctx, c, alg) }
}

// obtain takes a key of the signer that the file does not know, or has it make
// one. Such a key is one that was prepared for us, or what is left of a crash
// between making a key and writing it down: taking it leaves no orphans.
func (r *Ring) obtain(ctx context.Context, c *contents, alg string) (signingKey, error) {
	name, ok := signer.ParseAlg(alg)
	if !ok {
		return signingKey{}, fmt.Errorf("keys: a signer does not sign with %q", alg)
	}
	have, err := r.cfg.Signer.Keys(ctx)
	if err != nil {
		return signingKey{}, unavailable("list its keys", err)
	}
	for _, k := range have {
		if found, err := adopt(k); err == nil && found.Alg == alg && !c.has(found.KID) {
			return found, nil
		}
	}
	k, err := r.cfg.Signer.Generate(ctx, name)
	if err != nil {
		return signingKey{}, unavailable("make a key", err)
	}
	failpoint.Here("keys.after-generate")
	made, err := adopt(k)
	if err != nil || made.Alg != alg || c.has(made.KID) {
		return signingKey{}, unavailable("make a key", errors.New("what it made is not a new key for "+alg))
	}
	return made, nil
}

// adopt checks a key of the signer as check does those of the file. The slot is
// for the caller to set.
func adopt(k signer.Key) (signingKey, error) {
	public, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil || !suits(public, k.Alg.String()) {
		return signingKey{}, errors.New("keys: a key of the signer does not suit its algorithm")
	}
	kid, err := thumbprint(public)
	return signingKey{KID: kid, Alg: k.Alg.String(), Public: k.Public, InSigner: true}, err
}

// unavailable says what the signer did not do.
func unavailable(what string, err error) error {
	if errors.Is(err, signer.ErrNoKey) {
		err = fmt.Errorf("%w: %w", errGone, err)
	}
	return fmt.Errorf("%w: the signer did not %s: %w", ErrUnavailable, what, err)
}

// newExternal is newSigning for a key whose private part lies in the signer.
func (r *Ring) newExternal(k signingKey, public crypto.PublicKey) (*signing, error) {
	alg, ok := signer.ParseAlg(k.Alg)
	if !ok {
		return nil, errors.New("a signer does not sign with its algorithm")
	}
	id := signer.Key{Public: k.Public}.ID()
	out := &signing{header: header(k), size: 64, inSigner: true}
	if key, ok := public.(*rsa.PublicKey); ok {
		out.size = key.Size()
	}
	out.sign = func(ctx context.Context, input []byte) ([]byte, error) {
		if r.cfg.Signer == nil {
			return nil, fmt.Errorf("%w: key %s lies in a signer, and none is configured", ErrUnavailable, k.KID)
		}
		digest := sha256.Sum256(input)
		sig, err := r.cfg.Signer.Sign(ctx, alg, id, digest)
		if ctx.Err() == nil {
			r.down.Store(err != nil)
		}
		if err != nil {
			return nil, unavailable("sign", err)
		}
		// A signature that a fault has spoilt can give the private key away (RSA), and
		// one by another key would be refused by every service: neither leaves.
		if !verifies(public, alg, digest[:], sig) {
			return nil, unavailable("sign", errors.New("its signature does not verify"))
		}
		return sig, nil
	}
	return out, nil
}

func verifies(public crypto.PublicKey, alg signer.Alg, digest, sig []byte) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return alg == signer.ES256 && len(sig) == 64 &&
			ecdsa.Verify(key, digest, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case *rsa.PublicKey:
		if alg == signer.PS256 {
			return rsa.VerifyPSS(key, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return alg == signer.RS256 && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, sig) == nil
	}
	return false
}

// successor is the key that signs in a slot after the file has been read again, nil
// when it cannot be read or is the same.
func (r *Ring) successor(ctx context.Context, was *holding, at slot) *signing {
	if r.held.Load() == was && r.Reload(ctx) != nil {
		return nil
	}
	h := r.held.Load()
	if h == nil || h.signers[at] == nil || h.signers[at].header == was.signers[at].header {
		return nil
	}
	return h.signers[at]
}

// destroyEnded has the signer destroy what ended keys have left there. It reports
// whether anything changed; what cannot be reached now is left for later.
func (r *Ring) destroyEnded(ctx context.Context, c *contents) (changed bool) {
	if r.cfg.Signer == nil {
		return false
	}
	for i := range c.Signing {
		k := &c.Signing[i]
		if !k.InSigner || k.State != Retired && k.State != Revoked {
			continue
		}
		if err := r.cfg.Signer.Destroy(ctx, signer.Key{Public: k.Public}.ID()); err != nil {
			return changed
		}
		failpoint.Here("keys.after-destroy")
		k.InSigner, changed = false, true
	}
	return changed
}

// Ready is nil when every key that the ring needs for tokens and client assertions is
// there and could sign now; the signer is really asked. Else it says which cannot.
func (r *Ring) Ready(ctx context.Context) error {
	h, err := r.holding(ctx)
	if err != nil {
		return err
	}
	slots, _ := apart(r.cfg.slots())
	for _, at := range slots {
		s := h.signers[at]
		if err := s.try(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// CanSign is nil unless Sign with alg would fail now, as far as that is known
// without asking a signer that answered the last time: so that nothing is used up
// for a token that cannot be signed.
func (r *Ring) CanSign(ctx context.Context, alg string) error {
	h, err := r.holding(ctx)
	if err != nil {
		return err
	}
	at := slot{ForServices, alg}
	if s := h.signers[at]; s == nil || s.inSigner && r.down.Load() {
		return s.try(ctx, at)
	}
	return nil
}

// try makes a signature that is nothing else, of a key in the signer. s may be nil.
func (s *signing) try(ctx context.Context, at slot) error {
	if s == nil {
		return fmt.Errorf("%w: there is no %s key yet", ErrUnavailable, at.alg)
	}
	if !s.inSigner {
		return nil
	}
	// Never the input of a token: that begins with a header in base64url.
	probe := append([]byte("\x00probe"), make([]byte, 16)...)
	_, _ = rand.Read(probe[6:]) // never fails
	_, err := s.sign(ctx, probe)
	return err
}
