package oidc

import (
	"context"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	// maxLogoutToken is the longest logout token that we look at, in bytes.
	maxLogoutToken = 16 << 10
	// maxName is the longest sub, sid and jti (OpenID Connect Core section 2).
	maxName = 255
	// logoutEvent says what a logout token is about (Back-Channel Logout section 2.4).
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

var _ federation.Teller = (*Provider)(nil)

// Told implements federation.Teller: it verifies a logout token (OpenID Connect
// Back-Channel Logout section 2.6), as strictly as an ID token and by the same keys.
func (p *Provider) Told(ctx context.Context, token string) (federation.Ended, error) {
	ended, err := p.told(ctx, token)
	federation.LogLogoutRefused(ctx, p.cfg.Log, p.cfg.ID, err)
	return ended, err
}

func (p *Provider) told(ctx context.Context, token string) (federation.Ended, error) {
	if len(token) > maxLogoutToken {
		return federation.Ended{}, p.because(federation.ReasonAnswer, "logout token is too long")
	}
	// Unlike an ID token, one in clear will do where encryption was agreed upon: it
	// holds nothing but names, and the signature is what counts.
	if strings.Count(token, ".") == 4 && p.cfg.IDTokenEncryptionAlg != "" {
		var err error
		if token, err = p.inner(ctx, p.cfg.IDTokenEncryptionAlg, token); err != nil {
			return federation.Ended{}, err
		}
	}
	// Before any fetch: an ID token is no logout token (RFC 8725 section 3.11), nor is
	// the other way round.
	if typ, err := keys.Typ(token); err != nil || typ != "" && typ != "jwt" && typ != "logout+jwt" {
		return federation.Ended{}, p.because(federation.ReasonDocument, "logout token is a token of another kind")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return federation.Ended{}, err
	}
	payload, err := m.keys.Verify(ctx, token, p.cfg.IDTokenSigningAlg)
	if err != nil {
		return federation.Ended{}, p.unverified(err)
	}
	members, err := protocol.Object(payload)
	if err != nil {
		return federation.Ended{}, p.fail(federation.Invalid, federation.Because(federation.ReasonDocument, err))
	}
	return p.believe(object(members))
}

// believe judges what a logout token says whose signature holds.
func (p *Provider) believe(claims object) (federation.Ended, error) {
	if iss, _, err := claims.text("iss"); err != nil || iss != p.cfg.Issuer {
		return federation.Ended{}, p.because(federation.ReasonIssuer, "logout token: another issuer")
	}
	if why := p.checkAudience(claims); why != "" {
		return federation.Ended{}, p.because(federation.ReasonAudience, "logout token: %s", why)
	}
	if why := checkTimes(claims, p.cfg.Now()); why != "" {
		return federation.Ended{}, p.because(federation.ReasonTime, "logout token: %s", why)
	}
	ended, why := readLogout(claims)
	if why != "" {
		return federation.Ended{}, p.because(federation.ReasonDocument, "logout token: %s", why)
	}
	return ended, nil
}

// readLogout reads a logout token that is for us and of now, or says why it will not do.
func readLogout(claims object) (federation.Ended, string) {
	none := federation.Ended{}
	if _, nonce := claims["nonce"]; nonce {
		return none, "has a nonce" // it is an ID token
	}
	if !isLogout(claims) {
		return none, "is about another event"
	}
	id, given, err := claims.text("jti")
	if err != nil || !given || !visible(id, maxName) {
		return none, "no usable jti"
	}
	sub, hasSub, err1 := claims.text("sub")
	sid, hasSID, err2 := claims.text("sid")
	switch {
	case err1 != nil || err2 != nil || hasSub && !visible(sub, maxName) || hasSID && !visible(sid, maxName):
		return none, "malformed sub or sid"
	case !hasSub && !hasSID:
		return none, "neither sub nor sid"
	}
	at, _, _ := claims.date("iat") // checked above
	until := at.Add(oldestIssue)
	if exp, _, _ := claims.date("exp"); exp.Before(until) {
		until = exp
	}
	ended := federation.Ended{Subject: sub, At: at, ID: id, Until: until.Add(skew + time.Second)}
	if hasSID {
		ended.Sessions = []string{sid}
	}
	return ended, ""
}

// isLogout reports whether events names the logout; its value is an object.
func isLogout(claims object) bool {
	raw, ok := claims["events"]
	if !ok {
		return false
	}
	events, err := protocol.Object(raw)
	if err != nil {
		return false
	}
	logout, ok := events[logoutEvent]
	if !ok {
		return false
	}
	_, err = protocol.Object(logout)
	return err == nil
}

// names are what the provider calls her and her session: sub, and sid where it says
// one that can be used.
func names(claims object, subject string) federation.Names {
	sid, _, err := claims.text("sid")
	if err != nil || !visible(sid, maxName) {
		sid = "" // nobody's sign-in depends on it
	}
	return federation.Names{Subject: subject, Session: sid}
}
