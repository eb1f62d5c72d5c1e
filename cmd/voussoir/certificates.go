package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/provider"
)

// maxCertificate bounds what is read of a header, in bytes. A certificate with an
// RSA key of 8192 bits has half of that in base64.
const maxCertificate = 8 << 10

// Why a header is not believed. They quote nothing of it.
var (
	errStranger = errors.New("certificate header from an address that is no trusted proxy")
	errRepeated = errors.New("certificate header more than once")
	errHeader   = errors.New("certificate header cannot be read")
)

// certificates says how the certificates of clients reach this broker, nil when
// none can.
func (b *broker) certificates(s *config.CertificateSource) *provider.Certificates {
	if s == nil {
		return nil
	}
	out := &provider.Certificates{
		Of: ownTLS, Address: s.Address,
		Authorities: func() *x509.CertPool { return b.current.Load().authorities },
	}
	if len(s.Proxies) > 0 {
		out.Of = proxied{header: http.CanonicalHeaderKey(s.Header), proxies: s.Proxies}.of
	}
	return out
}

// ownTLS returns what the client sent in its handshake with us. crypto/tls has
// verified that it holds the key of the first.
func ownTLS(r *http.Request) ([]*x509.Certificate, error) {
	if r.TLS == nil {
		return nil, nil
	}
	return r.TLS.PeerCertificates, nil
}

// proxied reads certificates from the header of a proxy that speaks TLS for us. The
// proxy's own certificate, should it speak TLS with us too, is nobody's.
type proxied struct {
	header  string
	proxies []netip.Prefix
}

// of believes the header on connections from a trusted proxy, and there only if it
// is exactly one certificate in one header: a second one could be what the client
// sent, added to by the proxy instead of replaced (RFC 9440 section 3.1).
func (p proxied) of(r *http.Request) ([]*x509.Certificate, error) {
	values := r.Header[p.header]
	switch {
	case len(values) == 0 || len(values) == 1 && (values[0] == "" || values[0] == "::"):
		return nil, nil // the proxy says so, or nobody does
	case !trusts(p.proxies, r.RemoteAddr):
		return nil, errStranger
	case len(values) > 1:
		return nil, errRepeated
	case len(values[0]) > maxCertificate:
		return nil, errHeader
	}
	der, err := readCertificate(values[0])
	if err != nil {
		return nil, errHeader
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil { // its text may quote what is inside
		return nil, errHeader
	}
	return []*x509.Certificate{cert}, nil
}

// readCertificate reads the two forms that proxies write: DER as a byte sequence
// (RFC 9440 section 2.1, RFC 8941 section 3.3.5), and PEM with URL escapes (nginx's
// $ssl_client_escaped_cert, Apache's escape). Only the client's own certificate may
// be in it.
func readCertificate(value string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(value, ":"); ok {
		text, ok := strings.CutSuffix(rest, ":")
		if !ok {
			return nil, errHeader
		}
		return base64.StdEncoding.Strict().DecodeString(text)
	}
	text, err := url.PathUnescape(value) // + is part of base64, and no space
	if err != nil {
		return nil, errHeader
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 || !strings.HasPrefix(text, "-----BEGIN") || strings.TrimSpace(string(rest)) != "" {
		return nil, errHeader
	}
	return block.Bytes, nil
}

// aliased serves, at the address for clients with a certificate, the endpoints that
// are announced there and nothing else: no page, no cookie. Everything that stands
// behind takes such a request for one to the issuer. Any other path is answered as
// under any other foreign name.
func aliased(address, issuer string, next http.Handler) http.Handler {
	host, own := hostOf(address), hostOf(issuer)
	if host == "" {
		return next
	}
	paths := provider.AliasPaths()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(strings.TrimSuffix(r.Host, ":443"), host) && slices.Contains(paths, r.URL.Path) {
			r = r.WithContext(r.Context()) // a copy, which is ours to change
			r.Host = own
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf is the Host header of requests to an origin.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Host, ":443")
}

// speakTLS wraps a listener, unless a proxy speaks TLS. It is TLS 1.3, or 1.2 with
// the suites that RFC 9325 section 4.2 and FAPI 2.0 section 5.2.2.1 leave; there
// is no renegotiation in crypto/tls's server; an unfinished handshake ends with
// headerTimeout, as http.Server takes the shortest of its limits.
func (b *broker) speakTLS(l net.Listener) net.Listener {
	if b.started.TLS == nil {
		return l
	}
	plain := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return b.current.Load().tls, nil },
	}
	source := b.started.ClientCertificates
	if source == nil || len(source.Proxies) > 0 {
		return tls.NewListener(l, plain)
	}
	// Asked for and not demanded: whose a certificate is, and whether an authority must
	// have issued it, depends on the client, which is only named later.
	asking := plain.Clone()
	asking.ClientAuth = tls.RequestClientCert
	if source.Address == "" {
		return tls.NewListener(l, asking)
	}
	name, _, _ := strings.Cut(hostOf(source.Address), ":")
	plain.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if strings.EqualFold(hello.ServerName, name) {
			return asking, nil
		}
		return nil, nil // plain
	}
	return tls.NewListener(l, plain)
}

// sameCertificates reports whether a new configuration differs in what a reload can
// take over: the certificates themselves, and nothing about where they come from.
func sameCertificates(a, b *config.CertificateSource) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Header == b.Header && a.Address == b.Address && slices.Equal(a.Proxies, b.Proxies) && (a.Authorities == nil) == (b.Authorities == nil)
}
