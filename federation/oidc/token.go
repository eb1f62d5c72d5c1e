package oidc

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// Limits on the answers of the token and userinfo endpoints, in bytes.
const (
	maxAnswer      = 64 << 10
	maxAccessToken = 16 << 10
)

// assertionLife is how long a client assertion can be used, were it stolen.
const assertionLife = 60 * time.Second

// tokens is a token answer. A refresh token is not even read: what was never
// held cannot leak.
type tokens struct {
	access, id string
	bound      *possession // of what the access token is bound to; nil: a bearer token
}

// exchange redeems the code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
func (p *Provider) exchange(ctx context.Context, m *metadata, code, verifier string) (tokens, error) {
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {p.cfg.RedirectURI},
		"code_verifier": {verifier},
	}
	proof, err := p.possession(m)
	if err != nil {
		return tokens{}, err
	}
	a, err := p.proven(proof, "token endpoint", "", func() (*http.Request, error) {
		return p.post(ctx, m.token, form) // made anew each time: an assertion is good for one request
	})
	if err != nil {
		return tokens{}, err
	}
	return p.readTokens(a, proof)
}

// post is a form that proves who we are. The caller's form is not changed.
func (p *Provider) post(ctx context.Context, where string, fields url.Values) (*http.Request, error) {
	form, header := maps.Clone(fields), http.Header{}
	if err := p.authenticate(ctx, form, header); err != nil {
		return nil, p.fail(federation.Unavailable, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, p.failf(federation.Unavailable, "an endpoint is not a URL")
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// authenticate proves who we are (OpenID Connect Core section 9).
func (p *Provider) authenticate(ctx context.Context, form url.Values, header http.Header) error {
	switch p.cfg.AuthMethod {
	case ClientSecretBasic: // both halves form-encoded first: RFC 6749 section 2.3.1
		pair := url.QueryEscape(p.cfg.ClientID) + ":" + url.QueryEscape(p.cfg.ClientSecret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	case ClientSecretPost:
		form.Set("client_id", p.cfg.ClientID)
		form.Set("client_secret", p.cfg.ClientSecret)
		return nil
	case TLSClientAuth, SelfSignedTLSClientAuth: // the certificate is in the handshake
		form.Set("client_id", p.cfg.ClientID)
		return nil
	}
	assertion, err := p.assertion(ctx)
	if err != nil {
		return err
	}
	form.Set("client_id", p.cfg.ClientID)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

// assertion makes a client assertion (RFC 7523 section 3). Its audience is the
// pinned issuer, as one string, and never an address out of metadata: else a
// hostile provider could name another's endpoint and use our assertion there
// (CVE-2025-27370).
func (p *Provider) assertion(ctx context.Context) (string, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	now := p.cfg.Now()
	payload, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{
		p.cfg.ClientID, p.cfg.ClientID, p.cfg.Issuer, base64.RawURLEncoding.EncodeToString(id[:]),
		now.Unix(), now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	return p.cfg.Signer.Sign(ctx, p.cfg.SigningAlg, "JWT", payload)
}

// call sends one request to the provider.
func (p *Provider) call(what string, req *http.Request) (outbound.Answer, error) {
	a, err := outbound.Do(p.cfg.Calls, req, maxAnswer)
	switch {
	case errors.Is(err, outbound.ErrTooLarge), errors.Is(err, outbound.ErrEncoded):
		return a, p.fail(federation.Invalid, err)
	case err != nil:
		return a, p.fail(federation.Unavailable, err)
	case a.Status >= 500 || a.Status == http.StatusTooManyRequests:
		return a, p.failf(federation.Unavailable, "%s answered %s", what, http.StatusText(a.Status))
	}
	return a, nil
}

// readTokens reads a token answer (RFC 6749 sections 5.1 and 5.2, OpenID Connect
// Core section 3.1.3.3). proof is what was sent with the request, or nil.
func (p *Provider) readTokens(a outbound.Answer, proof *possession) (tokens, error) {
	if mediaType(a.ContentType) != "application/json" {
		return tokens{}, p.failf(federation.Invalid, "token answer is not JSON")
	}
	members, err := protocol.Object(a.Body)
	if err != nil {
		return tokens{}, p.fail(federation.Invalid, err)
	}
	doc := object(members)
	if code, failed, _ := doc.text("error"); failed || a.Status != http.StatusOK {
		return tokens{}, p.failf(federation.Refused, "token endpoint answered %s", readable(code))
	}
	kind, _, errKind := doc.text("token_type")
	access, _, errAccess := doc.text("access_token")
	id, _, errID := doc.text("id_token")
	bound := proof != nil && strings.EqualFold(kind, "DPoP")
	switch {
	case errors.Join(errKind, errAccess, errID) != nil:
		return tokens{}, p.failf(federation.Invalid, "token answer has a member of the wrong type")
	case !bound && p.cfg.DPoP == Require:
		return tokens{}, p.failf(federation.Invalid, "token answer is not of type DPoP")
	case !bound && !strings.EqualFold(kind, "Bearer"):
		return tokens{}, p.failf(federation.Invalid, "token answer is not of type Bearer")
	case !visible(access, maxAccessToken):
		return tokens{}, p.failf(federation.Invalid, "token answer has no usable access token")
	case id == "":
		return tokens{}, p.failf(federation.Invalid, "token answer has no ID token")
	}
	if !bound {
		proof = nil
	}
	return tokens{access: access, id: id, bound: proof}, nil
}

// mediaType is the type without parameters, in lower case; "" when unreadable.
func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return t
}
