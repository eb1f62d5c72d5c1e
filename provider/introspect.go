package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// PathIntrospect is the introspection endpoint (RFC 7662).
const PathIntrospect = "/introspect"

// introspectionJWT is the media type of a signed answer (RFC 9701 section 5).
const introspectionJWT = "token-introspection+jwt"

// introspection is what one who may know learns of a token (RFC 7662 section 2.2).
// Everybody else learns {"active":false}: the same for a token that never was, one
// that has ended and one that is none of their business.
type introspection struct {
	Active    bool              `json:"active"`
	Issuer    string            `json:"iss,omitempty"`
	Client    protocol.ClientID `json:"client_id,omitempty"`
	Subject   identity.Sub      `json:"sub,omitempty"` // the data provider's own, never the service's
	Scope     string            `json:"scope,omitempty"`
	TokenType string            `json:"token_type,omitempty"`
	IssuedAt  int64             `json:"iat,omitempty"`
	Expires   int64             `json:"exp,omitempty"`
	ACR       protocol.ACR      `json:"acr,omitempty"`
	Confirm   *confirmation     `json:"cnf,omitempty"`
	Details   []json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 section 9.2
}

// introspect serves POST /introspect. Whoever asks has proved who it is, and gets
// an answer for itself.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) error {
	c, err := p.clientOf(r)
	if err != nil {
		return err
	}
	if c.AuthMethod == clients.Public {
		return errClient("public: anyone could ask about tokens in its name") // RFC 7662 section 2.1
	}
	token := r.PostForm.Get("token")
	if token == "" {
		return invalid("token is missing")
	}
	body, err := p.inspect(r.Context(), c, token)
	if err != nil {
		return err
	}
	// Whoever is registered for an encrypted answer gets no other.
	if !wantsJWT(r.Header) && c.IntrospectionEncryption.Alg == "" {
		return writeJSON(w, body)
	}
	compact, err := p.signIntrospection(r.Context(), c, body)
	if err != nil {
		return unavailable(err)
	}
	w.Header().Set("Content-Type", "application/"+introspectionJWT)
	_, err = w.Write([]byte(compact))
	return err
}

// inspect says what c may know of token, as JSON. Only access tokens are shown to
// others; of a refresh token nobody but its own client learns anything.
func (p *Provider) inspect(ctx context.Context, c *clients.Client, token string) ([]byte, error) {
	if isRefreshToken(token) {
		return p.inspectRefresh(ctx, c, token)
	}
	var a access
	stored, err := loadGrant(ctx, p.Codes, AccessGrant, token, &a)
	if err != nil && !errors.Is(err, ErrNoGrant) {
		return nil, unavailable(err) // never "inactive": nobody knows
	}
	_, there := p.Clients().Get(a.Client)
	answer := introspection{
		Active: true, Issuer: p.Issuer, Client: a.Client,
		TokenType: a.Confirm.tokenType(), Confirm: a.Confirm.claim(), IssuedAt: a.IssuedAt, Expires: stored.Expires.Unix(),
	}
	switch {
	case err != nil || !there || p.bars(a):
		return json.Marshal(introspection{})
	case c.DataProvider != nil:
		return p.inspectFor(ctx, c, a, answer)
	case c.ID == a.Client:
		// Its own token: nothing that it did not get at /token, and nobody's data.
		answer.Scope, answer.Details = a.Scope, grantedDetails(a.Details)
		return json.Marshal(answer)
	}
	return json.Marshal(introspection{})
}

// inspectRefresh tells a client whether its refresh token could be used now. Asking
// is no use of it: a used one is inactive, and nothing else happens.
func (p *Provider) inspectRefresh(ctx context.Context, c *clients.Client, token string) ([]byte, error) {
	f, stored, err := p.Codes.loadFamily(ctx, token)
	if err != nil && !errors.Is(err, ErrNoFamily) {
		return nil, unavailable(err)
	}
	if err != nil || f.Client != c.ID || stored.Ended || p.Barred(f.Person, f.Started) || !c.MayRefresh() || !isCurrent(p.Codes, stored, refreshToken(token)) || !p.Now().Before(f.end(c)) {
		return json.Marshal(introspection{})
	}
	return json.Marshal(introspection{
		Active: true, Issuer: p.Issuer, Client: f.Client, Scope: strings.Join(words(f.allowed(c).Scopes), " "),
		Expires: min(stored.Expires.Unix(), f.end(c).Unix()), Confirm: f.Confirm.claim(),
	})
}

