// Package oidc signs people in at OpenID providers: it is the relying party of
// OpenID Connect Core 1.0, code flow with PKCE. Every answer is taken for
// hostile until it verifies: one pinned signature algorithm, the exact issuer, our
// audience alone, our nonce, narrow times, a level that is never raised, and
// userinfo about the same subject (RFC 9700, RFC 9207, RFC 8725). It never stores
// anything, never shows a page and never keeps a token. It does not know which
// service the person came from. Why it is our own code: docs/decisions/0003-upstream-client.md.
package oidc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// AuthMethod is how we authenticate at the token endpoint (OpenID Connect Core
// section 9).
type AuthMethod string

// The methods.
const (
	ClientSecretBasic AuthMethod = "client_secret_basic"
	ClientSecretPost  AuthMethod = "client_secret_post"
	PrivateKeyJWT     AuthMethod = "private_key_jwt"
	// By the certificate that Client shows (RFC 8705 section 2).
	TLSClientAuth           AuthMethod = "tls_client_auth"
	SelfSignedTLSClientAuth AuthMethod = "self_signed_tls_client_auth"
)

// Signer signs client assertions. keys.Ring is one.
type Signer interface {
	Sign(ctx context.Context, alg, typ string, payload []byte) (compact string, err error)
}

// Config describes one provider. Fields without a default are required.
type Config struct {
	ID          protocol.ProviderID
	Name        protocol.Text // shown to people
	Issuer      string        // exactly as in its ID tokens; https unless AllowHTTP
	Endpoints   *Endpoints    // nil: discovery (OpenID Connect Discovery 1.0)
	ClientID    string
	Scopes      []string        // openid among them
	RedirectURI string          // ours, of this provider alone; its path ends in /callback/{ID}
	Schema      identity.Schema // what it owes us of a person
	Relay       bool            // who logs out here is sent there to log out too, if it offers that

	AuthMethod   AuthMethod
	ClientSecret string // for the two client_secret methods
	Signer       Signer // for private_key_jwt
	SigningAlg   string // of the assertion; default ES256
	// Certificate is the one that Client shows, nil for none. With it the endpoints of
	// mtls_endpoint_aliases are used (RFC 8705 section 5).
	Certificate *tls.Certificate
	PAR         Offer // RFC 9126
	DPoP        Offer // RFC 9449; Auto takes a Bearer token where the provider insists

	// IDTokenSigningAlg is the one algorithm that ID tokens may be signed with:
	// ES256, ES384, ES512, EdDSA, PS256 or RS256. There is no "any" and no "none".
	IDTokenSigningAlg string
	// IDTokenEncryptionAlg: ID tokens come signed and then encrypted to us with it
	// (ECDH-ES or RSA-OAEP-256, and A256GCM), and no other way. Default: in clear.
	IDTokenEncryptionAlg string
	Decrypter            Decrypter // for encrypted answers
	UserInfo             UserInfo
	ACR                  ACR
	// Claims maps the provider's claim names to ours: given_name, family_name,
	// birthdate, gender, birthplace, birthcountry, preferred_username, email,
	// email_verified. What is not mapped keeps the standard name; every other
	// claim is dropped.
	Claims map[string]string

	// ForeignHosts are the hosts (host or host:port) of our own issuer and of the
	// other providers. Metadata that sends a code or an assertion to one of them
	// is refused (mix-up, audience injection: CVE-2025-27370).
	ForeignHosts []string
	AllowHTTP    bool         // development only
	Client       *http.Client // from outbound, one per provider: for metadata and keys
	Calls        *http.Client // for the calls of a sign-in (token, userinfo), with a breaker; nil: Client
	Now          func() time.Time
	Log          *slog.Logger // of skipped keys and unusable metadata; nil: nothing is logged

	// Delivered hears which claims each verified answer had. It does not block. nil:
	// nobody is told.
	Delivered func(federation.Delivery)
}

