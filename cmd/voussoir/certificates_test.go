package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/provider"
)

// pki is an authority and what it has issued.
type pki struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(t *testing.T, dir string) *pki {
	p := &pki{t: t, dir: dir}
	chain := p.issue(nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "Authority", true, true
	})
	p.cert, p.key = chain.Leaf, chain.PrivateKey.(*ecdsa.PrivateKey)
	p.write("authorities.pem", 0o644, "CERTIFICATE", p.cert.Raw)
	return p
}

func (p *pki) issue(by *pki, change func(*x509.Certificate)) tls.Certificate {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	change(template)
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		p.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// service is a certificate of a client.
func (p *pki) service(name string) tls.Certificate {
	return p.issue(p, func(c *x509.Certificate) {
		c.Subject, c.ExtKeyUsage = pkix.Name{CommonName: name}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
}

// server writes a certificate of the broker and its key, and returns its number.
func (p *pki) server(names ...string) *big.Int {
	c := p.issue(p, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = names, []net.IP{net.IPv4(127, 0, 0, 1)} })
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("cert.pem", 0o644, "CERTIFICATE", c.Leaf.Raw)
	p.write("key.pem", 0o600, "PRIVATE KEY", der)
	return c.Leaf.SerialNumber
}

func (p *pki) write(name string, mode os.FileMode, kind string, der []byte) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		p.t.Fatal(err)
	}
}

// tlsClient is a client of the library that proves itself by a certificate.
const tlsClient = `clients:
  - id: certified
    name: { en: "Certified" }
    redirect_uris: [http://localhost:9/]
    policy: library
    token_endpoint_auth_method: tls_client_auth
    tls_client_auth_subject_dn: CN=certified
    tls_client_certificate_bound_access_tokens: true
`

