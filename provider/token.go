package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// tokenAnswer is the token response (OpenID Connect Core section 3.1.3.3).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token,omitempty"`

	Details []json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 section 7
}

// token serves POST /token. The library calls authenticate, then redeem or refresh.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) error {
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
	case "refresh_token":
		if r.PostForm.Get("refresh_token") == "" {
			return invalid("refresh_token is missing")
		}
	case "":
		return invalid("grant_type is missing")
	default:
		return protocol.Fail(protocol.UnsupportedGrantType, nil, "only authorization_code and refresh_token are supported")
	}
	if r.PostForm.Get("authorization_details") != "" { // to ignore it would give more than was asked for
		return errDetails("authorization_details cannot be narrowed at the token endpoint")
	}
	if err := p.freshProof(w.Header(), r); err != nil {
		return err
	}
	cred, err := p.credentialsOf(r)
	if err != nil {
		return err
	}
	x := &exchange{request: r, form: r.PostForm, credentials: cred}
	p.library.run(r.Context(), r.Method, PathToken, x)
	if x.client != nil {
		p.Note(r, slog.String("client", string(x.client.ID)))
	}
	if x.err != nil {
		return x.err
	}
	if x.tokens == nil {
		return protocol.Fail(protocol.InvalidRequest, errLibrary, "the request is malformed")
	}
	body, err := json.Marshal(x.tokens)
	if err != nil {
		return errors.New("encode tokens") // the cause could quote them
	}
	return writeJSON(w, body)
}

// errCode is the answer for every code that does not redeem, whatever the reason:
// who guesses learns nothing from it.
func errCode(reason string) *protocol.Error {
	return protocol.Fail(protocol.InvalidGrant, errors.New(reason), "the code is not valid")
}

// redeem turns a code into tokens (RFC 6749 section 4.1.3) for a client that has
// authenticated. The use of the code is durable before anything is compared, and
// its audit entry before anything is signed: a crash in between costs the person
// one more click and can never give two answers to one code, nor an answer that
// is not on record.
func (p *Provider) redeem(ctx context.Context, x *exchange) (*tokenAnswer, error) {
	c, form := x.client, x.form
	if err := p.reachable(ctx, c); err != nil {
		return nil, err
	}
	if form.Get("code") == "" || form.Get("redirect_uri") == "" {
		return nil, invalid("code or redirect_uri is missing")
	}
	g, forgotten, err := p.spend(ctx, form.Get("code"))
	if err != nil {
		return nil, err
	}
	if reason := cmp.Or(p.mismatch(c, g, form), otherKey(g, x.bound)); reason != "" {
		return nil, p.misused(ctx, c, g, reason)
	}
	if p.Codes.expired(g.IssuedAt) {
		return nil, errCode("expired")
	}
	if !within(form.Get("scope"), g.Scopes) {
		return nil, protocol.Fail(protocol.InvalidScope, nil, "scope is wider than what was granted")
	}
	if g.Audience, err = narrowed(form["resource"], g.Audience); err != nil {
		return nil, err
	}
	// No token outlives the memory of its code: a second use could not revoke it any
	// more. That can only be less than the client's own time if a reload raised it.
	return p.issue(ctx, c, g, x.bound, min(accessTTL(c), forgotten.Sub(p.Now())))
}

// spend looks the code up and uses it. Of all callers with one code exactly one
// gets the grant, and until when a second use will be noticed; every other one is
// a second use.
func (p *Provider) spend(ctx context.Context, code string) (login.Grant, time.Time, error) {
	var g login.Grant
	stored, err := loadGrant(ctx, p.Codes, CodeGrant, code, &g)
	if errors.Is(err, ErrNoGrant) {
		return login.Grant{}, time.Time{}, errCode("unknown")
	}
	if err != nil {
		return login.Grant{}, time.Time{}, unavailable(err)
	}
	failpoint.Here("token.before-consume")
	first, err := p.Once.Consume(ctx, "code", hex.EncodeToString(stored.Digest[:]), stored.Expires, p.Now())
	if err != nil {
		return login.Grant{}, time.Time{}, unavailable(err)
	}
	failpoint.Here("token.after-consume")
	if !first {
		return login.Grant{}, time.Time{}, p.reused(ctx, g, stored.Expires)
	}
	if p.Barred(g.Person, g.IssuedAt) {
		return login.Grant{}, time.Time{}, errCode("person is out of service")
	}
	return g, stored.Expires, nil
}

// reused revokes what the first use bought (RFC 6749 section 4.1.2): one of the
// two who had the code has stolen it. Revoked first, recorded second: whoever
// asks again after a failure in between comes through here again.
func (p *Provider) reused(ctx context.Context, g login.Grant, until time.Time) error {
	if err := p.Codes.endGrant(ctx, g.ID, g.OfflineUntil, until); err != nil {
		return unavailable(err)
	}
	if err := p.record(ctx, audit.CodeReused, accessOf(g), "", protocol.InvalidGrant); err != nil {
		return err
	}
	return errCode("second use")
}

