// Package saml signs people in at SAML 2.0 identity providers: the service
// provider's side of the web browser SSO profile, request by HTTP-Redirect,
// response by HTTP-POST. A response is parsed once into one tree, refused unless
// every part of it is one that we know, verified by the provider's pinned keys
// alone, and read from the very element that was verified. It never stores
// anything but the fact that an assertion was used, never shows a page, and does
// not know which service the person came from. Read finish.go from the top; why it
// is our own code: docs/decisions/0026-saml.md.
package saml

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// Keys holds our keys for SAML. keys.Ring is one.
type Keys interface {
	SAMLCertificates(ctx context.Context) (keys.SAMLCertificates, error)
	SignSAMLQuery(ctx context.Context, query string) ([]byte, error)
	UnwrapSAMLKey(ctx context.Context, wrapped []byte, o keys.OAEP) ([]byte, error)
}

// OnceStore remembers which assertions were used. It is durable: when Consume
// returns, the fact survives a crash.
type OnceStore interface {
	// Consume returns true for exactly one of all calls with the same kind and id,
	// until then. Any error means that the outcome is unknown.
	Consume(ctx context.Context, kind, id string, until, now time.Time) (first bool, err error)
}

// Config describes one provider. Fields without a default are required.
type Config struct {
	ID       protocol.ProviderID
	Name     protocol.Text   // shown to people
	EntityID string          // of the provider, exactly as in its metadata and its assertions
	Schema   identity.Schema // what it owes us of a person

	// Metadata is the provider's metadata from a file that the operator vouches
	// for; nil: it is fetched from MetadataURL and must be signed by one of
	// MetadataSigners.
	Metadata        []byte
	MetadataURL     string
	MetadataSigners []*x509.Certificate

	OurEntityID string // our name at this provider alone
	ACS         string // where it posts its responses; its path ends in /saml/{ID}/acs

	ACR ACR
	// Attributes maps the provider's attribute names to our claims: given_name,
	// family_name, birthdate, gender, birthplace, birthcountry,
	// preferred_username, email, email_verified. Every other attribute is dropped.
	Attributes map[string]string
	// SubjectAttribute is the attribute that names the account, for providers whose
	// NameID is not persistent; "": the persistent NameID.
	SubjectAttribute string
	// RequireEncryption refuses an assertion in clear.
	RequireEncryption bool
	// AllowCBC opens assertions that are encrypted with AES-CBC too, if the response
	// around them is signed. For providers that know nothing better.
	AllowCBC bool

	// ForeignHosts are the hosts (host or host:port) of our own issuer and of the
	// other providers: metadata that sends people to one of them is refused.
	ForeignHosts []string
	AllowHTTP    bool // development only
	Keys         Keys
	Once         OnceStore
	Client       *http.Client // from outbound, one per provider; for MetadataURL
	Now          func() time.Time
	Log          *slog.Logger // of unusable metadata; nil: nothing is logged

	// Delivered hears which claims each verified assertion had. It does not block. nil:
	// nobody is told.
	Delivered func(federation.Delivery)
}

// ACR says what the provider's authentication contexts mean to us.
type ACR struct {
	Max protocol.ACR            // a higher level in an assertion counts as this one
	Map map[string]protocol.ACR // by AuthnContextClassRef; what is not here is no level
	// Minimum asks for the weakest class that will do "or better" (Comparison
	// minimum, as eIDAS nodes want it), in place of a list of exact ones.
	Minimum bool
}

// Provider is an identity provider that speaks SAML. It implements federation.Provider.
type Provider struct {
	cfg     Config
	foreign []string
	sources map[string]string // our claim: its attribute
	meta    *outbound.Latest[*metadata]
}

var _ federation.Provider = (*Provider)(nil)

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

// Ready fetches metadata if it is not at hand, and says why it cannot be had.
func (p *Provider) Ready(ctx context.Context) error {
	_, err := p.metadata(ctx)
	return err
}

func (p *Provider) configure() error {
	c := &p.cfg
	switch {
	case c.ID == "" || c.EntityID == "" || c.OurEntityID == "":
		return errors.New("needs an id and two entity ids")
	case c.EntityID == c.OurEntityID:
		return errors.New("the provider has our own entity id")
	case c.Now == nil || c.Keys == nil || c.Once == nil:
		return errors.New("needs a clock, keys and a memory of assertions")
	case !c.ACR.Max.Known() || len(c.ACR.Map) == 0:
		return errors.New("needs a maximum level and a map of its authentication contexts")
	case (c.Metadata == nil) == (c.MetadataURL == ""):
		return errors.New("needs metadata, or one address of it")
	case c.MetadataURL != "" && (len(c.MetadataSigners) == 0 || c.Client == nil):
		return errors.New("metadata from an address needs a pinned certificate and a client")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.ACR.Map = maps.Clone(c.ACR.Map)
	for class, level := range c.ACR.Map {
		if class == "" || strings.ContainsAny(class, " \t\r\n") || !level.Known() {
			return errors.New("acr map has an empty class, a class with spaces or an unknown level")
		}
	}
	for _, step := range []func() error{p.configureURLs, p.configureAttributes} {
		if err := step(); err != nil {
			return err
		}
	}
	var err error
	p.meta, err = outbound.NewLatest(outbound.LatestConfig[*metadata]{
		Fetch: p.fetchMetadata, TTL: metadataTTL, Keep: metadataKeep, Retry: metadataRetry, Now: c.Now,
	})
	return err
}

func (p *Provider) configureURLs() error {
	c := &p.cfg
	acs, err := url.Parse(c.ACS)
	if err != nil || outbound.CheckURL(acs, c.AllowHTTP) != nil || !strings.HasSuffix(acs.Path, "/saml/"+string(c.ID)+"/acs") {
		return errors.New("the ACS is not this provider's own")
	}
	own, err := url.Parse(c.EntityID)
	for _, h := range c.ForeignHosts {
		if h = strings.ToLower(h); err != nil || h != strings.ToLower(own.Host) {
			p.foreign = append(p.foreign, h)
		}
	}
	if c.MetadataURL != "" {
		u, err := url.Parse(c.MetadataURL)
		if err != nil || outbound.CheckURL(u, c.AllowHTTP) != nil {
			return errors.New("metadata address will not do")
		}
	}
	for _, cert := range c.MetadataSigners {
		if !strong(cert.PublicKey) {
			return errors.New("pinned certificate has a weak key")
		}
	}
	if c.Metadata != nil {
		if _, err := p.readMetadata(c.Metadata, nil); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
	}
	return nil
}

// signers are the pinned keys of its metadata.
func (p *Provider) signers() []crypto.PublicKey {
	out := make([]crypto.PublicKey, 0, len(p.cfg.MetadataSigners))
	for _, c := range p.cfg.MetadataSigners {
		out = append(out, c.PublicKey)
	}
	return out
}

// fail makes the error that Start and Finish promise.
func (p *Provider) fail(kind federation.Kind, err error) *federation.Error {
	return &federation.Error{Provider: p.cfg.ID, Kind: kind, Err: err}
}

// failf is fail with a text. It must not hold anything that a stranger wrote.
func (p *Provider) failf(kind federation.Kind, format string, args ...any) *federation.Error {
	return p.fail(kind, fmt.Errorf(format, args...))
}
