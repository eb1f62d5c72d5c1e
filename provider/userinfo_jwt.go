package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// userInfoEnvelope is what a signed answer of /userinfo says beside sub and the
// claims (OpenID Connect Core section 5.3.2). It expires like an ID token: the
// service reads it once.
type userInfoEnvelope struct {
	Issuer   string            `json:"iss"`
	Audience protocol.ClientID `json:"aud"`
	IssuedAt int64             `json:"iat"`
	Expires  int64             `json:"exp"`
}

// writeUserInfo answers in the form that the client is registered for: JSON, or a
// JWT signed with its algorithm and, if it wants that, encrypted to its key.
func (p *Provider) writeUserInfo(ctx context.Context, w http.ResponseWriter, c *clients.Client, claims json.RawMessage) error {
	if c.UserInfoSigningAlg == "" {
		return writeJSON(w, claims)
	}
	compact, err := p.signUserInfo(ctx, c, claims)
	if err != nil {
		return unavailable(err)
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, err = w.Write([]byte(compact))
	return err
}

func (p *Provider) signUserInfo(ctx context.Context, c *clients.Client, claims json.RawMessage) (string, error) {
	now := p.Now()
	payload, err := json.Marshal(userInfoEnvelope{
		Issuer: p.Issuer, Audience: c.ID, IssuedAt: now.Unix(), Expires: now.Add(p.IDTokenTTL).Unix(),
	})
	if err != nil {
		return "", errors.New("encode userinfo") // the cause could quote the identity
	}
	compact, err := p.Keys.Sign(ctx, c.UserInfoSigningAlg, "JWT", join(payload, claims))
	if err != nil {
		return "", fmt.Errorf("sign userinfo for client %s: %w", c.ID, err)
	}
	return p.nest(ctx, c, c.UserInfoEncryption, compact)
}
