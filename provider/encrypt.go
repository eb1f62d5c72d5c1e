package provider

import (
	"cmp"
	"context"
	"fmt"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
)

// The algorithms that we encrypt with, for those who are registered for them (RFC
// 7518 sections 4.3, 4.6 and 5.3).
func encryptionAlgs() []string { return []string{"ECDH-ES", "RSA-OAEP-256"} }
func encryptionEncs() []string { return []string{"A256GCM"} }

// nest encrypts a signed token to its client, if the client is registered for that:
// signed first, so that whoever decrypts it knows who made it (OpenID Connect Core
// section 10.2, RFC 7519 section 11.2). It never falls back to the token in clear.
func (p *Provider) nest(ctx context.Context, c *clients.Client, e clients.Encryption, signed string) (string, error) {
	if e.Alg == "" {
		return signed, nil
	}
	to, err := p.recipient(ctx, c, e)
	if err != nil {
		return "", err
	}
	nested, err := to.EncryptJWT(e.Enc, signed)
	if err != nil {
		return "", fmt.Errorf("encrypt for client %s: %w", c.ID, err)
	}
	return nested, nil
}

func (p *Provider) recipient(ctx context.Context, c *clients.Client, e clients.Encryption) (keys.Recipient, error) {
	set, err := p.ClientKeys(c)
	if err != nil {
		return keys.Recipient{}, fmt.Errorf("keys of client %s: %w", c.ID, err)
	}
	to, err := set.Recipient(ctx, e.Alg)
	if err != nil {
		return keys.Recipient{}, fmt.Errorf("key of client %s for %s: %w", c.ID, e.Alg, err)
	}
	return to, nil
}

// reachable looks for the keys that the ID token will be signed with and encrypted
// to, before a code is used up for a token that could not be delivered: who tries
// again with that code would look like a thief.
func (p *Provider) reachable(ctx context.Context, c *clients.Client) error {
	if err := p.Keys.CanSign(ctx, cmp.Or(c.IDTokenSigningAlg, "ES256")); err != nil {
		return unavailable(err)
	}
	if c.IDTokenEncryption.Alg == "" {
		return nil
	}
	if _, err := p.recipient(ctx, c, c.IDTokenEncryption); err != nil {
		return unavailable(err)
	}
	return nil
}
