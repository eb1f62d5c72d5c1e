package provider

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"

	"github.com/voussoir-id/voussoir/clients"
)

// Certificates says how the certificates of clients reach us (RFC 8705). Which
// connection a certificate came by, and whether a proxy is believed, is decided
// where the connections are made, in cmd/voussoir: here a certificate is one whose
// key the client of this request has proved to hold.
type Certificates struct {
	// Of returns the certificate of a request, with those that the client sent with
	// it after it; none without an error: it sent none. An error means that there is
	// something that must not be believed, which is as good as none; it quotes nothing
	// of it.
	Of func(*http.Request) ([]*x509.Certificate, error)
	// Authorities are those that issue certificates for tls_client_auth, nil when there
	// are none. Called once per such request.
	Authorities func() *x509.CertPool
	// Address is where clients connect that have a certificate,
	// https://host[:port], when it is not the issuer (RFC 8705 section 5); or "".
	Address string
}

// minRSACertificate is the smallest RSA key of a certificate that proves anything,
// in bits (RFC 8725 section 3.5; FAPI 2.0 section 5.4.1).
const minRSACertificate = 2048

// onlyNamed is the method of a client that sends its client_id and nothing else:
// whether its connection proves it depends on what it is registered for.
const onlyNamed clients.AuthMethod = ""

// credentialsOf is readCredentials, with the certificate of the connection where
// nothing but it can prove the client.
func (p *Provider) credentialsOf(r *http.Request) (credentials, error) {
	cred, err := readCredentials(r.Header, r.PostForm)
	if err == nil && cred.method == onlyNamed {
		cred.chain, cred.fault = p.certificatesOf(r)
	}
	return cred, err
}

// certificatesOf returns the client's certificate and what came with it, or why
// there is none.
func (p *Provider) certificatesOf(r *http.Request) (chain []*x509.Certificate, fault string) {
	if p.Certificates == nil {
		return nil, "no credentials"
	}
	chain, err := p.Certificates.Of(r)
	switch {
	case err != nil:
		return nil, err.Error()
	case len(chain) == 0:
		return nil, "no credentials and no certificate"
	}
	return chain, ""
}

// certificateThumbprint is the x5t#S256 of the client's certificate (RFC 8705
// section 3.1), or "" when there is none to be believed.
func (p *Provider) certificateThumbprint(r *http.Request) string {
	chain, fault := p.certificatesOf(r)
	if fault != "" {
		return ""
	}
	sum := sha256.Sum256(chain[0].Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authenticateByCertificate checks mutual TLS client authentication (RFC 8705
// section 2). The connection has proved that the client holds the key; here it is
// decided whose key it is. The answer is the same whatever is wrong.
func (p *Provider) authenticateByCertificate(ctx context.Context, cred credentials) (*clients.Client, error) {
	if cred.fault != "" {
		return nil, errClient(cred.fault)
	}
	c, known := p.Clients().Get(cred.id)
	if !known {
		c = stranger
	}
	fault := "unknown client or another method"
	var err error
	switch {
	case weak(cred.chain[0]):
		fault = "key of the certificate is weak"
	case c.AuthMethod == clients.TLSClient:
		fault = p.issuedFault(c, cred.chain)
	case c.AuthMethod == clients.SelfSignedTLS:
		fault, err = p.registeredFault(ctx, c, cred.chain[0])
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if fault != "" {
		return nil, errClient(fault)
	}
	return c, nil
}

// issuedFault is tls_client_auth (RFC 8705 section 2.1): an authority vouches for
// the name. The name is nothing without the chain: anyone can write any name into a
// certificate. Errors of the verification may quote names, so they end here.
func (p *Provider) issuedFault(c *clients.Client, chain []*x509.Certificate) string {
	authorities := p.Certificates.Authorities()
	if authorities == nil { // crypto/x509 would take the system's
		return "no authority is known"
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: between, CurrentTime: p.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate is expired or not valid yet"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "certificate is not for clients"
	case err != nil:
		return "certificate is not of a known authority"
	case !c.CertificateName.Is(chain[0]):
		return "certificate names another client"
	}
	return ""
}

// registeredFault is self_signed_tls_client_auth (RFC 8705 section 2.2): the key is
// one that the client has registered. Nobody vouches for anything else in such a
// certificate, its dates included, so nothing else counts; the client ends it by
// taking the key out of its set.
func (p *Provider) registeredFault(ctx context.Context, c *clients.Client, cert *x509.Certificate) (string, error) {
	set, err := p.ClientKeys(c)
	if err != nil {
		return "", err
	}
	held, err := set.Holds(ctx, cert.PublicKey)
	if err != nil || held {
		return "", err
	}
	return "key of the certificate is not registered", nil
}

func weak(cert *x509.Certificate) bool {
	k, ok := cert.PublicKey.(*rsa.PublicKey)
	return ok && k.N.BitLen() < minRSACertificate
}

// certificateMethods are the ways to prove oneself by a certificate that work here.
func (p *Provider) certificateMethods() []clients.AuthMethod {
	switch {
	case p.Certificates == nil:
		return nil
	case p.Certificates.Authorities() == nil:
		return []clients.AuthMethod{clients.SelfSignedTLS}
	}
	return []clients.AuthMethod{clients.TLSClient, clients.SelfSignedTLS}
}

// endpointAliases are the endpoints at the address for clients with a certificate
// (RFC 8705 section 5), so that browsers are not asked for theirs at the other one.
type endpointAliases struct {
	PAR           string `json:"pushed_authorization_request_endpoint"`
	Token         string `json:"token_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Introspection string `json:"introspection_endpoint"`
}

// AliasPaths lists the paths that are served at the address for certificates.
func AliasPaths() []string {
	return []string{PathPAR, PathToken, PathUserInfo, PathRevoke, PathIntrospect}
}

func (p *Provider) aliases() *endpointAliases {
	if p.Certificates == nil || p.Certificates.Address == "" {
		return nil
	}
	at := p.Certificates.Address
	return &endpointAliases{
		PAR: at + PathPAR, Token: at + PathToken, UserInfo: at + PathUserInfo, Revocation: at + PathRevoke, Introspection: at + PathIntrospect,
	}
}

// aliasOf is the other address of an endpoint, or "". A proof of a key may be for
// either (RFC 9449 section 4.3): both are this endpoint.
func (p *Provider) aliasOf(path string) string {
	if p.aliases() == nil || !slices.Contains(AliasPaths(), path) {
		return ""
	}
	return p.Certificates.Address + path
}

func sameURI(htu, alias string) bool {
	got, ok := normalURI(htu)
	want, known := normalURI(alias)
	return alias != "" && ok && known && got == want
}

func (c *Certificates) check() error {
	switch {
	case c == nil:
		return nil
	case c.Of == nil || c.Authorities == nil:
		return errors.New("config: Certificates.Of or Authorities is missing")
	case c.Address == "":
		return nil
	}
	return checkIssuer(c.Address)
}
