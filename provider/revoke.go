package provider

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
)

// PathRevoke is the revocation endpoint (RFC 7009).
const PathRevoke = "/revoke"

// revoke serves POST /revoke: a client gives up one of its tokens, and with it
// everything that was bought with the same sign-in (RFC 7009 section 2.1). 200
// means that from now on the token opens nothing for the one who asked; it says
// nothing on whether there was such a token, nor whose.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) error {
	c, err := p.clientOf(r)
	if err != nil {
		return err
	}
	token := r.PostForm.Get("token")
	if token == "" {
		return invalid("token is missing")
	}
	// token_type_hint would only say where to look first (section 2.1); we look
	// everywhere, so a wrong one is of no effect.
	a, stored, err := p.find(r.Context(), token)
	if errors.Is(err, ErrNoGrant) {
		return nil // section 2.2: it is as good as revoked
	}
	if err != nil {
		return unavailable(err)
	}
	if a.Client != c.ID {
		p.Log.LogAttrs(r.Context(), slog.LevelWarn, "revocation of another client's token",
			slog.String("client", string(c.ID)), slog.String("owner", string(a.Client)))
		return nil
	}
	// Recorded first: whoever asks again after a failure in between finds the token
	// alive and comes through here again.
	if err := p.record(r.Context(), audit.TokenRevoked, a, string(stored.Kind), ""); err != nil {
		return err
	}
	if err := p.Codes.endGrant(r.Context(), a.Grant, a.OfflineUntil, stored.Expires); err != nil {
		return unavailable(err)
	}
	return nil
}

// clientOf authenticates the client of a back-channel request, by its registered
// method, and names it on the request's event line.
func (p *Provider) clientOf(r *http.Request) (*clients.Client, error) {
	cred, err := p.credentialsOf(r)
	if err != nil {
		return nil, err
	}
	c, err := p.authenticate(r.Context(), cred)
	if err != nil {
		return nil, err
	}
	p.Note(r, slog.String("client", string(c.ID)))
	return c, nil
}

// find looks a handle up as an access token, then as a code: a service that gives
// up before it has redeemed its code may revoke that as well. A refresh token cannot
// be taken for either; any of its family will do, for to give up a used one is to give
// up what came of it.
func (p *Provider) find(ctx context.Context, token string) (access, StoredGrant, error) {
	if isRefreshToken(token) {
		f, s, err := p.Codes.loadFamily(ctx, token)
		if errors.Is(err, ErrNoFamily) {
			err = ErrNoGrant
		}
		return f.access(), StoredGrant{Kind: refreshGrant, Expires: s.Expires}, err
	}
	var a access
	stored, err := loadGrant(ctx, p.Codes, AccessGrant, token, &a)
	if !errors.Is(err, ErrNoGrant) {
		return a, stored, err
	}
	var g login.Grant
	stored, err = loadGrant(ctx, p.Codes, CodeGrant, token, &g)
	return accessOf(g), stored, err
}
