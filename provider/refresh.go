package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// giveBackTime is how long giveBack may take.
const giveBackTime = 5 * time.Second

// errRefresh is the answer for every refresh token that does not hold, whatever the
// reason: who guesses learns nothing from it.
func errRefresh(reason string) *protocol.Error {
	return protocol.Fail(protocol.InvalidGrant, errors.New(reason), "the refresh token is not valid")
}

// refresh turns a refresh token into new tokens (RFC 6749 section 6) for a client
// that has authenticated. First comes what tells an attack, then what is the client's
// own mistake and costs nobody anything, then the use of the token, together with its
// audit entry; only then something is signed.
func (p *Provider) refresh(ctx context.Context, x *exchange) (*tokenAnswer, error) {
	c, token := x.client, x.form.Get("refresh_token")
	if err := p.reachable(ctx, c); err != nil {
		return nil, err
	}
	f, stored, err := p.Codes.loadFamily(ctx, token)
	if errors.Is(err, ErrNoFamily) {
		return nil, errRefresh("unknown")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if err := p.examine(ctx, x, f, stored, refreshToken(token)); err != nil {
		return nil, err
	}
	if p.Barred(f.Person, f.Started) {
		return nil, errRefresh("person is out of service")
	}
	g, err := narrowGrant(c, f, x.form)
	if err != nil {
		return nil, err
	}
	kept, err := p.rotate(ctx, c, f, stored, refreshToken(token), accessOf(g))
	if err != nil {
		return nil, err
	}
	a := accessOf(g)
	a.OfflineUntil = f.Until
	answer, err := p.mint(ctx, c, g, a, x.bound, min(accessTTL(c), f.end(c).Sub(p.Now())))
	if err != nil {
		p.giveBack(ctx, stored, kept, a)
		return nil, err
	}
	answer.RefreshToken = string(kept)
	if err := p.stands(ctx, f.Grant); err != nil {
		return nil, err
	}
	failpoint.Here("refresh.before-answer")
	return answer, nil
}

// examine says whether this client may use this token at all. A token in the hands of
// another client, or one that was used before, has leaked: its family ends. With the
// wrong key it has perhaps leaked, and is of no use to whoever has it: the family goes
// on, so that a thief without the key cannot end it.
func (p *Provider) examine(ctx context.Context, x *exchange, f family, stored StoredFamily, token refreshToken) error {
	c := x.client
	switch {
	case f.Client != c.ID:
		if err := p.endFamily(ctx, f); err != nil {
			return err
		}
		return p.refreshMisused(ctx, c, f, "client")
	case c.AuthMethod == clients.Public && f.Confirm != x.bound:
		return p.refreshMisused(ctx, c, f, "key")
	case !isCurrent(p.Codes, stored, token):
		return p.refreshReused(ctx, f)
	case stored.Ended:
		// Whoever ended it may have crashed before the last access token was dead.
		if err := p.endFamily(ctx, f); err != nil {
			return err
		}
		return errRefresh("ended")
	case !c.MayRefresh():
		return errRefresh("the client may not")
	case c.AuthMethod == clients.Public && !f.Public:
		return errRefresh("the client needs no credentials any more, and needed them when this began")
	case !p.Now().Before(f.end(c)):
		return errRefresh("the time that she was told is over")
	}
	return nil
}

func isCurrent(c *Codes, s StoredFamily, token refreshToken) bool {
	d := c.digest(string(token))
	return subtle.ConstantTimeCompare(d[:], s.Current[:]) == 1
}

// rotate uses the token up and puts that on record in the same transaction, so that
// neither happens alone, and returns the one that replaces it. A client that keeps
// its token is known by its credentials alone, so it needs some. Of all who come with one
// token at once exactly one is not too late; the others show that it is in two hands.
func (p *Provider) rotate(ctx context.Context, c *clients.Client, f family, stored StoredFamily, token refreshToken, a access) (refreshToken, error) {
	now, next := p.Now(), token
	if !c.KeepRefreshToken || c.AuthMethod == clients.Public {
		next = token.next()
	}
	replaced, err := p.Codes.stored(f, next, f.expires(c, now))
	if err != nil {
		return "", unavailable(err)
	}
	entry, err := p.Audit.Prepare(eventOf(audit.TokenRefreshed, a, "", ""))
	if err != nil {
		return "", unavailable(err)
	}
	failpoint.Here("refresh.before-rotate")
	err = p.Codes.cfg.Refresh.RotateFamily(ctx, stored.Current, replaced, now, entry)
	switch {
	case errors.Is(err, ErrFamilyMoved) && next != token:
		return "", p.refreshReused(ctx, f)
	case errors.Is(err, ErrFamilyMoved): // it is the good one for ever: the family has ended meanwhile
		return "", errRefresh("ended")
	case err != nil:
		return "", unavailable(err)
	}
	failpoint.Here("refresh.after-rotate")
	return next, nil
}

// giveBack makes the token good again whose use came to nothing, because something could
// not be signed or kept: nobody has seen the one that took its place, and a client that
// hears 503 comes again with the one it has, which would look like a thief's second use.
// Where this fails as well it costs a sign-in.
func (p *Provider) giveBack(ctx context.Context, was StoredFamily, unseen refreshToken, a access) {
	digest := p.Codes.digest(string(unseen))
	if digest == was.Current {
		return // it was kept
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime) // also when the client has gone
	defer cancel()
	entry, err := p.Audit.Prepare(eventOf(audit.TokenRefreshed, a, "", protocol.TemporarilyUnavailable))
	if err == nil {
		err = p.Codes.cfg.Refresh.RotateFamily(ctx, digest, was, p.Now(), entry)
	}
	if err != nil {
		p.Log.LogAttrs(ctx, slog.LevelError, "refresh token lost", slog.String("client", string(a.Client)), slog.Any("err", err))
	}
}

// narrowGrant is the grant that f stands for, as far as the client may still have it, or
// the part of that which a request names: never more (RFC 6749 section 6). openid stays,
// for an ID token is always there.
func narrowGrant(c *clients.Client, f family, form url.Values) (login.Grant, error) {
	f, whole := f.allowed(c), f
	if len(f.Audience) == 0 && len(whole.Audience) > 0 { // with none it would be for more than she agreed to
		return login.Grant{}, errTarget("this client may not ask for any of the resources any more")
	}
	if !within(form.Get("scope"), f.Scopes) {
		return login.Grant{}, protocol.Fail(protocol.InvalidScope, nil, "scope is wider than what was granted")
	}
	scopes := f.Scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s protocol.Scope) bool {
			return s != protocol.OpenID && !slices.Contains(asked, string(s))
		})
	}
	audience, err := narrowed(form["resource"], f.Audience)
	return login.Grant{
		ID: f.Grant, SID: f.SID, Client: f.Client, Scopes: scopes, Audience: audience, Details: f.Details, ACR: f.ACR, AuthTime: f.AuthTime,
		Released: identity.Identity{}.Release(f.Subject, nil), Person: f.Person, SealKey: f.SealKey,
	}, err
}

