package oidc

import (
	"context"
	"errors"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/keys"
)

// Decrypter opens what providers encrypt to us. keys.ProviderKeys is one.
type Decrypter interface {
	// Decrypt opens a compact JWE made with alg and A256GCM; see keys.ProviderKeys.
	Decrypt(ctx context.Context, alg, compact string) ([]byte, error)
}

// configureEncryption: what is encrypted must also be signed, since anybody can
// encrypt to a public key.
func (p *Provider) configureEncryption() error {
	c := &p.cfg
	for _, alg := range []string{c.IDTokenEncryptionAlg, c.UserInfo.EncryptionAlg} {
		switch {
		case alg == "":
		case alg != "ECDH-ES" && alg != "RSA-OAEP-256":
			return errors.New("encryption algorithm must be ECDH-ES or RSA-OAEP-256")
		case c.Decrypter == nil:
			return errors.New("encrypted answers need a decrypter")
		}
	}
	if c.UserInfo.EncryptionAlg != "" && c.UserInfo.SigningAlg == "" {
		return errors.New("encrypted userinfo must be signed as well")
	}
	return nil
}

// inner is the signed token within an encrypted one (RFC 7519 appendix A.2), or the
// token itself where none is to be encrypted: then an encrypted one does not verify.
// Where one is, a token in clear is refused: whoever took the encryption away may
// have read it.
func (p *Provider) inner(ctx context.Context, alg, compact string) (string, error) {
	if alg == "" {
		return compact, nil
	}
	plain, err := p.cfg.Decrypter.Decrypt(ctx, alg, compact)
	switch {
	case err == nil:
		return string(plain), nil
	case errors.Is(err, keys.ErrClosed), ctx.Err() != nil:
		return "", p.fail(federation.Unavailable, err)
	}
	return "", p.fail(federation.Invalid, err)
}
