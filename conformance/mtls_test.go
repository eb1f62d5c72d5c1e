package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFapi2ByCertificate(t *testing.T) { runPlan(t, "TestFapi2ByCertificate") }

func TestFapi2BoundToCertificate(t *testing.T) { runPlan(t, "TestFapi2BoundToCertificate") }

// authority issues certificates: for the broker, which then speaks TLS itself, and for
// clients.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	own := a.issue(t, "authorities", true)
	a.cert, a.key = own.Leaf, own.PrivateKey.(*ecdsa.PrivateKey)
	a.issue(t, "fullchain", false)
	return a
}

// issue makes a certificate and its key, also as files NAME.pem and key.pem. Before
// the authority has a certificate of its own they vouch for themselves.
func (a *authority) issue(t *testing.T, name string, isAuthority bool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour), IsCA: isAuthority, BasicConstraintsValid: true,
	}
	parent, signer := template, crypto.Signer(key)
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// transport trusts the authority and shows a certificate to whoever asks; the zero
// certificate is none.
func (a *authority) transport(t *testing.T, with tls.Certificate) *http.Transport {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	if a == nil {
		return tr
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	tr.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &with, nil
	}}
	return tr
}

// certified is the same client, connecting with this certificate; the zero certificate
// is none.
func (c *client) certified(t *testing.T, with tls.Certificate) *client {
	t.Helper()
	other := *c
	other.via = &http.Client{Timeout: 30 * time.Second, Transport: c.trusts.transport(t, with)}
	return &other
}

// keySetOf is the key of a certificate as a set.
func keySetOf(t *testing.T, c tls.Certificate) string {
	t.Helper()
	point, err := c.Leaf.PublicKey.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return string(encode(t, map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "x": b64(point[1:33]), "y": b64(point[33:])}}}))
}

// mtlsSuite is fapi2Suite over the broker's own TLS, with tokens that are bound to
// certificates. With byCertificate the clients prove themselves by these too: the
// first by one that it signed itself, the second by one of an authority.
func mtlsSuite(t *testing.T, byCertificate bool) *suite {
	t.Helper()
	a := newAuthority(t)
	first, second := new(authority).issueFor(t, "first"), a.issueFor(t, "second")
	clients, rings := fapiClients(t)
	bound := "    profile: fapi2\n" + documented(t, "certificate lines")
	clients = strings.ReplaceAll(clients, "    profile: fapi2\n", bound)
	if byCertificate {
		one, two, _ := strings.Cut(clients, "  - id: second\n")
		jwks := func(id string) string { return "    jwks: " + string(jwks(t, rings[id])) + "\n" }
		one = strings.Replace(one, jwks("first"), strings.ReplaceAll(documented(t, "self-signed lines"), "PUBLIC-KEY-OF-THE-CERTIFICATE", keySetOf(t, first)), 1)
		two = strings.Replace(two, jwks("second"), documented(t, "authority lines"), 1)
		clients = one + "  - id: second\n" + two
	}
	s := &suite{op: startTLS(t, clients, a), pkce: true, pushed: true}
	for id, cert := range map[string]tls.Certificate{"first": first, "second": second} {
		c := (&client{op: s.op, id: id, ring: rings[id], alg: "ES256", redirect: fapiRedirects()[id], bearer: cert}).certified(t, cert)
		if byCertificate {
			c.ring, c.byCertificate = nil, true
		}
		if id == "first" {
			s.first = c
		} else {
			s.second = c
		}
	}
	return s
}

// issueFor is issue with files that nobody reads.
func (a *authority) issueFor(t *testing.T, name string) tls.Certificate {
	t.Helper()
	apart := &authority{dir: t.TempDir(), cert: a.cert, key: a.key}
	return apart.issue(t, name, false)
}

// without are the modules that the suite leaves out of a variant of a plan: those
// whose name has one of these words.
func without(modules []module, words ...string) []module {
	return slices.DeleteFunc(slices.Clone(modules), func(m module) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(m.name, word) })
	})
}

