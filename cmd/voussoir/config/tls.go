package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
)

// TLS is what the broker needs to speak TLS itself.
type TLS struct {
	// CertFile is its certificate with those that lead to the authority, PEM, the
	// broker's own first. Relative to this file; read again on SIGHUP.
	CertFile string `yaml:"cert_file" eg:"tls/fullchain.pem"`
	// KeyFile is the key of the certificate, PEM, mode 0600 or 0400. Relative to this
	// file; read again on SIGHUP.
	KeyFile string `yaml:"key_file" eg:"tls/key.pem"`
}

// ClientCertificates says how the certificates of services reach the broker: over
// its own TLS (tls), or in a header from a proxy that speaks TLS.
type ClientCertificates struct {
	// TrustedProxies are the addresses or networks of the proxies whose header is
	// believed. It is believed from nobody else. Default []: certificates come over the
	// broker's own TLS.
	TrustedProxies []string `yaml:"trusted_proxies" eg:"[10.0.0.7/32]"`
	// Header is where a trusted proxy puts the client's certificate: between colons in
	// base64 (RFC 9440), or as PEM with URL escapes. The proxy must set it in every
	// request, whatever the client has sent. Default Client-Cert.
	Header string `yaml:"header" eg:"Client-Cert"`
	// AuthoritiesFile holds the authorities, PEM, whose certificates prove the services
	// with tls_client_auth. Name only those that issue for services. Relative to this
	// file; read again on SIGHUP. Default: none.
	AuthoritiesFile string `yaml:"authorities_file" eg:"tls/authorities.pem"`
	// Address is where services with a certificate connect, when it is not the issuer:
	// browsers are then never asked for a certificate. Its host must lead to this
	// broker. Default "": certificates are asked for at the issuer itself.
	Address string `yaml:"address" eg:"https://mtls.id.example.org"`
}

// CertificateSource says where the certificates of clients come from.
type CertificateSource struct {
	Proxies     []netip.Prefix // nil: from our own TLS
	Header      string         // of the proxies
	Authorities *x509.CertPool // nil: none
	Address     string         // "": the issuer
}