// misused puts on record that a good code came from the wrong client, for the
// wrong address or without its verifier. The code is burnt already.
func (p *Provider) misused(ctx context.Context, c *clients.Client, g login.Grant, reason string) error {
	p.Log.LogAttrs(ctx, slog.LevelWarn, "code misused", slog.String("client", string(c.ID)),
		slog.String("owner", string(g.Client)), slog.String("reason", reason))
	if err := p.record(ctx, audit.CodeMisused, accessOf(g), reason, protocol.InvalidGrant); err != nil {
		return err
	}
	return errCode(reason)
}

// mismatch says why this request may not have this grant, or "".
func (p *Provider) mismatch(c *clients.Client, g login.Grant, form url.Values) string {
	switch {
	case g.Client != c.ID:
		return "client"
	case g.RedirectURI != form.Get("redirect_uri"):
		return "redirect_uri"
	case !verifies(form.Get("code_verifier"), g.CodeChallenge), c.AuthMethod == clients.Public && g.CodeChallenge == "":
		return "code_verifier" // of a public client it is the only proof (RFC 9700 section 2.1.1)
	}
	return ""
}

// verifies is RFC 7636 section 4.6. A verifier without a challenge is refused as
// well: it is how a stripped challenge shows (RFC 9700 section 4.8.2).
func verifies(verifier, challenge string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

// within reports whether every scope asked for was granted.
func within(asked string, granted []protocol.Scope) bool {
	for _, s := range strings.Fields(asked) {
		if !slices.Contains(granted, protocol.Scope(s)) {
			return false
		}
	}
	return true
}

// issue records, then makes the tokens.
func (p *Provider) issue(ctx context.Context, c *clients.Client, g login.Grant, bound confirmation, ttl time.Duration) (*tokenAnswer, error) {
	a := accessOf(g)
	if err := p.record(ctx, audit.TokenIssued, a, "", ""); err != nil {
		return nil, err
	}
	failpoint.Here("token.after-audit")
	family, err := p.offer(ctx, c, g, bound)
	if err != nil {
		return nil, err
	}
	answer, err := p.mint(ctx, c, g, a, bound, ttl)
	if err != nil {
		return nil, err
	}
	answer.RefreshToken = string(family)
	if err := p.stands(ctx, g.ID); err != nil {
		return nil, err
	}
	failpoint.Here("token.before-answer")
	return answer, nil
}

// mint makes the tokens, once they are on record.
func (p *Provider) mint(ctx context.Context, c *clients.Client, g login.Grant, a access, bound confirmation, ttl time.Duration) (*tokenAnswer, error) {
	now := p.Now()
	a.Confirm = bound
	var err error
	if a.UserInfo, err = userInfoOf(g.Released); err != nil {
		return nil, err
	}
	access, err := p.accessToken(ctx, c, g, a, now, ttl)
	if err != nil {
		return nil, unavailable(err)
	}
	id, err := p.idToken(ctx, c, g, access, now)
	if err != nil {
		return nil, unavailable(err)
	}
	return &tokenAnswer{
		AccessToken: access, TokenType: a.Confirm.tokenType(), ExpiresIn: int64(ttl.Seconds()),
		IDToken: id, Scope: a.Scope, Details: grantedDetails(a.Details),
	}, nil
}

// stands is the last look before an answer: while it was made she may have withdrawn. Its
// tokens are dead then, but an ID token would tell of her all the same.
func (p *Provider) stands(ctx context.Context, id login.GrantID) error {
	gone, err := p.Codes.cfg.Grants.Withdrawn(ctx, id)
	if err != nil {
		return unavailable(err)
	}
	if gone {
		return protocol.Fail(protocol.InvalidGrant, errors.New("withdrawn meanwhile"), "the grant is not valid any more")
	}
	return nil
}

// record appends an entry about a grant; failure is an answer of 503, because
// what is not on record does not happen.
func (p *Provider) record(ctx context.Context, k audit.Kind, a access, rule string, code protocol.ErrorCode) error {
	if _, err := p.Audit.Append(ctx, eventOf(k, a, rule, code)); err != nil {
		return unavailable(err)
	}
	return nil
}

func eventOf(k audit.Kind, a access, rule string, code protocol.ErrorCode) audit.Event {
	return audit.Event{
		Public: audit.Public{
			Kind: k, Client: string(a.Client), Rule: rule, ACR: string(a.ACR),
			Outcome: cmp.Or(string(code), "ok"), Claims: a.Claims,
		},
		Personal: audit.Personal{Person: a.Person, Grant: string(a.Grant)},
		SealKey:  a.SealKey,
	}
}

// words turns scopes or claims into plain strings.
func words[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// writeJSON answers 200.
func writeJSON(w http.ResponseWriter, body []byte) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(body)
	return err
}