// certificateConfig is the demo's configuration with top in front, and tlsClient.
func certificateConfig(t *testing.T, dir, top string, https bool) (file string, port int) {
	t.Helper()
	port = freePort(t)
	text := strings.Replace(string(demoConfig(port)), "clients:\n", tlsClient, 1)
	if https {
		text = strings.Replace(text, "issuer: http://", "issuer: https://", 1)
	}
	file = filepath.Join(dir, "voussoir.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(top, "{port}", fmt.Sprint(port))+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, port
}

// over serves b on its address as serve does, until the test ends.
func over(t *testing.T, b *broker) {
	t.Helper()
	l, err := listen(t.Context(), b.started.Listen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serveHTTP(ctx, b.speakTLS(l), b.handler, b.events, func() {}) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// caller connects to 127.0.0.1 under any name.
func (p *pki) caller(port int, cfg *tls.Config) *http.Client {
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(p.cert)
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	}}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetch(t *testing.T, c *http.Client, method, address string, form url.Values, h http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range h {
		r.Header[k] = v
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// proved reports whether an answer of /token to certified is about anything but who
// it is.
func proved(t *testing.T, resp *http.Response, body string) bool {
	t.Helper()
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	switch {
	case resp.StatusCode == 401 && answer.Error == "invalid_client":
		return false
	case resp.StatusCode == 400 && answer.Error == "invalid_grant":
		return true
	}
	t.Fatalf("%d %s", resp.StatusCode, body)
	return false
}

var certified = url.Values{
	"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {"http://localhost:9/"}, "client_id": {"certified"},
}

const ownTLSConfig = "tls: { cert_file: cert.pem, key_file: key.pem }\n"

func TestTLS_OfOurOwn_RFC9325_FAPI2(t *testing.T) {
	dir := t.TempDir()
	p := newPKI(t, dir)
	p.server("localhost")
	file, port := certificateConfig(t, dir, ownTLSConfig+"client_certificates: { authorities_file: authorities.pem }\n", true)
	over(t, newBroker(t, file, io.Discard))
	at := fmt.Sprintf("https://localhost:%d", port)
	suites := func(all []*tls.CipherSuite) (out []uint16) {
		for _, s := range all {
			out = append(out, s.ID)
		}
		return out
	}
	for name, tt := range map[string]struct {
		cfg *tls.Config
		ok  bool
	}{
		"1.3":                            {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"1.2":                            {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"1.1":                            {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"1.2 with CBC, RSA or 3DES only": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: suites(tls.InsecureCipherSuites())}, false},
		"1.2 with ChaCha20 only":         {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}}, false},
	} {
		resp, err := p.caller(port, tt.cfg).Get(at + "/healthz")
		if (err == nil) != tt.ok {
			t.Errorf("TLS %s: %v", name, err)
		}
		if err == nil {
			if _ = resp.Body.Close(); resp.ProtoMajor != 2 {
				t.Errorf("TLS %s: %s", name, resp.Proto)
			}
		}
	}
	resp, body := fetch(t, p.caller(port, &tls.Config{}), "GET", at+"/.well-known/openid-configuration", nil, nil)
	if resp.StatusCode != 200 || resp.Header.Get("Strict-Transport-Security") == "" || !strings.Contains(body, `"tls_client_auth"`) || strings.Contains(body, "mtls_endpoint_aliases") {
		t.Errorf("discovery: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	for name, tt := range map[string]struct {
		with []tls.Certificate
		want bool
	}{
		"its certificate": {[]tls.Certificate{p.service("certified")}, true}, "none": {nil, false},
		"another's":                      {[]tls.Certificate{p.service("other")}, false},
		"one of an authority of its own": {[]tls.Certificate{newPKI(t, t.TempDir()).service("certified")}, false},
	} {
		cfg := &tls.Config{}
		if tt.with != nil { // whatever authorities the broker names: it names none
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.with[0], nil }
		}
		resp, body := fetch(t, p.caller(port, cfg), "POST", at+"/token", certified, nil)
		if got := proved(t, resp, body); got != tt.want {
			t.Errorf("%s: proved = %v", name, got)
		}
	}
	// A header proves nothing where no proxy is trusted.
	c := p.service("certified")
	resp, body = fetch(t, p.caller(port, &tls.Config{}), "POST", at+"/token", certified, http.Header{"Client-Cert": {rfc9440(c)}})
	if proved(t, resp, body) {
		t.Error("a header was believed")
	}
}

func TestTLS_BrowsersAreNotAskedWhereThereIsAnAddressForCertificates_RFC8705_5(t *testing.T) {
	dir := t.TempDir()
	p := newPKI(t, dir)
	p.server("localhost", "mtls.localhost")
	file, port := certificateConfig(t, dir, ownTLSConfig+"client_certificates: { authorities_file: authorities.pem, address: \"https://mtls.localhost:{port}\" }\n", true)
	over(t, newBroker(t, file, io.Discard))
	asked := 0
	cert := p.service("certified")
	calls := p.caller(port, &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { asked++; return &cert, nil }})
	main, alias := fmt.Sprintf("https://localhost:%d", port), fmt.Sprintf("https://mtls.localhost:%d", port)

	resp, body := fetch(t, calls, "POST", main+"/token", certified, nil)
	if proved(t, resp, body) || asked != 0 {
		t.Errorf("at the issuer a certificate is asked for (%d)", asked)
	}
	resp, body = fetch(t, calls, "POST", alias+"/token", certified, nil)
	if !proved(t, resp, body) || asked != 1 {
		t.Errorf("at its own address none is asked for (%d)", asked)
	}
	// A host name in the request is no handshake.
	r, err := http.NewRequestWithContext(t.Context(), "POST", main+"/token", strings.NewReader(certified.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = fmt.Sprintf("mtls.localhost:%d", port)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if resp, err = calls.Do(r); err != nil || resp.StatusCode != 401 {
		t.Errorf("by the name in the request only: %v, %v", resp, err)
	}
	_ = resp.Body.Close()

	_, doc := fetch(t, calls, "GET", main+"/.well-known/openid-configuration", nil, nil)
	var metadata struct {
		Aliases map[string]string `json:"mtls_endpoint_aliases"`
	}
	if err := json.Unmarshal([]byte(doc), &metadata); err != nil || len(metadata.Aliases) != 5 {
		t.Fatalf("%v, %v", metadata, err)
	}
	for name, address := range metadata.Aliases {
		if resp, _ := fetch(t, calls, "POST", address, url.Values{}, nil); resp.StatusCode != 400 && resp.StatusCode != 401 {
			t.Errorf("%s is not served: %d", name, resp.StatusCode)
		}
	}
	for _, path := range []string{"/", "/authorize?client_id=library", "/jwks", "/.well-known/openid-configuration", "/static/style.css", "/login/x", "//token"} {
		resp, _ := fetch(t, calls, "GET", alias+path, nil, nil)
		if resp.StatusCode != http.StatusMisdirectedRequest || len(resp.Cookies()) != 0 {
			t.Errorf("%s is served at the address for certificates: %d", path, resp.StatusCode)
		}
	}
}

func TestTLS_CertificatesAreReadAgain_SIGHUP(t *testing.T) {
	dir := t.TempDir()
	p := newPKI(t, dir)
	first := p.server("localhost")
	file, port := certificateConfig(t, dir, ownTLSConfig+"client_certificates: { authorities_file: authorities.pem }\n", true)
	var events journal
	b := newBroker(t, file, &events)
	over(t, b)
	program := &program{getenv: os.Getenv}
	reload := func() { b.reloadFile(t.Context(), func() (*config.Loaded, error) { return program.load(file) }) }
	serial := func() *big.Int {
		c := p.caller(port, &tls.Config{})
		resp, err := c.Get(fmt.Sprintf("https://localhost:%d/healthz", port))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber
	}
	if got := serial(); got.Cmp(first) != 0 {
		t.Fatalf("serves %v, want %v", got, first)
	}
	second := p.server("localhost")
	if got := serial(); got.Cmp(first) != 0 {
		t.Error("a certificate was taken over unasked")
	}
	reload()
	if got := serial(); got.Cmp(second) != 0 {
		t.Errorf("serves %v after SIGHUP, want %v", got, second)
	}
	p.server("elsewhere.example")
	reload()
	if got := serial(); got.Cmp(second) != 0 || !strings.Contains(events.String(), "the certificate is not for localhost") {
		t.Errorf("serves %v after a mistake, want %v", got, second)
	}
	p.server("localhost")

	// An authority that is taken out counts no more.
	cert := p.service("certified")
	ask := func() bool {
		cfg := &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }}
		resp, body := fetch(t, p.caller(port, cfg), "POST", fmt.Sprintf("https://localhost:%d/token", port), certified, nil)
		return proved(t, resp, body)
	}
	if !ask() {
		t.Error("the certificate is not accepted")
	}
	other := newPKI(t, t.TempDir())
	p.write("authorities.pem", 0o644, "CERTIFICATE", other.cert.Raw)
	reload()
	if ask() {
		t.Error("an authority still counts after it was taken out")
	}

	// What needs a restart says so.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for old, says := range map[string]string{
		"tls: { cert_file: cert.pem, key_file: key.pem }\nclient_certificates: { ": "tls has changed, which needs a restart",
		"client_certificates: { ": "client_certificates has changed, which needs a restart",
	} {
		changed := strings.Replace(string(text), old, "client_certificates: { trusted_proxies: [192.0.2.1], ", 1)
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if reload(); !strings.Contains(events.String(), says) {
			t.Errorf("the log does not say %q", says)
		}
	}
}

func rfc9440(c tls.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Leaf.Raw) + ":"
}