// headerName is a name that no other part of a request has a use for.
var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{1,63}$`)

// maxPEM is the largest file of certificates, in bytes.
const maxPEM = 1 << 20

func (c *checker) tls() {
	t := c.f.TLS
	if !c.has("tls") || !c.ok("tls") {
		return
	}
	if t.CertFile == "" && c.ok("tls.cert_file") {
		c.add("tls.cert_file", "there is no certificate to speak TLS with", "cert_file: tls/fullchain.pem")
	}
	if t.KeyFile == "" && c.ok("tls.key_file") {
		c.add("tls.key_file", "there is no key to the certificate", "key_file: tls/key.pem")
	}
	if strings.HasPrefix(c.f.Issuer, "http:") && c.ok("issuer") {
		c.add("tls", "the issuer is an http address, so nobody would speak TLS", "issuer: https"+strings.TrimPrefix(c.f.Issuer, "http")+", or remove tls")
	}
	if t.KeyFile != "" {
		c.secretFile("tls.key_file", t.KeyFile)
	}
}

// loadTLS reads the certificate, and says what is wrong with it before anybody
// else does.
func (c *checker) loadTLS() *tls.Certificate {
	t := c.f.TLS
	if t.CertFile == "" || !c.ok("tls") || !c.ok("tls.cert_file") {
		return nil
	}
	chain := c.readPEM("tls.cert_file", t.CertFile)
	if chain != nil && !bytes.Contains(chain, []byte("BEGIN CERTIFICATE")) {
		c.add("tls.cert_file", quote(t.CertFile)+" holds no certificate in PEM", "a file that begins with -----BEGIN CERTIFICATE-----")
	}
	key := c.secret("tls.key_file", t.KeyFile, "")
	if chain == nil || key == nil || !c.ok("tls.cert_file") || !c.ok("tls.key_file") {
		return nil
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil { // its text names no secret, but neither does it help
		c.add("tls.key_file", "the key and the certificate cannot be read, or do not belong together", "the key that the certificate was made with, and the broker's own certificate first in cert_file")
		return nil
	}
	c.fits(pair.Leaf)
	return &pair
}

// fits compares the certificate with the names that the broker is known by.
func (c *checker) fits(leaf *x509.Certificate) {
	names := []string{c.f.Issuer}
	if len(c.f.ClientCertificates.TrustedProxies) == 0 {
		names = append(names, c.f.ClientCertificates.Address)
	}
	for _, name := range names {
		u, err := url.Parse(name)
		if name == "" || err != nil || u.Hostname() == "" {
			continue // reported there
		}
		if leaf.VerifyHostname(u.Hostname()) != nil {
			c.add("tls.cert_file", "the certificate is not for "+u.Hostname(), "a certificate that names it as a subject alternative name")
		}
	}
	// Not a mistake: who has to restart now should not be kept from it.
	if now := time.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		c.warn("tls.cert_file", "the certificate has expired or is not valid yet: clients will refuse it", "a new one, then SIGHUP")
	}
}

func (c *checker) clientCertificates() {
	const at = "client_certificates"
	k := &c.f.ClientCertificates
	if !c.has(at) || !c.ok(at) {
		return
	}
	if len(k.TrustedProxies) == 0 {
		if c.ok(at+".trusted_proxies") && !c.has("tls") {
			c.add(at, "no certificate can reach the broker: it does not speak TLS itself and trusts no proxy", "tls: { cert_file: …, key_file: … }, or trusted_proxies: [10.0.0.7/32]")
		}
		if c.has(at + ".header") {
			c.add(at+".header", "a header is believed from trusted proxies only, and there are none", "trusted_proxies: [10.0.0.7/32] beside it, or remove it")
		}
	}
	for i, p := range k.TrustedProxies {
		c.trustedProxy(index(at+".trusted_proxies", i), p)
	}
	if c.has(at+".header") && c.ok(at+".header") && (!headerName.MatchString(k.Header) || slices.Contains([]string{
		"authorization", "cookie", "host", "origin", "content-type", "content-length", "dpop", "accept", "user-agent", "forwarded",
	}, strings.ToLower(k.Header))) {
		c.add(at+".header", quote(k.Header)+" is not the name of a header of its own", "header: Client-Cert")
	}
	c.certificateAddress(at + ".address")
}

func (c *checker) certificateAddress(at string) {
	k := &c.f.ClientCertificates
	if k.Address == "" || !c.ok(at) {
		return
	}
	c.uri(at, k.Address)
	u, err := url.Parse(k.Address)
	issuer, ierr := url.Parse(c.f.Issuer)
	if err != nil || ierr != nil || !c.ok(at) {
		return
	}
	switch {
	case u.Scheme != "https" || u.Scheme+"://"+u.Host != k.Address:
		c.add(at, "this is not of the form https://host", "address: https://mtls.id.example.org")
	case strings.EqualFold(u.Host, issuer.Host):
		c.add(at, "this is the issuer's own address", "remove it: certificates are then asked for there")
	case len(k.TrustedProxies) == 0 && (strings.EqualFold(u.Hostname(), issuer.Hostname()) || isIP(u.Hostname())):
		c.add(at, "the broker itself tells the two addresses apart by the host name in the handshake", "a host of its own, such as https://mtls.id.example.org")
	}
}

// trustedProxy wants an address or a network that is not half of the world.
func (c *checker) trustedProxy(at, text string) {
	if !c.ok(at) {
		return
	}
	p, err := parseNetwork(text)
	least := 8
	if p.Addr().Is6() {
		least = 32
	}
	switch {
	case err != nil || p.Addr().Is4In6():
		c.add(at, quote(text)+" is not an IP address or a network", "10.0.0.7/32, or 10.0.0.0/24")
	case p.Bits() < least:
		c.add(at, "so many cannot all be proxies: whoever is one says who its clients are", "the addresses of the proxies, such as 10.0.0.7/32")
	case p.Masked() != p:
		c.add(at, quote(text)+" is an address and not the network that it is in", p.Masked().String()+", or "+p.Addr().String()+" for this address alone")
	}
}

func isIP(host string) bool { _, err := netip.ParseAddr(host); return err == nil }

func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func (c *checker) loadClientCertificates() *CertificateSource {
	if !c.has("client_certificates") {
		return nil
	}
	k := &c.f.ClientCertificates
	out := &CertificateSource{Address: k.Address}
	for _, text := range k.TrustedProxies {
		p, _ := parseNetwork(text) // a mistake is reported by the check
		out.Proxies = append(out.Proxies, p)
	}
	if len(out.Proxies) > 0 {
		out.Header = k.Header
		fill(&out.Header, "Client-Cert")
	}
	const at = "client_certificates.authorities_file"
	if k.AuthoritiesFile != "" && c.ok(at) {
		out.Authorities = c.authorities(at, k.AuthoritiesFile)
	}
	return out
}

// authorities reads the authorities. Something else among them is a mistake: a
// certificate that is no authority's would be of no effect, or of too much.
func (c *checker) authorities(at, name string) *x509.CertPool {
	rest := c.readPEM(at, name)
	if rest == nil {
		return nil
	}
	pool, n := x509.NewCertPool(), 0
	for block, after := pem.Decode(rest); block != nil; block, after = pem.Decode(after) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			c.add(at, quote(name)+" holds something that is not a certificate", "certificates of authorities and nothing else")
			return nil
		}
		if !cert.BasicConstraintsValid || !cert.IsCA {
			c.add(at, quote(name)+" holds a certificate that is no authority's", "certificates of authorities (CA:TRUE); for a certificate of a service, its key in jwks and self_signed_tls_client_auth")
			return nil
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		c.add(at, quote(name)+" holds no certificate in PEM", "a file that begins with -----BEGIN CERTIFICATE-----")
		return nil
	}
	return pool
}

func (c *checker) readPEM(at, name string) []byte {
	b, err := read(c.resolve(name), maxPEM+1)
	switch {
	case err != nil:
		c.add(at, "the file "+quote(name)+" cannot be read", "a path relative to this file, which the broker may read")
		return nil
	case len(b) > maxPEM || len(b) == 0:
		c.add(at, quote(name)+" is empty or far too large", "a file of certificates in PEM")
		return nil
	}
	return b
}

// certificateName is checked by certificateNames.
func (c *checker) certificateName(k *Client) clients.CertificateName {
	out := clients.CertificateName{DNS: k.TLSClientAuthSANDNS, URI: k.TLSClientAuthSANURI, Email: k.TLSClientAuthSANEmail}
	out.DN, _ = clients.ParseDN(k.TLSClientAuthSubjectDN)
	out.IP, _ = netip.ParseAddr(k.TLSClientAuthSANIP)
	return out
}