// inspectFor is the answer for a data provider that a service has shown the token
// to. It learns who asks it, the level, those of the scopes that are its own,
// the subject that this person has in its own sector, and of what was released to
// the service the claims that it is registered for: never more than the person was
// shown. See docs/decisions/0014-introspection.md.
func (p *Provider) inspectFor(ctx context.Context, c *clients.Client, a access, answer introspection) ([]byte, error) {
	scopes := slices.DeleteFunc(strings.Fields(a.Scope), func(s string) bool {
		return !slices.Contains(c.DataProvider.Scopes, protocol.Scope(s))
	})
	if len(scopes) == 0 || !a.isForOneOf(c.DataProvider.Resources) {
		return json.Marshal(introspection{}) // not meant for it (RFC 9700 section 2.3)
	}
	person, err := identity.ParsePersonID(a.Person)
	if err == nil {
		answer.Subject, err = identity.PairwiseSub(ctx, p.Deriver, c.Sector, person)
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("introspect for %s: %w", c.ID, err))
	}
	claims, err := a.only(c.DataProvider.Claims)
	if err != nil {
		return nil, unavailable(err)
	}
	answer.Scope, answer.ACR = strings.Join(scopes, " "), a.ACR
	if len(c.AuthorizationDetailTypes) > 0 {
		answer.Details = grantedDetails(a.Details, c.AuthorizationDetailTypes...)
	}
	if err := p.recordIntrospection(ctx, c, a); err != nil {
		return nil, err
	}
	if gone, err := p.Codes.cfg.Grants.Withdrawn(ctx, a.Grant); err != nil { // see stands
		return nil, unavailable(err)
	} else if gone {
		return json.Marshal(introspection{})
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, errors.New("encode introspection")
	}
	return join(body, claims), nil
}

// only is the part of the userinfo answer that holds these claims, as an object.
func (a access) only(allowed []protocol.Claim) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(a.UserInfo, &all); err != nil {
		return nil, errors.New("read the claims of a token") // the cause could quote the identity
	}
	part := map[string]json.RawMessage{}
	for _, name := range allowed {
		if v, ok := all[string(name)]; ok {
			part[string(name)] = v
		}
		// It travels with email, as everywhere (OpenID Connect Core section 5.1).
		if v, ok := all["email_verified"]; ok && name == protocol.Email {
			part["email_verified"] = v
		}
	}
	body, err := json.Marshal(part)
	if err != nil {
		return nil, errors.New("encode the claims of a token")
	}
	return body, nil
}

// recordIntrospection puts on record what a data provider is about to learn, and
// through which service.
func (p *Provider) recordIntrospection(ctx context.Context, c *clients.Client, a access) error {
	claims := slices.DeleteFunc(slices.Clone(a.Claims), func(name string) bool {
		return !slices.Contains(c.DataProvider.Claims, protocol.Claim(name))
	})
	_, err := p.Audit.Append(ctx, audit.Event{
		Public: audit.Public{
			Kind: audit.IntrospectionServed, Client: string(c.ID), Object: string(a.Client),
			Claims: claims, ACR: string(a.ACR), Outcome: "ok",
		},
		Personal: audit.Personal{Person: a.Person, Grant: string(a.Grant)},
		SealKey:  a.SealKey,
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// signIntrospection wraps an answer for the one who asked. sub and exp stay inside,
// so that nobody can take it for an ID token or an access token (RFC 9701 sections
// 5 and 8.1).
func (p *Provider) signIntrospection(ctx context.Context, c *clients.Client, body json.RawMessage) (string, error) {
	payload, err := json.Marshal(struct {
		Issuer        string            `json:"iss"`
		Audience      protocol.ClientID `json:"aud"`
		IssuedAt      int64             `json:"iat"`
		Introspection json.RawMessage   `json:"token_introspection"`
	}{p.Issuer, c.ID, p.Now().Unix(), body})
	if err != nil {
		return "", errors.New("encode introspection") // the cause could quote the identity
	}
	alg := c.IntrospectionSigningAlg
	if alg == "" {
		alg = "ES256"
	}
	compact, err := p.Keys.Sign(ctx, alg, introspectionJWT, payload)
	if err != nil {
		return "", fmt.Errorf("sign introspection for %s: %w", c.ID, err)
	}
	return p.nest(ctx, c, c.IntrospectionEncryption, compact)
}

// wantsJWT reports whether the signed form was asked for by name (RFC 9701 section
// 4); */* is no such wish.
func wantsJWT(h http.Header) bool {
	for _, part := range strings.Split(strings.Join(h["Accept"], ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err == nil && media == "application/"+introspectionJWT && !zero(params["q"]) {
			return true
		}
	}
	return false
}

// zero reports whether a quality value says "not acceptable" (RFC 9110 section
// 12.4.2).
func zero(q string) bool { return q != "" && strings.Trim(q, "0.") == "" }

// join appends the members of more to own. Both are JSON objects, own has members,
// and no name is in both.
func join(own, more json.RawMessage) json.RawMessage {
	if len(more) <= len("{}") {
		return own
	}
	own[len(own)-1] = ','
	return append(own, more[1:]...)
}
