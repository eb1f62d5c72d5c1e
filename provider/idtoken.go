package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// idTokenClaims is what every ID token says (OpenID Connect Core section 2). What
// was released joins it only where inIDToken says so.
type idTokenClaims struct {
	Issuer   string       `json:"iss"`
	Subject  string       `json:"sub"`
	Audience string       `json:"aud"`
	Expires  int64        `json:"exp"`
	IssuedAt int64        `json:"iat"`
	AuthTime int64        `json:"auth_time,omitempty"`
	Nonce    string       `json:"nonce,omitempty"`
	ACR      protocol.ACR `json:"acr,omitempty"`
	AtHash   string       `json:"at_hash"`
	SID      string       `json:"sid,omitempty"` // OpenID Connect Front-Channel Logout section 3
}

// idToken writes, signs and, where registered, encrypts the ID token that goes with an access token.
func (p *Provider) idToken(ctx context.Context, c *clients.Client, g login.Grant, access string, now time.Time) (string, error) {
	alg := idTokenAlg(c)
	claims := idTokenClaims{
		Issuer: p.Issuer, Subject: string(g.Released.Sub()), Audience: string(c.ID),
		Expires: now.Add(p.IDTokenTTL).Unix(), IssuedAt: now.Unix(),
		Nonce: g.Nonce, ACR: g.ACR, AtHash: atHash(alg, access), SID: g.SID,
	}
	if !g.AuthTime.IsZero() {
		claims.AuthTime = g.AuthTime.Unix()
	}
	payload, err := withReleased(claims, inIDToken(g))
	if err != nil {
		return "", errors.New("encode id token") // the cause could quote the identity
	}
	compact, err := p.Keys.Sign(ctx, alg, "JWT", payload)
	if err != nil {
		return "", fmt.Errorf("sign id token for client %s: %w", c.ID, err)
	}
	return p.nest(ctx, c, c.IDTokenEncryption, compact)
}

// inIDToken is the part of Released that also goes into the ID token: what the
// grant names, and amr, which belongs there (section 2).
func inIDToken(g login.Grant) map[string]any {
	if len(g.InIDToken) == 0 && !slices.Contains(g.Released.Names(), protocol.AMR) {
		return nil
	}
	return g.Released.Only(append([]protocol.Claim{protocol.AMR}, g.InIDToken...)).Claims()
}

// withReleased appends the released claims to the token's own. The names cannot
// collide: none of protocol.Claims is a member of idTokenClaims.
func withReleased(claims idTokenClaims, released map[string]any) ([]byte, error) {
	payload, err := json.Marshal(claims)
	if err != nil || len(released) == 0 {
		return payload, err
	}
	more, err := json.Marshal(released)
	if err != nil {
		return nil, err
	}
	payload[len(payload)-1] = ','
	return append(payload, more[1:]...), nil
}

// atHash is the left half of the token's hash (section 3.1.3.6); EdDSA over
// Ed25519 hashes with SHA-512.
func atHash(alg, access string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// idTokenAlg also signs the logout tokens of a client (OpenID Connect Back-Channel
// Logout section 2.4).
func idTokenAlg(c *clients.Client) string { return cmp.Or(c.IDTokenSigningAlg, "ES256") }