// Endpoints are those of a provider without discovery.
type Endpoints struct {
	Authorization string
	Token         string
	UserInfo      string // needed only when UserInfo.Fetch
	JWKS          string
	EndSession    string // "": nobody is sent there to log out
	Pushed        string // pushed authorization requests; "": none
	// IssParameter: its authorization responses carry iss (RFC 9207), so one
	// without is refused.
	IssParameter bool
}

// UserInfo says whether and how the userinfo endpoint is asked.
type UserInfo struct {
	Fetch bool
	// SigningAlg pins the algorithm of signed answers (application/jwt); "": the
	// answer is JSON, and a signed one is refused.
	SigningAlg string
	// EncryptionAlg: signed answers come encrypted to us, as IDTokenEncryptionAlg says.
	EncryptionAlg string
}

// ACR says what the provider's levels mean to us.
type ACR struct {
	Max protocol.ACR // a higher level in a token counts as this one
	// Default is the level of a sign-in whose token has no acr at all; "": none.
	// An acr that is not in Map is no level, whatever Default says.
	Default protocol.ACR
	// Essential asks for the level by the claims parameter as an essential claim
	// (OpenID Connect Core section 5.5.1.1) in place of acr_values, which a provider
	// may ignore. Either way what comes back is checked.
	Essential bool
	Map       map[string]protocol.ACR // by the provider's acr value; empty: eidas1 to eidas3 mean themselves
}

// Provider is an identity provider that speaks OpenID Connect. It implements
// federation.Provider.
type Provider struct {
	cfg     Config
	issuer  *url.URL
	foreign []string // normalised
	sources map[string]string
	meta    *outbound.Latest[*metadata]

	mu   sync.Mutex // guards what follows
	jwks string
	keys *keys.Remote // of jwks; kept when metadata is fetched again
}

var (
	_ federation.Provider = (*Provider)(nil)
	_ federation.Leaver   = (*Provider)(nil)
)

// New checks the configuration and calls nobody: a provider that is down does
// not keep us from starting.
func New(c Config) (*Provider, error) {
	p := &Provider{cfg: c}
	if err := p.configure(); err != nil {
		return nil, fmt.Errorf("provider %s: %w", c.ID, err)
	}
	return p, nil
}

// Description is what the directory shows of the provider.
func (p *Provider) Description() federation.Description {
	return federation.Description{ID: p.cfg.ID, Name: p.cfg.Name, MaxACR: p.cfg.ACR.Max}
}

// Ready fetches metadata and keys if they are not at hand, and says why they
// cannot be had. Nothing depends on it being called; it warms up a start and
// serves health checks.
func (p *Provider) Ready(ctx context.Context) error {
	m, err := p.metadata(ctx)
	if err != nil {
		return err
	}
	if err := m.keys.Ready(ctx); err != nil {
		return p.fail(federation.Unavailable, err)
	}
	return nil
}

// Check fetches metadata and keys, past what is remembered, and says what is wrong
// with them. What was fetched is used from then on. Of many calls within a second only
// the first one asks.
func (p *Provider) Check(ctx context.Context) error {
	if _, err := p.meta.RenewAfter(ctx, checkPause); err != nil {
		return p.fail(federation.Unavailable, fmt.Errorf("metadata: %w", err))
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return err
	}
	if err := m.keys.Renew(ctx, checkPause); err != nil {
		return p.fail(federation.Unavailable, fmt.Errorf("keys: %w", err))
	}
	return nil
}

// checkPause is the shortest time between two checks.
const checkPause = time.Second