// only are the tests of some modules, with others in place of some.
func only(tests map[string]test, modules []module, instead map[string]test) map[string]test {
	out := map[string]test{}
	for _, m := range modules {
		if run := tests[m.name]; run != nil {
			out[m.name] = run
		}
		if run := instead[m.name]; run != nil {
			out[m.name] = run
		}
	}
	return out
}

// certificateTests are the modules that ask something else where tokens are bound to
// certificates.
func certificateTests() map[string]test {
	return named(map[string]test{
		"discovery-end-point-verification": func(t *testing.T, s *suite) {
			fapiDiscovery(t, s)
			if s.metadata["tls_client_certificate_bound_access_tokens"] != true || !slices.Contains(s.list("token_endpoint_auth_methods_supported"), "tls_client_auth") {
				t.Errorf("discovery has %v", s.metadata)
			}
			oldTLS(t, s)
		},
		"ensure-holder-of-key-required": certificateRequired,
		"refresh-token":                 fapiRefreshToken,
		"happy-flow":                    boundHappyFlow,
	})
}

// oldTLS tries what FAPI 2.0 section 5.2.1 and BCP 195 rule out.
func oldTLS(t *testing.T, s *suite) {
	t.Helper()
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.0": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		"TLS 1.1": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 },
		"a cipher without forward secrecy": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		},
		"a cipher with CBC": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		},
		"TLS 1.2": func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
	} {
		tr := s.trusts.transport(t, tls.Certificate{})
		change(tr.TLSClientConfig)
		resp, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Get(s.issuer + "/jwks")
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != (name == "TLS 1.2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC 8705 section 3.1: an access token that is bound to a certificate says so to
// whoever may ask.
func boundHappyFlow(t *testing.T, s *suite) {
	fapiHappyFlow(t, s)
	x := s.signIn(t, s.browser(t), s.request(s.first))
	answer := s.first.send(t, http.MethodPost, "/introspect", map[string][]string{"token": {x.access}})
	var cnf struct {
		Thumbprint string `json:"x5t#S256"`
	}
	_ = json.Unmarshal(encode(t, answer.body["cnf"]), &cnf) // no object: no thumbprint
	sum := sha256.Sum256(s.first.bearer.Leaf.Raw)
	if want := base64.RawURLEncoding.EncodeToString(sum[:]); answer.body["active"] != true || cnf.Thumbprint != want {
		t.Errorf("introspection says %v, want the thumbprint %s", answer.body, want)
	}
	if !strings.EqualFold(x.scheme(), "Bearer") {
		t.Errorf("token_type is %s", x.scheme())
	}
}

// RFC 8705 section 3: no token without a certificate, and no use of one without that
// very certificate.
func certificateRequired(t *testing.T, s *suite) {
	r := s.request(s.first)
	x := s.code(t, s.browser(t), r)
	s.first.unproved(t, s.first.certified(t, tls.Certificate{}).redeem(t, x.code, r.verifier))
	x = s.spend(t, r, x) // the code is still good
	for name, thief := range map[string]*client{
		"without a certificate": s.first.certified(t, tls.Certificate{}), "with another one": s.first.certified(t, new(authority).issueFor(t, "first")),
		"with that of another client": s.first.certified(t, s.second.bearer),
	} {
		if got := thief.userinfo(t, http.MethodGet, "Bearer", x.access); got.status != http.StatusUnauthorized {
			t.Errorf("a bound token %s: %d", name, got.status)
		}
	}
}

// unproved checks the answer to a client without its proof of possession.
func (c *client) unproved(t *testing.T, r reply) {
	t.Helper()
	if c.byCertificate {
		r.says(t, http.StatusUnauthorized, "invalid_client")
		return
	}
	r.says(t, http.StatusBadRequest, "invalid_request", "invalid_dpop_proof")
}
