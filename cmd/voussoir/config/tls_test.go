package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/deploy"
)

// pemPair is a self-signed certificate for id.example.org and its key.
func pemPair(t *testing.T, change func(*x509.Certificate)) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"id.example.org"},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func TestTLS_FilesAreRead(t *testing.T) {
	cert, key := pemPair(t, func(*x509.Certificate) {})
	_, otherKey := pemPair(t, func(*x509.Certificate) {})
	elsewhere, elsewhereKey := pemPair(t, func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.example"} })
	old, oldKey := pemPair(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	both, bothKey := pemPair(t, func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "mtls.id.example.org") })
	ca, caKey := pemPair(t, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	const own, alias = "tls: { cert_file: cert, key_file: key }", "tls: { cert_file: cert, key_file: key }\nclient_certificates: { address: https://mtls.id.example.org }"
	authorities := func(b []byte) map[string][]byte { return map[string][]byte{"authorities": b} }
	const proxied = "client_certificates: { trusted_proxies: [10.0.0.7], authorities_file: authorities }"
	tests := []struct {
		name, top string
		files     map[string][]byte
		mode      os.FileMode // of key
		fault     string      // part of the message, or of a warning
		warning   bool
	}{
		{"a certificate and its key", own, map[string][]byte{"cert": cert, "key": key}, 0o600, "", false},
		{"others may read the key", own, map[string][]byte{"cert": cert, "key": key}, 0o640, "others than its owner may read or change \"key\" (mode 0640)", false},
		{"the key of another", own, map[string][]byte{"cert": cert, "key": otherKey}, 0o600, "do not belong together", false},
		{"an authority first", own, map[string][]byte{"cert": append(ca, cert...), "key": key}, 0o600, "do not belong together", false},
		{"the two swapped", own, map[string][]byte{"cert": key, "key": cert}, 0o600, "\"cert\" holds no certificate", false},
		{"no PEM", own, map[string][]byte{"cert": []byte("hunter2"), "key": key}, 0o600, "holds no certificate", false},
		{"a key that is none", own, map[string][]byte{"cert": cert, "key": []byte("hunter2")}, 0o600, "cannot be read", false},
		{"empty", own, map[string][]byte{"cert": nil, "key": key}, 0o600, "is empty", false},
		{"for another host", own, map[string][]byte{"cert": elsewhere, "key": elsewhereKey}, 0o600, "not for id.example.org", false},
		{"expired: a warning", own, map[string][]byte{"cert": old, "key": oldKey}, 0o600, "has expired", true},
		{"for the address of certificates too", alias, map[string][]byte{"cert": both, "key": bothKey}, 0o600, "", false},
		{"not for the address of certificates", alias, map[string][]byte{"cert": cert, "key": key}, 0o600, "not for mtls.id.example.org", false},
		{"an IP address for certificates", strings.Replace(alias, "mtls.id.example.org", "192.0.2.1", 1), map[string][]byte{"cert": cert, "key": key}, 0o600, "host name in the handshake", false},
		{"an authority", proxied, authorities(ca), 0, "", false},
		{"two authorities", proxied, authorities(append(ca, ca...)), 0, "", false},
		{"a service's certificate for an authority", proxied, authorities(append(ca, cert...)), 0, "no authority's", false},
		{"a key among the authorities", proxied, authorities(append(ca, caKey...)), 0, "not a certificate", false},
		{"authorities that are no PEM", proxied, authorities([]byte("hunter2")), 0, "holds no certificate", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.mode != 0 {
				if err := os.Chmod(filepath.Join(dir, "key"), tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Parse(filepath.Join(dir, "voussoir.yaml"), []byte(tt.top+"\n"+string(deploy.Example)), environment)
			text := ""
			if err != nil {
				text = err.Error()
			} else {
				text = got.Warnings.Error()
			}
			if (err == nil) != (tt.fault == "" || tt.warning) || !strings.Contains(text, tt.fault) || strings.Contains(text, "hunter2") {
				t.Fatalf("Parse = %v; want %q", text, tt.fault)
			}
			if err == nil && strings.HasPrefix(tt.top, "tls") && (got.TLS == nil || got.TLS.Leaf == nil) {
				t.Error("the certificate is not taken over")
			}
			if err == nil && tt.top == proxied && (got.ClientCertificates.Authorities == nil || got.ClientCertificates.Header != "Client-Cert") {
				t.Errorf("certificates: %+v", got.ClientCertificates)
			}
		})
	}
}

func TestLoad_MutualTLS(t *testing.T) {
	const top = `client_certificates: { trusted_proxies: [10.0.0.7, "2001:db8::/64"], header: X-Cert, authorities_file: authority.pem, address: https://mtls.id.example.org }`
	got, err := Parse("testdata/mistakes/x.yaml", []byte(top+"\n"+string(deploy.Example)), environment)
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("2001:db8::/64")}
	if c := got.ClientCertificates; !reflect.DeepEqual(c.Proxies, want) || c.Header != "X-Cert" || c.Address != "https://mtls.id.example.org" || c.Authorities == nil {
		t.Errorf("certificates: %+v", c)
	}
	const secrets = `    client_secret_sha256: "2f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"`
	dn, err := clients.ParseDN("CN=x,C=FR")
	if err != nil {
		t.Fatal(err)
	}
	for line, name := range map[string]clients.CertificateName{
		"subject_dn: \"CN=x,C=FR\"": {DN: dn}, "san_dns: x.example": {DNS: "x.example"}, "san_uri: urn:x": {URI: "urn:x"},
		"san_ip: 192.0.2.1": {IP: netip.MustParseAddr("192.0.2.1")}, "san_email: a@x.example": {Email: "a@x.example"},
	} {
		text := strings.Replace(string(deploy.Example), "token_endpoint_auth_method: client_secret_post ", "token_endpoint_auth_method: tls_client_auth ", 1)
		text = strings.Replace(text, secrets, "    tls_client_auth_"+line, 1)
		got, err := Parse("testdata/mistakes/x.yaml", []byte(top+"\n"+text), environment)
		if err != nil {
			t.Fatal(err)
		}
		if c, _ := got.Clients.Get("tax-api"); c.AuthMethod != clients.TLSClient || !reflect.DeepEqual(c.CertificateName, name) {
			t.Errorf("%s: %+v", line, c.CertificateName)
		}
	}
	text := strings.Replace(string(deploy.Example), "tls_client_certificate_bound_access_tokens: false", "tls_client_certificate_bound_access_tokens: true", 1)
	text = strings.Replace(text, "token_endpoint_auth_method: private_key_jwt\n    token_endpoint_auth_signing_alg: ES256", "token_endpoint_auth_method: self_signed_tls_client_auth", 1)
	if got, err = Parse("testdata/mistakes/x.yaml", []byte(top+"\n"+text), environment); err != nil {
		t.Fatal(err)
	}
	if c, _ := got.Clients.Get("tax-appeals"); c.AuthMethod != clients.SelfSignedTLS || !c.CertificateBound || len(c.JWKS) == 0 {
		t.Errorf("client: %+v", c)
	}
}