func (p *Provider) configure() error {
	c := &p.cfg
	switch {
	case c.ID == "" || c.ClientID == "":
		return errors.New("needs an id and a client id")
	case c.Client == nil || c.Now == nil:
		return errors.New("needs a client and a clock")
	case !slices.Contains(c.Scopes, "openid"):
		return errors.New("scopes do not contain openid")
	case !knownAlg(c.IDTokenSigningAlg):
		return errors.New("ID token algorithm must be one of " + strings.Join(algs(), ", "))
	case c.UserInfo.SigningAlg != "" && !knownAlg(c.UserInfo.SigningAlg):
		return errors.New("userinfo algorithm must be empty or one of " + strings.Join(algs(), ", "))
	case !c.PAR.known() || !c.DPoP.known():
		return errors.New("unknown choice for PAR or DPoP")
	case !c.ACR.Max.Known() || c.ACR.Default != "" && !c.ACR.Default.Known():
		return errors.New("maximum or default level is unknown")
	}
	if c.Calls == nil {
		c.Calls = c.Client
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, step := range []func() error{p.configureLevels, p.configureAuth, p.configureEncryption, p.configureURLs, p.configureClaims} {
		if err := step(); err != nil {
			return err
		}
	}
	var err error
	p.meta, err = outbound.NewLatest(outbound.LatestConfig[*metadata]{
		Fetch: p.fetchMetadata, TTL: metadataTTL, Keep: metadataKeep, Retry: metadataRetry, Now: c.Now, Ahead: metadataAhead,
	})
	return err
}

func (p *Provider) configureLevels() error {
	c := &p.cfg.ACR
	if len(c.Map) == 0 {
		c.Map = map[string]protocol.ACR{}
		for _, a := range protocol.ACRs() {
			c.Map[string(a)] = a
		}
		return nil
	}
	c.Map = maps.Clone(c.Map)
	for value, level := range c.Map {
		if value == "" || strings.ContainsAny(value, " \t\r\n") || !level.Known() {
			return errors.New("acr map has an empty value, a value with spaces or an unknown level")
		}
	}
	return nil
}

func (p *Provider) configureAuth() error {
	c := &p.cfg
	switch c.AuthMethod {
	case ClientSecretBasic, ClientSecretPost:
		if c.ClientSecret == "" || c.Signer != nil {
			return errors.New("client_secret methods need a secret and no signer")
		}
	case PrivateKeyJWT:
		if c.Signer == nil || c.ClientSecret != "" {
			return errors.New("private_key_jwt needs a signer and no secret")
		}
		if c.SigningAlg == "" {
			c.SigningAlg = "ES256"
		}
		if !knownAlg(c.SigningAlg) {
			return errors.New("assertion algorithm must be one of " + strings.Join(algs(), ", "))
		}
	case TLSClientAuth, SelfSignedTLSClientAuth:
		if c.Certificate == nil || c.ClientSecret != "" || c.Signer != nil {
			return errors.New("authentication by certificate needs a certificate, no secret and no signer")
		}
	default:
		return errors.New("unknown token endpoint authentication method")
	}
	return nil
}

func (p *Provider) configureURLs() error {
	c := &p.cfg
	var err error
	if p.issuer, err = url.Parse(c.Issuer); err != nil {
		return errors.New("issuer is not a URL")
	}
	if err := outbound.CheckURL(p.issuer, c.AllowHTTP); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if p.issuer.RawQuery != "" || p.issuer.ForceQuery {
		return errors.New("issuer has a query") // OpenID Connect Core section 1.2
	}
	redirect, err := url.Parse(c.RedirectURI)
	if err != nil || outbound.CheckURL(redirect, c.AllowHTTP) != nil ||
		!strings.HasSuffix(redirect.Path, "/callback/"+string(c.ID)) {
		return errors.New("redirect URI is not this provider's own callback") // RFC 9700 section 4.4.2.2
	}
	for _, h := range c.ForeignHosts {
		if h = strings.ToLower(h); h != hostPort(p.issuer) {
			p.foreign = append(p.foreign, h)
		}
	}
	if c.Endpoints != nil {
		_, err = p.resolve(*c.Endpoints)
	}
	return err
}

// algs lists what keys verifies.
func algs() []string { return []string{"ES256", "ES384", "ES512", "EdDSA", "PS256", "RS256"} }

func knownAlg(a string) bool { return slices.Contains(algs(), a) }

// fail makes the error that Start and Finish promise.
func (p *Provider) fail(kind federation.Kind, err error) *federation.Error {
	return &federation.Error{Provider: p.cfg.ID, Kind: kind, Err: err}
}

// failf is fail with a text. It must not hold anything that a stranger wrote.
func (p *Provider) failf(kind federation.Kind, format string, args ...any) *federation.Error {
	return p.fail(kind, fmt.Errorf(format, args...))
}
