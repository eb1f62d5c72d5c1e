package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// How long metadata lives.
const (
	metadataTTL   = time.Hour
	metadataAhead = 20 * time.Minute // fetched this long before, while the old one serves
	metadataKeep  = 24 * time.Hour   // while the document cannot be fetched
	metadataRetry = 10 * time.Second
	maxMetadata   = 256 << 10
)

// metadata is what we use of a provider's metadata. It is immutable.
type metadata struct {
	authorization *url.URL
	token         string
	userInfo      string // "": none
	endSession    string // "": none
	pushed        string // "": none (RFC 9126)
	dpop          bool   // it takes ES256 proofs (RFC 9449)
	issParameter  bool
	prompts       []string // prompt_values_supported; nil: it does not say
	claims        []string // claims_supported; likewise
	keys          *keys.Remote
}

// metadata returns what is known of the provider; errors are *federation.Error.
func (p *Provider) metadata(ctx context.Context) (*metadata, error) {
	m, err := p.meta.Get(ctx)
	if err != nil {
		return nil, p.fail(federation.Unavailable, fmt.Errorf("metadata: %w", err))
	}
	return m, nil
}

func (p *Provider) fetchMetadata(ctx context.Context) (*metadata, error) {
	if p.cfg.Endpoints != nil {
		return p.resolve(*p.cfg.Endpoints)
	}
	where := strings.TrimSuffix(p.cfg.Issuer, "/") + "/.well-known/openid-configuration"
	a, err := outbound.Get(ctx, p.cfg.Client, where, "application/json", maxMetadata)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("status %d", a.Status)
	}
	m, err := p.readMetadata(a.Body)
	if err != nil {
		p.cfg.Log.LogAttrs(ctx, slog.LevelError, "provider metadata refused",
			slog.String("provider", string(p.cfg.ID)), slog.String("why", err.Error()))
	}
	return m, err
}

// readMetadata reads a discovery document (OpenID Connect Discovery section 3).
func (p *Provider) readMetadata(body []byte) (*metadata, error) {
	members, err := protocol.Object(body)
	if err != nil {
		return nil, err
	}
	doc := object(members)
	// From here on the document was read and is not what it must be: a provider
	// that names another issuer or a strange endpoint is not used at all, not even
	// with what it said before.
	if iss, _, err := doc.text("issuer"); err != nil || iss != p.cfg.Issuer {
		return nil, disowned("issuer is not the configured one")
	}
	var e Endpoints
	for name, dst := range map[string]*string{
		"authorization_endpoint": &e.Authorization, "token_endpoint": &e.Token, "userinfo_endpoint": &e.UserInfo, "jwks_uri": &e.JWKS,
	} {
		if *dst, _, err = doc.text(name); err != nil {
			return nil, disowned(name + " is not a string")
		}
	}
	// Nobody's sign-in depends on this one: if it is no good, nobody is sent there.
	e.EndSession, _, _ = doc.text("end_session_endpoint")
	if e.IssParameter, err = doc.flag("authorization_response_iss_parameter_supported"); err != nil {
		return nil, disowned("authorization_response_iss_parameter_supported is not a boolean")
	}
	if e.Pushed, _, err = doc.text("pushed_authorization_request_endpoint"); err != nil {
		return nil, disowned("pushed_authorization_request_endpoint is not a string")
	}
	if err := p.useAliases(doc, &e); err != nil {
		return nil, err
	}
	m, err := p.resolve(e)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", outbound.ErrDisowned, err)
	}
	if raw, ok := doc["prompt_values_supported"]; ok {
		_ = json.Unmarshal(raw, &m.prompts) // unreadable: it does not say
	}
	proofs, err := doc.texts("dpop_signing_alg_values_supported")
	m.dpop = err == nil && slices.Contains(proofs, "ES256")
	if json.Unmarshal(doc["claims_supported"], &m.claims) != nil {
		m.claims = nil
	}
	return m, nil
}

// useAliases takes the endpoints that ask for our certificate, where we have one
// (RFC 8705 section 5).
func (p *Provider) useAliases(doc object, e *Endpoints) error {
	raw, ok := doc["mtls_endpoint_aliases"]
	if !ok || p.cfg.Certificate == nil {
		return nil
	}
	members, err := protocol.Object(raw)
	if err != nil {
		return disowned("mtls_endpoint_aliases is not an object")
	}
	for name, dst := range map[string]*string{
		"token_endpoint": &e.Token, "userinfo_endpoint": &e.UserInfo, "pushed_authorization_request_endpoint": &e.Pushed,
	} {
		alias, ok, err := object(members).text(name)
		if err != nil {
			return disowned("an alias in mtls_endpoint_aliases is not a string")
		}
		if ok {
			*dst = alias
		}
	}
	return nil
}

func disowned(why string) error { return fmt.Errorf("%w: %s", outbound.ErrDisowned, why) }

// resolve checks the endpoints, wherever they come from.
func (p *Provider) resolve(e Endpoints) (*metadata, error) {
	authorization, err := p.endpoint("authorization endpoint", e.Authorization)
	if err != nil {
		return nil, err
	}
	if _, err := p.endpoint("token endpoint", e.Token); err != nil {
		return nil, err
	}
	if _, err := p.endpoint("jwks_uri", e.JWKS); err != nil {
		return nil, err
	}
	if p.cfg.UserInfo.Fetch {
		if _, err := p.endpoint("userinfo endpoint", e.UserInfo); err != nil {
			return nil, err
		}
	}
	if e.Pushed != "" && p.cfg.PAR != Off { // our secret or assertion goes there too
		if _, err := p.endpoint("PAR endpoint", e.Pushed); err != nil {
			return nil, err
		}
	}
	set, err := p.keySet(e.JWKS)
	if err != nil {
		return nil, err
	}
	if _, err := p.endpoint("end_session_endpoint", e.EndSession); err != nil {
		e.EndSession = ""
	}
	return &metadata{
		authorization: authorization, token: e.Token, userInfo: e.UserInfo, endSession: e.EndSession, pushed: e.Pushed, issParameter: e.IssParameter, keys: set,
	}, nil
}

// endpoint accepts a URL that the provider may be reached at: as well protected
// as its issuer, and not somebody else's (RFC 9700 section 4.4).
func (p *Provider) endpoint(what, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if raw == "" || err != nil {
		return nil, errors.New(what + " is missing or not a URL")
	}
	if err := outbound.CheckURL(u, p.cfg.AllowHTTP && p.issuer.Scheme == "http"); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if slices.Contains(p.foreign, hostPort(u)) {
		return nil, errors.New(what + " is on a host that belongs to another party")
	}
	return u, nil
}

// keySet keeps the keys at hand when a new metadata document names the same place.
func (p *Provider) keySet(jwks string) (*keys.Remote, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys != nil && p.jwks == jwks {
		return p.keys, nil
	}
	set, err := keys.NewRemote(keys.RemoteConfig{URL: jwks, Client: p.cfg.Client, Now: p.cfg.Now, Log: p.cfg.Log})
	if err != nil {
		return nil, err
	}
	p.jwks, p.keys = jwks, set
	return set, nil
}

// hostPort is the host in lower case, with the port unless it is the scheme's own.
func hostPort(u *url.URL) string {
	h := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(h, ":443")
	case "http":
		return strings.TrimSuffix(h, ":80")
	}
	return h
}
