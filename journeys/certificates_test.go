package journeys

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
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pki is an authority with its certificates as files.
type pki struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{t: t, dir: t.TempDir()}
	if err := os.Chmod(p.dir, 0o755); err != nil { // Apache's workers are another user when we are root
		t.Fatal(err)
	}
	a := p.issue("authority", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	p.cert, p.key = a.Leaf, a.PrivateKey.(crypto.Signer)
	p.issue("server", func(c *x509.Certificate) { c.DNSNames = []string{"localhost", "mtls.localhost"} })
	return p
}

// issue makes NAME.pem and NAME.key.
func (p *pki) issue(name string, change func(*x509.Certificate)) tls.Certificate {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Country: []string{"FR"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, crypto.Signer(key)
	if p.cert != nil {
		parent, signer = p.cert, p.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		p.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	for file, b := range map[string]pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(p.file(file), pem.EncodeToMemory(&b), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	sing("certificate", base64.StdEncoding.EncodeToString(der))
	sing("serial number of a certificate", leaf.SerialNumber.String())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) file(name string) string { return filepath.Join(p.dir, name) }

// caller trusts the authority and shows a certificate to whoever asks; every name
// leads to this machine, and it calls from the address from.
func (p *pki) caller(with *tls.Certificate, from string) *http.Transport {
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(p.cert)
	if with != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return with, nil }
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}
	p.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// jwksOf is the key of a certificate as a set.
func jwksOf(t *testing.T, c tls.Certificate) string {
	t.Helper()
	pub, err := c.Leaf.PublicKey.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "x": b64(pub[1:33]), "y": b64(pub[33:])}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(set)
}

// rfc9440 is a certificate in a header.
func rfc9440(c tls.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Leaf.Raw) + ":"
}

// TestInterop_OpenIDClient_MutualTLS_RFC8705: the broker terminates TLS itself; the
// library finds the endpoints for certificates in discovery, proves itself by one,
// and its token is worth nothing without it.
func TestInterop_OpenIDClient_MutualTLS_RFC8705(t *testing.T) {
	need(t, "node_modules/openid-client/package.json", "openid-client")
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	for name, auth := range map[string]string{
		"tls_client_auth":             "    token_endpoint_auth_method: tls_client_auth\n    tls_client_auth_subject_dn: CN=client,C=FR",
		"self_signed_tls_client_auth": "    token_endpoint_auth_method: self_signed_tls_client_auth\n    jwks: {jwks}",
		"a bound token and a secret":  secretAuth("client_secret_basic"),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPKI(t)
			auth := strings.ReplaceAll(auth, "{jwks}", jwksOf(t, p.issue("client", nil))) + "\n    tls_client_certificate_bound_access_tokens: true\n    require_par: true"
			const secret = "a-secret-of-the-broker-at-the-provider-01234567"
			port, idp, at := ports(t), ports(t), ports(t)
			broker, service := fmt.Sprintf("https://localhost:%d", port), fmt.Sprintf("http://127.0.0.1:%d", at)
			config := interopConfig(t, idp, secret, service+"/callback", auth) + fmt.Sprintf(`
tls: { cert_file: %[1]s/server.pem, key_file: %[1]s/server.key }
client_certificates: { authorities_file: %[1]s/authority.pem, address: "https://mtls.localhost:{port}" }
`, p.dir)
			config = strings.NewReplacer("issuer: http://localhost", "issuer: https://localhost", "{port}", fmt.Sprint(port), "{data}", p.file("data")).Replace(config)
			file := p.file("voussoir.yaml")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			run := launch(t, nil, "", binary(t, ""), "serve", "--config", file)
			eventually(t, "the broker serves", func() bool { return strings.Contains(run.out.String(), `"msg":"serving"`) })
			launch(t, []string{fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "CLIENT_SECRET=" + secret, "REDIRECT_URI=" + broker + "/callback/upstream"},
				fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", idp), node(t), "counterparts/oidc-provider.mjs")
			env := []string{
				fmt.Sprintf("PORT=%d", at), "ISSUER=" + broker, "CLIENT_ID=library", "CLIENT_SECRET=" + serviceSecret, "SCOPE=openid given_name age_over_16 email",
				"REQUEST=pushed", "AUTH=tls", "THEN=steal", "CA=" + p.file("authority.pem"), "CERT=" + p.file("client.pem"), "KEY=" + p.file("client.key"),
			}
			if strings.Contains(auth, "secret") {
				env = append(env, "AUTH=basic")
			}
			launch(t, env, service+"/ready", node(t), "counterparts/openid-client.mjs")
			c := newCitizen(t)
			c.http = p.caller(nil, "127.0.0.1") // a browser with no certificate, and HTTP/2
			r := decode(t, passThrough(c, service+"/start", nil))
			wantMinimal(t, r.UserInfo, false)
			if r.Then == nil || r.Then.UserInfo != 401.0 {
				t.Errorf("the token without its certificate: %+v", r.Then)
			}
		})
	}
}