// offer begins a family for a grant that allows it, and returns its first token, or
// "". ErrFamilyEnded: the code came a second time, or was revoked, meanwhile.
func (p *Provider) offer(ctx context.Context, c *clients.Client, g login.Grant, bound confirmation) (refreshToken, error) {
	now := p.Now()
	if g.OfflineUntil.IsZero() || !c.MayRefresh() || !now.Before(g.OfflineUntil) {
		return "", nil
	}
	f := family{
		Grant: g.ID, Client: g.Client, Subject: g.Released.Sub(), SID: g.SID, Scopes: g.Scopes, Audience: g.Audience, Details: g.Details, ACR: g.ACR, AuthTime: g.AuthTime,
		Person: g.Person, SealKey: g.SealKey, Started: now, Until: g.OfflineUntil,
	}
	if c.AuthMethod == clients.Public {
		f.Public, f.Confirm = true, bound // RFC 9449 section 5: nothing else ties the token to it
	}
	failpoint.Here("refresh.before-put")
	token, err := p.Codes.putFamily(ctx, f, f.expires(c, now), g.IssuedAt)
	if errors.Is(err, ErrFamilyEnded) {
		return "", errCode("revoked meanwhile")
	}
	if err != nil {
		return "", unavailable(err)
	}
	failpoint.Here("refresh.after-put")
	return token, nil
}

// refreshReused ends a family of which a used token came again: one of the two who
// had it has stolen it (RFC 9700 section 4.14.2). Ended first, recorded second:
// whoever asks again after a failure in between comes through here again.
func (p *Provider) refreshReused(ctx context.Context, f family) error {
	if err := p.endFamily(ctx, f); err != nil {
		return err
	}
	p.Log.LogAttrs(ctx, slog.LevelWarn, "refresh token used twice", slog.String("client", string(f.Client)))
	if err := p.record(ctx, audit.RefreshReused, f.access(), "", protocol.InvalidGrant); err != nil {
		return err
	}
	return errRefresh("second use")
}

func (p *Provider) refreshMisused(ctx context.Context, c *clients.Client, f family, reason string) error {
	p.Log.LogAttrs(ctx, slog.LevelWarn, "refresh token misused", slog.Bool("alarm", true), slog.String("client", string(c.ID)),
		slog.String("owner", string(f.Client)), slog.String("reason", reason))
	if err := p.record(ctx, audit.RefreshMisused, f.access(), reason, protocol.InvalidGrant); err != nil {
		return err
	}
	return errRefresh(reason)
}

func (p *Provider) endFamily(ctx context.Context, f family) error {
	if err := p.Codes.endGrant(ctx, f.Grant, f.Until, time.Time{}); err != nil {
		return unavailable(err)
	}
	return nil
}

// access is what the audit log, /revoke and /introspect need to know of f.
func (f family) access() access {
	return access{
		Grant: f.Grant, Client: f.Client, ACR: f.ACR, Scope: strings.Join(words(f.Scopes), " "),
		Person: f.Person, SealKey: f.SealKey, OfflineUntil: f.Until,
	}
}
