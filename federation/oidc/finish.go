package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
)

// skew is how far the provider's clock may be from ours.
const skew = 10 * time.Second

// maxCode is the longest authorization code that we take, in bytes.
const maxCode = 4096

// errorCode is what an error value looks like (RFC 6749 section 4.1.2.1 allows
// more; no specification uses it). Anything else may be an attempt to write in
// our pages or logs and is not repeated.
var errorCode = regexp.MustCompile(`^[a-z_]{1,64}$`)

// Finish implements federation.Provider. The order matters: who answers (iss)
// comes before what the answer says, and nothing is sent to the provider before
// both hold.
func (p *Provider) Finish(ctx context.Context, r federation.Request, saved []byte, answer url.Values) (federation.Login, error) {
	login, err := p.finish(ctx, r, saved, answer)
	federation.LogRefused(ctx, p.cfg.Log, p.cfg.ID, err)
	return login, err
}

func (p *Provider) finish(ctx context.Context, r federation.Request, saved []byte, answer url.Values) (federation.Login, error) {
	var pend pending
	if err := json.Unmarshal(saved, &pend); err != nil || pend.Provider != p.cfg.ID {
		return federation.Login{}, p.because(federation.ReasonForeign, "answer to a sign-in that was not started here")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return federation.Login{}, err
	}
	code, err := p.readAnswer(m, answer)
	if err != nil {
		return federation.Login{}, err
	}
	t, err := p.exchange(ctx, m, code, pend.Verifier)
	if err != nil {
		return federation.Login{}, refine(federation.ReasonTokens, err)
	}
	if t.id, err = p.inner(ctx, p.cfg.IDTokenEncryptionAlg, t.id); err != nil {
		return federation.Login{}, err
	}
	claims, err := p.verifyIDToken(ctx, m, t, code, pend)
	if err != nil {
		return federation.Login{}, err
	}
	login, err := p.judge(r, pend, claims)
	if err != nil {
		return federation.Login{}, err
	}
	info, err := p.userInfo(ctx, m, t, login.Subject)
	if err != nil {
		return federation.Login{}, refine(federation.ReasonUserInfo, err)
	}
	p.delivered(m, claims, info)
	if login.Identity, login.Dropped, err = p.identity(claims, info); err != nil {
		return federation.Login{}, err
	}
	login.LogoutHint, login.Names = p.logoutHint(m, t.id), names(claims, login.Subject)
	return login, nil
}

// readAnswer returns the code of an authorization response (OpenID Connect Core
// section 3.1.2.5).
func (p *Provider) readAnswer(m *metadata, answer url.Values) (string, error) {
	for _, name := range []string{"code", "iss", "error", "state"} {
		if len(answer[name]) > 1 {
			return "", p.because(federation.ReasonAnswer, "%s occurs twice in the answer", name)
		}
	}
	if _, ok := answer["iss"]; ok || m.issParameter { // RFC 9207 section 2.4, error responses included
		if answer.Get("iss") != p.cfg.Issuer {
			return "", p.because(federation.ReasonIssuer, "answer does not come from this issuer")
		}
	}
	_, failed := answer["error"]
	code := answer.Get("code")
	switch {
	case failed && code != "":
		return "", p.because(federation.ReasonAnswer, "answer is an error and a success")
	case failed:
		return "", p.refusal(answer.Get("error"))
	case !visible(code, maxCode):
		return "", p.because(federation.ReasonAnswer, "answer has no usable code")
	}
	return code, nil
}

// refusal is an error that the provider sent. Its description and URI are for
// nobody's eyes: a stranger wrote them.
func (p *Provider) refusal(code string) error {
	switch {
	// We never ask with prompt=none, so whoever was not agreed with was refused:
	// LemonLDAP::NG says consent_required where she refuses on its page.
	case code == "access_denied" || code == "consent_required":
		return p.failf(federation.Cancelled, "answered %s", code)
	case code == "unmet_authentication_requirements": // another broker whose accounts are too weak
		return p.failf(federation.TooWeak, "answered %s", code)
	case code == "server_error" || code == "temporarily_unavailable":
		return p.failf(federation.Unavailable, "answered %s", code)
	case !errorCode.MatchString(code):
		return p.failf(federation.Refused, "answered an unreadable error")
	}
	return p.failf(federation.Refused, "answered %s", code)
}

// judge holds the verified sign-in against what was asked for: its level and its age.
func (p *Provider) judge(r federation.Request, pend pending, claims object) (federation.Login, error) {
	subject, _, err := claims.text("sub")
	if err != nil || !visible(subject, 255) { // OpenID Connect Core section 2
		return federation.Login{}, p.because(federation.ReasonSubject, "ID token has no usable sub")
	}
	level, err := p.level(claims)
	if err != nil {
		return federation.Login{}, err
	}
	if r.MinACR != "" && !level.Reaches(r.MinACR) {
		return federation.Login{}, p.failf(federation.TooWeak, "sign-in does not reach %s", r.MinACR)
	}
	authTime, present, err := claims.date("auth_time")
	if err != nil || authTime.After(p.cfg.Now().Add(skew)) {
		return federation.Login{}, p.because(federation.ReasonAge, "auth_time is malformed or in the future")
	}
	if oldest, asked := oldestSignIn(r, pend); asked && (!present || authTime.Before(oldest)) {
		return federation.Login{}, p.failf(federation.TooOld, "sign-in is older than was asked, or of unknown age")
	}
	return federation.Login{
		Provider: p.cfg.ID, Issuer: p.cfg.Issuer, Subject: subject, ACR: level, AuthTime: authTime,
	}, nil
}

// oldestSignIn is the earliest auth_time that will do. Age counts from the moment
// when we sent the person off, not from her return: reading a page there for
// longer than max_age does not make a sign-in stale.
func oldestSignIn(r federation.Request, pend pending) (time.Time, bool) {
	started := time.Unix(pend.Started, 0).Add(-skew)
	switch {
	case r.ForceLogin:
		return started, true
	case r.MaxAge != nil:
		return started.Add(-max(0, *r.MaxAge).Truncate(time.Second)), true
	}
	return time.Time{}, false
}

// unverified turns an error of a key set into one of ours.
func (p *Provider) unverified(err error) error {
	if errors.Is(err, keys.ErrUnavailable) {
		return p.fail(federation.Unavailable, federation.Because(federation.ReasonKeys, err))
	}
	return p.fail(federation.Invalid, federation.Because(federation.ReasonSignature, err))
}

// identity merges what the ID token and userinfo say and has it read.
func (p *Provider) identity(token, info object) (identity.Identity, []identity.Flaw, error) {
	claims, err := p.merge(token, info)
	if err != nil {
		return identity.Identity{}, nil, err
	}
	said, rule := sent(claims, token), identity.Rule("")
	if said.Address, rule = p.address(token, info); rule != "" {
		said.Unread = append(said.Unread, identity.Flaw{Claim: identity.AddressClaim, Rule: rule})
	}
	id, dropped, err := p.cfg.Schema.Read(said, p.cfg.Now())
	if err != nil {
		return identity.Identity{}, nil, p.fail(federation.BadIdentity, err)
	}
	id.Provider = p.cfg.ID
	return id, dropped, nil
}