// TestProxy_ApachePassesTheCertificate is docs/mutual-tls.md's way with a proxy, with
// counterparts/apache-mtls.conf in front of the broker.
func TestProxy_ApachePassesTheCertificate_RFC8705(t *testing.T) {
	need(t, "/usr/sbin/apache2", "Apache")
	need(t, "/usr/lib/apache2/modules/mod_ssl.so", "mod_ssl")
	p := newPKI(t)
	mine, own := p.issue("client", nil), p.issue("own", nil)
	port, front := ports(t), ports(t)
	auth := "    token_endpoint_auth_method: tls_client_auth\n    tls_client_auth_subject_dn: CN=client,C=FR\n    tls_client_certificate_bound_access_tokens: true"
	config := interopConfig(t, 1, "a-secret-of-the-broker-at-the-provider-01234567", "http://127.0.0.1:1/callback", auth) +
		"client_certificates: { authorities_file: " + p.file("authority.pem") + ", trusted_proxies: [127.0.0.1] }\n"
	config = strings.NewReplacer("issuer: http://localhost:{port}", fmt.Sprintf("issuer: https://localhost:%d", front), "{port}", fmt.Sprint(port), "{data}", p.file("data")).Replace(config)
	file := p.file("voussoir.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, fmt.Sprintf("http://127.0.0.1:%d/readyz", port), binary(t, ""), "serve", "--config", file)
	conf, err := filepath.Abs("counterparts/apache-mtls.conf")
	if err != nil {
		t.Fatal(err)
	}
	apache := launch(t, []string{fmt.Sprintf("PORT=%d", front), fmt.Sprintf("BROKER=%d", port), "DIR=" + p.dir}, "", "/usr/sbin/apache2", "-X", "-f", conf)
	direct, through := fmt.Sprintf("http://localhost:%d", port), fmt.Sprintf("https://localhost:%d", front)
	eventually(t, "Apache answers", func() bool {
		select {
		case <-apache.done:
			t.Fatal("Apache has ended")
		default:
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", front))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	// Who is proved is told that the code is none; everybody else that they are nobody.
	ask := func(tr *http.Transport, base string, h http.Header) string {
		t.Helper()
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"library"}, "code": {"x"}, "redirect_uri": {"http://127.0.0.1:1/callback"}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = fmt.Sprintf("localhost:%d", front)
		r.Header = h.Clone()
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Error string }
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		return answer.Error
	}
	spoof := http.Header{"Client-Cert": {rfc9440(mine)}}
	for _, tt := range []struct {
		name string
		with *tls.Certificate
		base string
		from string
		h    http.Header
		want string
	}{
		{"its certificate, through Apache", &mine, through, "127.0.0.1", http.Header{}, "invalid_grant"},
		{"no certificate", nil, through, "127.0.0.1", http.Header{}, "invalid_client"},
		{"another's", &own, through, "127.0.0.1", http.Header{}, "invalid_client"},
		{"no certificate, and the header by hand", nil, through, "127.0.0.1", spoof, "invalid_client"},
		{"another's, and the header by hand", &own, through, "127.0.0.1", spoof, "invalid_client"},
		{"no certificate, and Apache told to drop its own header", nil, through, "127.0.0.1", http.Header{"Client-Cert": spoof["Client-Cert"], "Connection": {"Client-Cert"}}, "invalid_client"},
		{"past Apache, with the header by hand", nil, direct, "127.0.0.2", spoof, "invalid_client"},
		{"past Apache, under its name", nil, direct, "127.0.0.2", http.Header{"Client-Cert": spoof["Client-Cert"], "X-Forwarded-For": {"127.0.0.1"}, "Forwarded": {"for=127.0.0.1"}}, "invalid_client"},
	} {
		if got := ask(p.caller(tt.with, tt.from), tt.base, tt.h); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// certificateClients adds clients that prove themselves by certificates, which come
// by the header of a proxy: the test's own.
func (w *truthWorld) certificateClients(t *testing.T, text *strings.Builder, client func(id, more string)) {
	t.Helper()
	p := newPKI(t)
	w.certificates = map[string]tls.Certificate{}
	for _, method := range []string{"tls_client_auth", "self_signed_tls_client_auth"} {
		w.certificates[method] = p.issue(method, nil)
	}
	fmt.Fprintf(text, "client_certificates: { authorities_file: %s, trusted_proxies: [127.0.0.1, \"::1\"] }\n", p.file("authority.pem"))
	client("tls_client_auth", "    token_endpoint_auth_method: tls_client_auth\n    tls_client_auth_subject_dn: CN=tls_client_auth,C=FR\n    tls_client_certificate_bound_access_tokens: true\n")
	client("self_signed_tls_client_auth", "    token_endpoint_auth_method: self_signed_tls_client_auth\n    tls_client_certificate_bound_access_tokens: true\n    jwks: "+
		jwksOf(t, w.certificates["self_signed_tls_client_auth"])+"\n")
}

// byCertificate proves a client that is called like its method.
func (w *truthWorld) byCertificate(method string) func(http.Header, url.Values) {
	return func(h http.Header, f url.Values) {
		h.Set("Client-Cert", rfc9440(w.certificates[method]))
		f.Set("client_id", method)
	}
}

// certificateBound tries tls_client_certificate_bound_access_tokens.
func (w *truthWorld) certificateBound(t *testing.T) {
	t.Helper()
	if w.doc["tls_client_certificate_bound_access_tokens"] != true || w.doc["mtls_endpoint_aliases"] != nil {
		t.Errorf("the document says %v, %v", w.doc["tls_client_certificate_bound_access_tokens"], w.doc["mtls_endpoint_aliases"])
	}
	delete(w.doc, "tls_client_certificate_bound_access_tokens")
	methods := w.list(t, "token_endpoint_auth_methods_supported")
	for method := range w.certificates {
		if !slices.Contains(methods, method) {
			t.Errorf("%s is not offered", method)
		}
		s := newService(t, w.broker, method)
		r := s.start("openid", nil)
		tk := w.token(t, s, r, w.signIn(t, s, r).Get("code"), w.byCertificate(method))
		for with, want := range map[string]int{method: 200, "": 401} {
			status, _, _ := w.ask(t, "/userinfo", nil, func(h http.Header) {
				h.Set("Authorization", "Bearer "+tk.AccessToken)
				if with != "" {
					h.Set("Client-Cert", rfc9440(w.certificates[with]))
				}
			})
			if status != want {
				t.Errorf("userinfo of %s, with %q: %d, want %d", method, with, status, want)
			}
		}
	}
}
