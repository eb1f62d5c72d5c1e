package config

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
)

// certificateNames: exactly one, with tls_client_auth only (RFC 8705 section 2.1.2).
func (c *checker) certificateNames(k *Client, path string) {
	first := ""
	for _, n := range []struct{ key, value, fault, instead string }{
		{"tls_client_auth_subject_dn", k.TLSClientAuthSubjectDN, dnFault(k.TLSClientAuthSubjectDN), "as openssl x509 -noout -subject -nameopt RFC2253 prints it: \"CN=library,O=City of Lyon,C=FR\""},
		{"tls_client_auth_san_dns", k.TLSClientAuthSANDNS, dnsFault(k.TLSClientAuthSANDNS), "a host name in small letters, without wildcard: library.example"},
		{"tls_client_auth_san_uri", k.TLSClientAuthSANURI, uriFault(k.TLSClientAuthSANURI), "the address as it is in the certificate: https://library.example/broker"},
		{"tls_client_auth_san_ip", k.TLSClientAuthSANIP, ipFault(k.TLSClientAuthSANIP), "192.0.2.1, or 2001:db8::1"},
		{"tls_client_auth_san_email", k.TLSClientAuthSANEmail, emailFault(k.TLSClientAuthSANEmail), "broker@library.example"},
	} {
		at := path + "." + n.key
		switch {
		case !c.has(at) || !c.ok(at):
			continue
		case k.TokenEndpointAuthMethod != string(clients.TLSClient):
			c.add(at, "this is of use with tls_client_auth only", "token_endpoint_auth_method: tls_client_auth, or remove it")
		case first != "":
			c.add(at, "the certificate's name is said twice: whichever held would do", "this or "+first+", one of them")
		case n.fault != "":
			c.add(at, n.fault, n.instead)
		}
		first = n.key
	}
	if at := path + ".tls_client_auth_subject_dn"; first == "" && k.TokenEndpointAuthMethod == string(clients.TLSClient) {
		c.add(at, "tls_client_auth needs the name that is in the service's certificate", "tls_client_auth_subject_dn: \"CN=library,O=City of Lyon,C=FR\", or one of the tls_client_auth_san_…")
	}
}

// certificateMethod reports whether the method is one by certificate, with what it
// needs and nothing else.
func (c *checker) certificateMethod(k *Client, path string, encryptionAlgs []string) bool {
	at := path + ".token_endpoint_auth_method"
	method := clients.AuthMethod(k.TokenEndpointAuthMethod)
	if method != clients.TLSClient && method != clients.SelfSignedTLS {
		return false
	}
	switch {
	case !c.has("client_certificates"):
		c.add(at, "no certificate can reach this broker", "client_certificates: { authorities_file: … } at the top, with tls or trusted_proxies")
	case method == clients.TLSClient && c.f.ClientCertificates.AuthoritiesFile == "" && c.ok("client_certificates.authorities_file"):
		c.add(at, "it is not said which authorities issue certificates for services", "client_certificates: { authorities_file: tls/authorities.pem }")
	}
	for key, remark := range map[string]string{".client_secret_sha256": "uses no secret", ".token_endpoint_auth_signing_alg": "signs nothing"} {
		if c.has(path + key) {
			c.add(path+key, k.TokenEndpointAuthMethod+" "+remark, "remove this line")
		}
	}
	if method == clients.SelfSignedTLS {
		c.clientKeys(k, path, "self_signed_tls_client_auth needs the key of the service's certificate", encryptionAlgs)
		return true
	}
	c.keysBesideSecret(k, path, encryptionAlgs)
	return true
}

// certificateBound: a token is bound only to a certificate that can arrive.
func (c *checker) certificateBound(k *Client, path string) {
	if at := path + ".tls_client_certificate_bound_access_tokens"; k.CertificateBoundAccessTokens && !c.has("client_certificates") {
		c.add(at, "no certificate can reach this broker, so this service would get no token", "client_certificates at the top, with tls or trusted_proxies, or false")
	}
}

func dnFault(text string) string {
	if _, err := clients.ParseDN(text); err != nil {
		return "the name " + err.Error()
	}
	return ""
}

func dnsFault(host string) string {
	if !hostLike.MatchString(host) {
		return quote(host) + " is not a host name"
	}
	return ""
}

// uriFault wants the form that comparison uses.
func uriFault(text string) string {
	if u, err := url.Parse(text); err != nil || u.Scheme == "" || u.String() != text {
		return quote(text) + " is not a complete address"
	}
	return ""
}

func ipFault(text string) string {
	if a, err := netip.ParseAddr(text); err != nil || a.Zone() != "" {
		return quote(text) + " is not an IP address"
	}
	return ""
}

func emailFault(text string) string {
	if local, host, ok := strings.Cut(text, "@"); !ok || local == "" || !hostLike.MatchString(host) {
		return quote(text) + " is not a mailbox"
	}
	return ""
}
