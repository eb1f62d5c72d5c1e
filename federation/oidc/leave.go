package oidc

import (
	"context"
	"net/url"
	"strings"
)

// maxHint is the longest ID token that we keep to log out with: it goes back in a URL.
const maxHint = 6 << 10

// logoutHint is what we keep of a sign-in for Leave: the ID token, and only where it
// will be of use.
func (p *Provider) logoutHint(m *metadata, idToken string) string {
	if !p.cfg.Relay || m.endSession == "" || len(idToken) > maxHint {
		return ""
	}
	return idToken
}

// Leave implements federation.Leaver (OpenID Connect RP-Initiated Logout section 2).
func (p *Provider) Leave(ctx context.Context, hint, returnTo, state string) (string, error) {
	if !p.cfg.Relay || hint == "" {
		return "", nil
	}
	m, err := p.metadata(ctx)
	if err != nil || m.endSession == "" {
		return "", err
	}
	q := url.Values{
		"id_token_hint": {hint}, "client_id": {p.cfg.ClientID}, "post_logout_redirect_uri": {returnTo}, "state": {state},
	}.Encode()
	if strings.Contains(m.endSession, "?") {
		return m.endSession + "&" + q, nil
	}
	return m.endSession + "?" + q, nil
}