// escapedPEM is nginx's $ssl_client_escaped_cert.
func escapedPEM(c tls.Certificate) string {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw}))
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "=", "%3D", "/", "%2F").Replace(text)
}

func TestCertificateHeader_RFC9440(t *testing.T) {
	p := newPKI(t, t.TempDir())
	a, b := p.service("a"), p.service("b")
	good := rfc9440(a)
	pemA := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Leaf.Raw}))
	huge := p.issue(p, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Value: make([]byte, 6200)}}
	})
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("2001:db8::/64")}
	tests := []struct {
		name, from string
		values     []string
		want       *x509.Certificate // nil: none
		fault      error
	}{
		{"as RFC 9440 writes it", "10.0.0.7:999", []string{good}, a.Leaf, nil},
		{"as PEM with URL escapes", "10.0.0.7:999", []string{escapedPEM(a)}, a.Leaf, nil},
		{"the same with what needs no escape left as it is", "10.0.0.7:999", []string{strings.ReplaceAll(url.PathEscape(pemA), "%2F", "/")}, a.Leaf, nil},
		{"from a proxy in a network", "[2001:db8::5]:999", []string{good}, a.Leaf, nil},
		{"from a proxy in its other spelling", "[::ffff:10.0.0.7]:999", []string{good}, a.Leaf, nil},
		{"not there", "10.0.0.7:999", nil, nil, nil},
		{"empty: the client had none", "10.0.0.7:999", []string{""}, nil, nil},
		{"an empty sequence", "10.0.0.7:999", []string{"::"}, nil, nil},
		{"not there, from a stranger", "192.0.2.66:999", nil, nil, nil},
		{"from a stranger", "192.0.2.66:999", []string{good}, nil, errStranger},
		{"from the neighbour of a proxy", "10.0.0.8:999", []string{good}, nil, errStranger},
		{"from nowhere", "", []string{good}, nil, errStranger},
		{"garbage from a stranger", "192.0.2.66:999", []string{"x"}, nil, errStranger},
		{"twice", "10.0.0.7:999", []string{good, good}, nil, errRepeated},
		{"the client's own, then the proxy's empty one", "10.0.0.7:999", []string{good, ""}, nil, errRepeated},
		{"in both forms", "10.0.0.7:999", []string{good, escapedPEM(a)}, nil, errRepeated},
		{"two, joined by a proxy", "10.0.0.7:999", []string{good + ", " + rfc9440(b)}, nil, errHeader},
		{"with a parameter", "10.0.0.7:999", []string{good + ";x=1"}, nil, errHeader},
		{"without its end", "10.0.0.7:999", []string{strings.TrimSuffix(good, ":")}, nil, errHeader},
		{"base64 without its signs", "10.0.0.7:999", []string{strings.Trim(good, ":")}, nil, errHeader},
		{"base64 of the other alphabet", "10.0.0.7:999", []string{":" + base64.URLEncoding.EncodeToString(a.Leaf.Raw) + "-_:"}, nil, errHeader},
		{"with something after the certificate", "10.0.0.7:999", []string{":" + base64.StdEncoding.EncodeToString(append(slices.Clone(a.Leaf.Raw), 0)) + ":"}, nil, errHeader},
		{"two certificates in one sequence", "10.0.0.7:999", []string{":" + base64.StdEncoding.EncodeToString(append(slices.Clone(a.Leaf.Raw), b.Leaf.Raw...)) + ":"}, nil, errHeader},
		{"a chain in PEM", "10.0.0.7:999", []string{escapedPEM(a) + escapedPEM(b)}, nil, errHeader},
		{"PEM with something before it", "10.0.0.7:999", []string{"x" + escapedPEM(a)}, nil, errHeader},
		{"PEM of another kind", "10.0.0.7:999", []string{strings.ReplaceAll(escapedPEM(a), "CERTIFICATE", "PUBLIC%20KEY")}, nil, errHeader},
		{"PEM with headers", "10.0.0.7:999", []string{strings.Replace(escapedPEM(a), "-----%0A", "-----%0AX:%20y%0A%0A", 1)}, nil, errHeader},
		{"a broken escape", "10.0.0.7:999", []string{escapedPEM(a) + "%0"}, nil, errHeader},
		{"a placeholder that the proxy did not replace", "10.0.0.7:999", []string{":{http.request.tls.client.certificate_der_base64}:"}, nil, errHeader},
		{"(null)", "10.0.0.7:999", []string{"(null)"}, nil, errHeader},
		{"huge", "10.0.0.7:999", []string{rfc9440(huge)}, nil, errHeader},
		{"a name in place of a certificate", "10.0.0.7:999", []string{"CN=a"}, nil, errHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/token", nil)
			r.RemoteAddr, r.Header["Client-Cert"] = tt.from, tt.values
			// What else such requests carry is of no effect.
			r.Header.Set("X-Forwarded-For", "10.0.0.7")
			r.Header.Set("Forwarded", "for=10.0.0.7")
			r.Header.Set("Client-Cert-Chain", good)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{b.Leaf}} // the proxy's own
			chain, err := proxied{header: "Client-Cert", proxies: trusted}.of(r)
			if err != tt.fault || (len(chain) == 1) != (tt.want != nil) || tt.want != nil && !chain[0].Equal(tt.want) { //nolint:errorlint // the very value
				t.Errorf("got %d certificates, %v; want %v", len(chain), err, tt.fault)
			}
		})
	}
}

