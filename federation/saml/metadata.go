package saml

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/outbound"
)

// How long metadata lives.
const (
	metadataTTL   = time.Hour
	metadataKeep  = 7 * 24 * time.Hour // while the document cannot be had, and not beyond its validUntil
	metadataRetry = 10 * time.Second
	maxKeys       = 16
)

const (
	bindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	bindingPost     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// metadata is what we use of a provider's metadata. It is immutable.
type metadata struct {
	sso        *url.URL // HTTP-Redirect
	slo        *url.URL // where logout requests go by HTTP-Redirect; nil: nowhere
	sloAnswer  *url.URL // where answers to its own go; nil: nowhere
	keys       []crypto.PublicKey
	validUntil time.Time // zero: it does not say
}

// metadata returns what is known of the provider; errors are *federation.Error.
func (p *Provider) metadata(ctx context.Context) (*metadata, error) {
	m, err := p.meta.Get(ctx)
	if err != nil {
		return nil, p.fail(federation.Unavailable, federation.Because(federation.ReasonMetadata, fmt.Errorf("metadata: %w", err)))
	}
	if m.expired(p.cfg.Now()) { // then what there is now is worth waiting for
		if m, err = p.meta.RenewAfter(ctx, metadataRetry); err != nil {
			return nil, p.fail(federation.Unavailable, federation.Because(federation.ReasonMetadata, fmt.Errorf("metadata: %w", err)))
		}
	}
	if m == nil || m.expired(p.cfg.Now()) {
		return nil, p.fail(federation.Unavailable, federation.Because(federation.ReasonMetadata, errors.New("metadata: has expired")))
	}
	return m, nil
}

func (m *metadata) expired(now time.Time) bool {
	return !m.validUntil.IsZero() && !now.Before(m.validUntil)
}

func (p *Provider) fetchMetadata(ctx context.Context) (*metadata, error) {
	if p.cfg.Metadata != nil {
		return p.readMetadata(p.cfg.Metadata, nil)
	}
	a, err := outbound.Get(ctx, p.cfg.Client, p.cfg.MetadataURL, "application/samlmetadata+xml", maxDocument)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("status %d", a.Status)
	}
	m, err := p.readMetadata(a.Body, p.signers())
	if err == nil && m.expired(p.cfg.Now()) {
		err = errors.New("has expired")
	}
	if err != nil {
		p.cfg.Log.LogAttrs(ctx, slog.LevelError, "provider metadata refused",
			slog.String("provider", string(p.cfg.ID)), slog.String("why", err.Error()))
	}
	return m, err
}

// readMetadata reads the metadata of one provider (SAML metadata section 2.3.2).
// With signers it must be signed by one of them: what is not may come from anybody,
// so it changes nothing of what we hold. What is signed and of no use is another
// matter: then the provider itself has taken back what it said before.
func (p *Provider) readMetadata(raw []byte, signers []crypto.PublicKey) (*metadata, error) {
	root, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if !is(root, nsMetadata, "EntityDescriptor") {
		return nil, errors.New("is not that of one entity")
	}
	if signers != nil {
		if _, err := verify(root, signers); err != nil {
			return nil, err
		}
	}
	m, err := p.describe(root)
	if err != nil && signers != nil {
		return nil, fmt.Errorf("%w: %w", outbound.ErrDisowned, err)
	}
	return m, err
}

func (p *Provider) describe(root *etree.Element) (*metadata, error) {
	if id, _ := attr(root, "entityID"); id != p.cfg.EntityID {
		return nil, errors.New("is that of another entity")
	}
	role, err := one(root, nsMetadata, "IDPSSODescriptor")
	if err != nil {
		return nil, err
	}
	m := &metadata{}
	for _, el := range []*etree.Element{root, role} {
		until, given, err := instant(el, "validUntil")
		if err != nil {
			return nil, err
		}
		if given && (m.validUntil.IsZero() || until.Before(m.validUntil)) {
			m.validUntil = until
		}
	}
	if m.keys, err = signingKeys(role); err != nil {
		return nil, err
	}
	if m.sso, err = p.endpoint(role); err != nil {
		return nil, err
	}
	m.slo, m.sloAnswer, err = p.logoutEndpoints(role)
	return m, err
}

// signingKeys are those that the provider signs with: of use signing, or of no
// stated use (SAML metadata section 2.4.1.1). Weak ones are left out.
func signingKeys(role *etree.Element) ([]crypto.PublicKey, error) {
	var out []crypto.PublicKey
	for _, d := range children(role, nsMetadata, "KeyDescriptor") {
		if use, given := attr(d, "use"); given && use != "signing" {
			continue
		}
		info, err := one(d, nsSignature, "KeyInfo")
		if err != nil {
			return nil, err
		}
		for _, data := range children(info, nsSignature, "X509Data") {
			for _, c := range children(data, nsSignature, "X509Certificate") {
				der, err := decoded(c)
				if err != nil {
					return nil, errors.New("certificate is not base64")
				}
				// The certificate is the wrapping of a key: its dates and its issuer
				// mean nothing here (SAML metadata interoperability profile, 2.6.1).
				cert, err := x509.ParseCertificate(der)
				if err != nil {
					return nil, errors.New("certificate is malformed")
				}
				if strong(cert.PublicKey) {
					out = append(out, cert.PublicKey)
				}
			}
		}
	}
	if len(out) == 0 || len(out) > maxKeys {
		return nil, errors.New("has no strong signing key, or too many")
	}
	return out, nil
}

// endpoint is where sign-in requests go.
func (p *Provider) endpoint(role *etree.Element) (*url.URL, error) {
	for _, s := range children(role, nsMetadata, "SingleSignOnService") {
		if b, _ := attr(s, "Binding"); b != bindingRedirect {
			continue
		}
		raw, _ := attr(s, "Location")
		return p.location("sign-on address", raw)
	}
	return nil, errors.New("has no sign-on address for HTTP-Redirect")
}

// logoutEndpoints are where logout messages go (SAML metadata section 2.2.2): requests
// to Location, answers to ResponseLocation if there is one.
func (p *Provider) logoutEndpoints(role *etree.Element) (requests, answers *url.URL, err error) {
	for _, s := range children(role, nsMetadata, "SingleLogoutService") {
		if b, _ := attr(s, "Binding"); b != bindingRedirect {
			continue
		}
		raw, _ := attr(s, "Location")
		if requests, err = p.location("logout address", raw); err != nil {
			return nil, nil, err
		}
		if raw, given := attr(s, "ResponseLocation"); given {
			answers, err = p.location("logout address", raw)
			return requests, answers, err
		}
		return requests, requests, nil
	}
	return nil, nil, nil
}

// location is one that people are sent to with a message of ours.
func (p *Provider) location(what, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New(what + " is not a URL")
	}
	if err := outbound.CheckURL(u, p.cfg.AllowHTTP); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if slices.Contains(p.foreign, strings.ToLower(u.Host)) {
		return nil, errors.New(what + " is on a host that belongs to another party")
	}
	for name := range u.Query() {
		if slices.Contains([]string{"SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature"}, name) {
			return nil, errors.New(what + " has a parameter of ours")
		}
	}
	return u, nil
}
