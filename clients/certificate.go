package clients

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"slices"
)

// CertificateName is the one name by which a client with tls_client_auth is known
// in its certificate (RFC 8705 section 2.1.2). Exactly one field is set, or none:
// then no certificate is the client's.
type CertificateName struct {
	DN    DN         // of the subject
	DNS   string     // the others are subject alternative names: a host, no wildcard,
	URI   string     // an address,
	IP    netip.Addr //
	Email string     // and a mailbox
}

// Is reports whether this is the name of the certificate. Names are compared byte
// for byte (dNSName in lower case): whatever an authority lets its customers choose
// must never be taken for another's name. It does not verify the certificate.
func (n CertificateName) Is(cert *x509.Certificate) bool {
	switch {
	case len(n.DN) > 0:
		subject, err := subjectOf(cert)
		return err == nil && n.DN.equal(subject)
	case n.DNS != "":
		return slices.ContainsFunc(cert.DNSNames, func(s string) bool { return lower(s) == lower(n.DNS) })
	case n.URI != "":
		for _, u := range cert.URIs {
			if u.String() == n.URI {
				return true
			}
		}
	case n.IP.IsValid():
		for _, ip := range cert.IPAddresses {
			if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap() == n.IP.Unmap() {
				return true
			}
		}
	case n.Email != "":
		return slices.Contains(cert.EmailAddresses, n.Email)
	}
	return false
}

// lower is for host names: only A to Z have a small form there (RFC 4343).
func lower(host string) string { return string(bytes.ToLower([]byte(host))) }