// TestCertificateHeader_AnAttackerWhoSendsItGetsNothing goes through the whole
// broker, once with the tester as the trusted proxy and once not.
func TestCertificateHeader_AnAttackerWhoSendsItGetsNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		proxies string
		want    bool
	}{"who is the proxy": {"127.0.0.1", true}, "who is not": {"192.0.2.1, 2001:db8::/48", false}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := newPKI(t, dir)
			file, port := certificateConfig(t, dir, "client_certificates: { authorities_file: authorities.pem, header: X-SSL-Cert, trusted_proxies: ["+tt.proxies+"] }\n", false)
			var events journal
			over(t, newBroker(t, file, &events))
			cert := p.service("certified")
			for form, value := range map[string]string{"X-SSL-Cert": rfc9440(cert), "x-ssl-cert": escapedPEM(cert)} {
				resp, body := fetch(t, http.DefaultClient, "POST", fmt.Sprintf("http://localhost:%d/token", port), certified, http.Header{form: {value}})
				if got := proved(t, resp, body); got != tt.want {
					t.Errorf("%s: proved = %v", form, got)
				}
			}
			for _, other := range []string{"Client-Cert", "X_SSL_Cert", "X-SSL-Cert-Chain"} {
				resp, body := fetch(t, http.DefaultClient, "POST", fmt.Sprintf("http://localhost:%d/token", port), certified, http.Header{other: {rfc9440(cert)}})
				if proved(t, resp, body) {
					t.Errorf("%s is believed as well", other)
				}
			}
			if says := "no trusted proxy"; strings.Contains(events.String(), says) == tt.want {
				t.Errorf("the log: %s", events.String())
			}
			if strings.Contains(events.String(), "CN=") || strings.Contains(events.String(), base64.StdEncoding.EncodeToString(cert.Leaf.Raw)[:64]) {
				t.Error("a certificate is in the log")
			}
		})
	}
}

