package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// maxAccessJWT bounds what is looked up as an access token, in bytes.
const maxAccessJWT = 4 << 10

// accessClaims is what a JWT access token says (RFC 9068 section 2.2): who may use
// it and for what. There is no claim about the person in it but her subject at this
// service.
type accessClaims struct {
	Issuer   string            `json:"iss"`
	Subject  identity.Sub      `json:"sub"`
	Audience audiences         `json:"aud"`
	Client   protocol.ClientID `json:"client_id"`
	Expires  int64             `json:"exp"`
	IssuedAt int64             `json:"iat"`
	ID       string            `json:"jti"`
	Scope    string            `json:"scope"`
	AuthTime int64             `json:"auth_time,omitempty"`
	ACR      protocol.ACR      `json:"acr,omitempty"`
	Confirm  *confirmation     `json:"cnf,omitempty"`
	Details  []json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 section 9.1
}

// accessToken makes an access token and stores what it opens, under the digest of
// the whole token whatever its form. So our own routes never verify a JWT of ours:
// one that is not in the store, or no longer, is none.
func (p *Provider) accessToken(ctx context.Context, c *clients.Client, g login.Grant, a access, now time.Time, ttl time.Duration) (string, error) {
	expires := now.Add(ttl)
	a.IssuedAt = now.Unix()
	token := newHandle()
	if c.AccessTokenFormat == clients.JWT {
		var err error
		if token, err = p.signAccessToken(ctx, c, g, a, now, expires); err != nil {
			return "", err
		}
	}
	return token, putGrant(ctx, p.Codes, AccessGrant, token, g.ID, a, expires)
}

// signAccessToken signs with the algorithm of the client's ID tokens. The audience
// is ourselves, or the resources that the request named (RFC 9068 section 3).
func (p *Provider) signAccessToken(ctx context.Context, c *clients.Client, g login.Grant, a access, now, expires time.Time) (string, error) {
	claims := accessClaims{
		Issuer: p.Issuer, Subject: g.Released.Sub(), Audience: audiences{p.Issuer}, Client: c.ID,
		Expires: expires.Unix(), IssuedAt: now.Unix(), ID: newHandle(),
		Scope: a.Scope, ACR: g.ACR, Confirm: a.Confirm.claim(), Details: grantedDetails(a.Details),
	}
	if len(g.Audience) > 0 {
		claims.Audience = g.Audience
	}
	if !g.AuthTime.IsZero() {
		claims.AuthTime = g.AuthTime.Unix()
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", errors.New("encode access token")
	}
	alg := c.IDTokenSigningAlg
	if alg == "" {
		alg = "ES256"
	}
	compact, err := p.Keys.Sign(ctx, alg, "at+jwt", payload)
	if err != nil {
		return "", fmt.Errorf("sign access token for client %s: %w", c.ID, err)
	}
	if len(compact) > maxAccessJWT {
		return "", fmt.Errorf("access token for client %s: %d bytes are too many", c.ID, len(compact))
	}
	return compact, nil
}

// isToken saves the store from what cannot be one of ours: neither a handle nor a
// JWT.
func isToken(s string) bool {
	if isHandle(s) {
		return true
	}
	return len(s) <= maxAccessJWT && strings.Count(s, ".") == 2 && isBase64URL(strings.Replace(s, ".", "", 2))
}