func TestAliased_LeavesForeignNamesAlone(t *testing.T) {
	var host string
	h := aliased("https://mtls.example", "https://id.example", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host = r.Host }))
	for in, want := range map[string]string{
		"mtls.example /token": "id.example", "MTLS.example:443 /token": "id.example", "mtls.example /authorize": "mtls.example",
		"evil.example /token": "evil.example", "mtls.example.evil.example /token": "mtls.example.evil.example", "mtls.example:8443 /token": "mtls.example:8443",
		"id.example /token": "id.example", "mtls.example //token": "mtls.example",
	} {
		name, path, _ := strings.Cut(in, " ")
		r := httptest.NewRequest("POST", "http://x/", nil)
		r.Host, r.URL.Path = name, path
		h.ServeHTTP(httptest.NewRecorder(), r)
		if host != want || r.Host != name {
			t.Errorf("%s: passed on as %s, want %s", in, host, want)
		}
	}
	if len(provider.AliasPaths()) != 5 {
		t.Error("an alias was added: which of its answers name the host?")
	}
}

// FuzzCertificateHeader: whatever a header holds, what comes out of it is one
// certificate, and the same bytes again.
func FuzzCertificateHeader(f *testing.F) {
	for _, s := range []string{"::", ":AAAA:", "-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----%0A", "%", "(null)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := &http.Request{RemoteAddr: "10.0.0.7:1", Header: http.Header{"Client-Cert": {value}}}
		chain, err := proxied{header: "Client-Cert", proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}}.of(r)
		if len(chain) > 1 || err != nil && len(chain) > 0 {
			t.Errorf("%d certificates, %v", len(chain), err)
		}
	})
}
