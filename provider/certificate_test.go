package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// certHolder is a certificate and its key.
type certHolder struct {
	cert *x509.Certificate
	key  crypto.Signer
	sent []*x509.Certificate // with the certificate, in the handshake
}

func (h *certHolder) forTLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: h.key, Certificate: [][]byte{h.cert.Raw}}
	for _, more := range h.sent {
		c.Certificate = append(c.Certificate, more.Raw)
	}
	return c
}

func (h *certHolder) thumbprint() string {
	sum := sha256.Sum256(h.cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var libraryName = pkix.Name{CommonName: "library", Organization: []string{"Ville de Lyon"}, Country: []string{"FR"}}

// certify makes a certificate of one hour around now; by is its authority, nil: itself.
func certify(t testing.TB, by *certHolder, now time.Time, change func(*x509.Certificate)) *certHolder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certifyKey(t, key, by, now, change)
}

func certifyKey(t testing.TB, key crypto.Signer, by *certHolder, now time.Time, change func(*x509.Certificate)) *certHolder {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: libraryName, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certHolder{cert: cert, key: key}
}

func authority(t testing.TB, by *certHolder, name string, now time.Time) *certHolder {
	t.Helper()
	return certify(t, by, now, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage, c.KeyUsage = pkix.Name{CommonName: name}, true, true, nil, x509.KeyUsageCertSign
	})
}

// tlsWorld is a world behind real TLS that asks for certificates, with clients that
// have some.
type tlsWorld struct {
	*world
	tls       *httptest.Server
	authority *certHolder
	library   *certHolder // of tls-library, by its subject
	own       *certHolder // self-signed, of own-library
}

func newTLSWorld(t *testing.T) *tlsWorld {
	t.Helper()
	w := &tlsWorld{world: newWorld(t)}
	now := w.p.Now()
	w.authority = authority(t, nil, "Authority", now)
	w.library, w.own = certify(t, w.authority, now, nil), certify(t, nil, now, nil)
	registered, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: w.own.cert.PublicKey, KeyID: "tls", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	dn, err := clients.ParseDN("CN=library,O=Ville de Lyon,C=FR")
	if err != nil {
		t.Fatal(err)
	}
	byName := func(id protocol.ClientID, name clients.CertificateName) *clients.Client {
		return &clients.Client{
			ID: id, RedirectURIs: []string{redirect}, AuthMethod: clients.TLSClient, CertificateName: name, CertificateBound: true,
			RequirePKCE: true, RequireNonce: true, RequireState: true, Sector: "rp.example",
		}
	}
	own := byName("own-library", clients.CertificateName{})
	own.AuthMethod, own.JWKS = clients.SelfSignedTLS, registered
	unbound := byName("unbound", clients.CertificateName{DN: dn})
	unbound.CertificateBound = false
	secretive := *testClients()[0]
	secretive.ID, secretive.CertificateBound = "secretive", true
	jwt := byName("jwt-library", clients.CertificateName{DN: dn})
	jwt.AccessTokenFormat = clients.JWT
	w.set = clients.NewSet(append(testClients(), byName("tls-library", clients.CertificateName{DN: dn}), own, unbound, jwt, &secretive,
		byName("by-host", clients.CertificateName{DNS: "library.example"}), byName("by-address", clients.CertificateName{URI: "https://library.example/x"}),
		byName("by-ip", clients.CertificateName{IP: netip.MustParseAddr("192.0.2.1")}), byName("by-mailbox", clients.CertificateName{Email: "a@library.example"}),
	)...)
	pool := x509.NewCertPool()
	pool.AddCert(w.authority.cert)
	w.p.Certificates = &Certificates{
		Of:          func(r *http.Request) ([]*x509.Certificate, error) { return r.TLS.PeerCertificates, nil },
		Authorities: func() *x509.CertPool { return pool },
	}
	w.tls = httptest.NewUnstartedServer(w.p)
	w.tls.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	w.tls.EnableHTTP2 = true
	w.tls.StartTLS()
	t.Cleanup(w.tls.Close)
	return w
}

// send sends r over a connection of its own, with h's certificate if h is not nil.
func (w *tlsWorld) send(r *http.Request, h *certHolder) reply {
	w.t.Helper()
	transport := w.tls.Client().Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	if h != nil {
		chain := h.forTLS()
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &chain, nil }
	}
	target, err := url.Parse(w.tls.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", target.Scheme, target.Host
	resp, err := transport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// redeemAs redeems a code of the client with this certificate.
func (w *tlsWorld) redeemAs(id string, h *certHolder, changes ...string) reply {
	w.t.Helper()
	code := w.code(func(g *login.Grant) { g.Client = protocol.ClientID(id) })
	return w.send(post(PathToken, tokenForm(code, append([]string{"client_id", id}, changes...)...)), h)
}

func (w *tlsWorld) token(id string, h *certHolder) string {
	w.t.Helper()
	got := w.redeemAs(id, h)
	if got.status != 200 {
		w.t.Fatalf("%s: got %d %s", id, got.status, got.body)
	}
	return got.json(w.t)["access_token"].(string)
}

func (w *tlsWorld) userinfoAs(token string, h *certHolder) reply {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, PathUserInfo, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return w.send(r, h)
}

func TestMutualTLS_ByAnAuthority_RFC8705_2_1(t *testing.T) {
	w := newTLSWorld(t)
	now := w.p.Now()
	issued := func(change func(*x509.Certificate)) *certHolder { return certify(t, w.authority, now, change) }
	between := authority(t, w.authority, "Between", now)
	below := certify(t, between, now, nil)
	belowSent := &certHolder{cert: below.cert, key: below.key, sent: []*x509.Certificate{between.cert}}
	namesake := authority(t, nil, "Authority", now) // another key under the authority's name
	leafAsAuthority := certify(t, w.library, now, nil)
	leafAsAuthority.sent = []*x509.Certificate{w.library.cert}
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	named := func(name pkix.Name) *certHolder { return issued(func(c *x509.Certificate) { c.Subject = name }) }
	san := issued(func(c *x509.Certificate) {
		u, err := url.Parse("https://library.example/x")
		if err != nil {
			t.Fatal(err)
		}
		c.Subject, c.DNSNames, c.URIs = pkix.Name{CommonName: "x"}, []string{"library.example"}, []*url.URL{u}
		c.IPAddresses, c.EmailAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}, []string{"a@library.example"}
	})
	tests := []struct {
		name, client string
		with         *certHolder
		changes      []string
		ok           bool
	}{
		{"its certificate", "tls-library", w.library, nil, true},
		{"another one of the same name and authority: renewed", "tls-library", issued(nil), nil, true},
		{"one by an authority between, sent along", "tls-library", belowSent, nil, true},
		{"without extended key usage: for anything", "tls-library", issued(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), nil, true},
		{"by its host", "by-host", san, nil, true},
		{"by its address", "by-address", san, nil, true},
		{"by its IP address", "by-ip", san, nil, true},
		{"by its mailbox", "by-mailbox", san, nil, true},
		{"none", "tls-library", nil, nil, false},
		{"of another name", "tls-library", named(pkix.Name{CommonName: "library", Organization: []string{"Ville de Lyon"}}), nil, false},
		{"of the same name in other letters", "tls-library", named(pkix.Name{CommonName: "LIBRARY", Organization: []string{"Ville de Lyon"}, Country: []string{"FR"}}), nil, false},
		{"of the name and more", "tls-library", named(pkix.Name{CommonName: "library", Organization: []string{"Ville de Lyon"}, OrganizationalUnit: []string{"x"}, Country: []string{"FR"}}), nil, false},
		{"with the name as a host only", "tls-library", issued(func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{}, []string{"library"} }), nil, false},
		{"by another authority of the same name", "tls-library", certify(t, namesake, now, nil), nil, false},
		{"by another authority, sent along", "tls-library", func() *certHolder {
			h := certify(t, namesake, now, nil)
			h.sent = []*x509.Certificate{namesake.cert}
			return h
		}(), nil, false},
		{"by an authority between, not sent along", "tls-library", below, nil, false},
		{"by another client, which is no authority", "tls-library", leafAsAuthority, nil, false},
		{"self-signed under the name", "tls-library", certify(t, nil, now, nil), nil, false},
		{"expired", "tls-library", issued(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), nil, false},
		{"not valid yet", "tls-library", issued(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }), nil, false},
		{"for servers", "tls-library", issued(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), nil, false},
		{"with a critical extension that we do not know", "tls-library", issued(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), nil, false},
		{"with an RSA key of 1024 bits", "tls-library", certifyKey(t, weakKey, w.authority, now, nil), nil, false},
		{"without client_id", "tls-library", w.library, []string{"client_id", "-"}, false},
		{"of another client", "by-host", w.library, nil, false},
		{"Z16 and a secret beside it", "tls-library", w.library, []string{"client_secret", secret}, false},
		{"Z16 and a broken assertion beside it", "tls-library", w.library, []string{"client_assertion", "x", "client_assertion_type", assertionType}, false},
		{"Z16 for a client of a secret", "library", w.library, nil, false},
		{"Z16 for a client of private_key_jwt", "jwt", w.library, nil, false},
		{"Z16 for a client of self_signed_tls_client_auth", "own-library", w.library, nil, false},
		{"for nobody", "tls-library", w.library, []string{"client_id", "nobody"}, false},
	}
	refusal := ""
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.redeemAs(tt.client, tt.with, tt.changes...)
			if tt.ok {
				if got.status != 200 {
					t.Errorf("got %d %s", got.status, got.body)
				}
				return
			}
			wantError(t, got, 401, "invalid_client")
			if refusal == "" {
				refusal = got.body
			}
			if got.body != refusal {
				t.Errorf("the answer differs: %s", got.body)
			}
		})
	}
	if logs := w.logs.String(); strings.Contains(logs, "Lyon") || strings.Contains(logs, "library.example") {
		t.Errorf("the log quotes a certificate: %s", logs)
	}
	t.Run("its certificate, once the clock has passed its end", func(t *testing.T) {
		w.advance(2 * time.Hour)
		wantError(t, w.redeemAs("tls-library", w.library), 401, "invalid_client")
	})
	t.Run("no authority at all: not the system's either", func(t *testing.T) {
		w.p.Certificates.Authorities = func() *x509.CertPool { return nil }
		wantError(t, w.redeemAs("tls-library", issued(nil)), 401, "invalid_client")
	})
}

func TestMutualTLS_SelfSigned_RFC8705_2_2(t *testing.T) {
	w := newTLSWorld(t)
	now := w.p.Now()
	past := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-48*time.Hour), now.Add(-24*time.Hour) }
	for name, h := range map[string]*certHolder{
		"its certificate": w.own, "the same key in an expired one: nobody vouched for the dates": certifyKey(t, w.own.key, nil, now, past),
		"the same key, by an authority": certifyKey(t, w.own.key, w.authority, now, nil),
	} {
		if got := w.redeemAs("own-library", h); got.status != 200 {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	for name, h := range map[string]*certHolder{
		"none": nil, "another key under the same name": certify(t, nil, now, nil), "another key by an authority": w.library,
	} {
		t.Run(name, func(t *testing.T) { wantError(t, w.redeemAs("own-library", h), 401, "invalid_client") })
	}
	t.Run("keys that cannot be fetched are no no", func(t *testing.T) {
		w.p.ClientKeys = func(*clients.Client) (KeySet, error) { return deadKeys{}, nil }
		wantUnavailable(t, w.redeemAs("own-library", w.own))
	})
	t.Run("keys that nobody knows are no no", func(t *testing.T) {
		w.p.ClientKeys = func(*clients.Client) (KeySet, error) { return nil, errors.New("gone") }
		wantUnavailable(t, w.redeemAs("own-library", w.own))
	})
}

func (deadKeys) Holds(_ context.Context, _ crypto.PublicKey) (bool, error) {
	return false, keys.ErrUnavailable
}

func TestMutualTLS_AStolenTokenOpensNothing_RFC8705_3(t *testing.T) {
	w := newTLSWorld(t)
	renewed := certify(t, w.authority, w.p.Now(), nil)
	for id, h := range map[string]*certHolder{"tls-library": w.library, "own-library": w.own, "jwt-library": w.library} {
		token := w.token(id, h)
		if got := w.userinfoAs(token, h); got.status != 200 || !strings.Contains(got.body, canary) {
			t.Errorf("%s with its certificate: got %d", id, got.status)
		}
		for name, thief := range map[string]*certHolder{"none": nil, "another of the same name": renewed, "a self-signed one": certify(t, nil, w.p.Now(), nil)} {
			got := w.userinfoAs(token, thief)
			wantError(t, got, 401, "invalid_token")
			if challenge := got.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) || strings.Contains(got.body, canary) {
				t.Errorf("%s, %s: %q %s", id, name, challenge, got.body)
			}
		}
	}
	var claims struct {
		Confirm map[string]string `json:"cnf"`
	}
	if err := json.Unmarshal(claimsOf(t, w.token("jwt-library", w.library)), &claims); err != nil || claims.Confirm["x5t#S256"] != w.library.thumbprint() || len(claims.Confirm) != 1 {
		t.Errorf("cnf = %v, %v", claims.Confirm, err)
	}
}

func TestMutualTLS_OnlyWhoIsRegisteredForItIsBound_RFC8705_3_4(t *testing.T) {
	w := newTLSWorld(t)
	if got := w.userinfoAs(w.token("unbound", w.library), nil); got.status != 200 {
		t.Errorf("a token that is not bound needs no certificate: got %d", got.status)
	}
	// Bound, and proved by a secret: any certificate will do, since it proves nothing but itself.
	code := func() url.Values {
		return tokenForm(w.code(func(g *login.Grant) { g.Client = "secretive" }))
	}
	own := certify(t, nil, w.p.Now(), nil)
	r := post(PathToken, code())
	basic(r, "secretive", secret)
	got := w.send(r, own)
	if got.status != 200 || got.json(t)["token_type"] != "Bearer" {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	token := got.json(t)["access_token"].(string)
	if got := w.userinfoAs(token, own); got.status != 200 {
		t.Errorf("with its certificate: got %d", got.status)
	}
	wantError(t, w.userinfoAs(token, nil), 401, "invalid_token")
	form := code()
	r = post(PathToken, form)
	basic(r, "secretive", secret)
	wantError(t, w.send(r, nil), 400, "invalid_request")
	r = post(PathToken, form)
	basic(r, "secretive", secret)
	if got := w.send(r, own); got.status != 200 {
		t.Errorf("the request without a certificate has burnt the code: %d %s", got.status, got.body)
	}
}

func TestMutualTLS_EveryEndpointOfClients_RFC8705_2(t *testing.T) {
	w := newTLSWorld(t)
	token := w.token("tls-library", w.library)
	ask := func(path string, h *certHolder, form url.Values) reply {
		form.Set("client_id", "tls-library")
		return w.send(post(path, form), h)
	}
	stranger := certify(t, nil, w.p.Now(), nil)
	for _, path := range []string{PathPAR, PathIntrospect, PathRevoke} {
		wantError(t, ask(path, stranger, url.Values{"token": {token}}), 401, "invalid_client")
	}
	if got := ask(PathPAR, w.library, request()); got.status != 201 {
		t.Errorf("pushed: got %d %s", got.status, got.body)
	}
	got := ask(PathIntrospect, w.library, url.Values{"token": {token}}).json(t)
	if cnf, _ := got["cnf"].(map[string]any); got["active"] != true || cnf["x5t#S256"] != w.library.thumbprint() || got["token_type"] != "Bearer" {
		t.Errorf("introspected: %v", got)
	}
	if got := ask(PathRevoke, w.library, url.Values{"token": {token}}); got.status != 200 {
		t.Errorf("revoked: got %d %s", got.status, got.body)
	}
	wantError(t, w.userinfoAs(token, w.library), 401, "invalid_token")
}

func TestMutualTLS_ACertificateThatMustNotBeBelievedIsNone(t *testing.T) {
	w := newTLSWorld(t)
	token := w.token("tls-library", w.library)
	w.p.Certificates.Of = func(r *http.Request) ([]*x509.Certificate, error) {
		return r.TLS.PeerCertificates, errors.New("header from a stranger")
	}
	wantError(t, w.redeemAs("tls-library", w.library), 401, "invalid_client")
	wantError(t, w.userinfoAs(token, w.library), 401, "invalid_token")
}

func TestMetadata_MutualTLS_RFC8705_3_3_5(t *testing.T) {
	pool := x509.NewCertPool()
	tests := []struct {
		name    string
		from    *Certificates
		methods []any
		bound   any
		token   string
	}{
		{"no certificate can arrive", nil, nil, nil, ""},
		{"no authority", &Certificates{Authorities: func() *x509.CertPool { return nil }}, []any{"self_signed_tls_client_auth"}, true, ""},
		{"authorities, at an address of its own", &Certificates{Authorities: func() *x509.CertPool { return pool }, Address: "https://mtls.broker.example"},
			[]any{"tls_client_auth", "self_signed_tls_client_auth"}, true, "https://mtls.broker.example/token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.p.Certificates = tt.from
			doc := w.do(get(PathDiscovery, nil)).json(t)
			for _, member := range []string{"token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported", "introspection_endpoint_auth_methods_supported"} {
				want := append([]any{"client_secret_basic", "client_secret_post", "private_key_jwt"}, tt.methods...)
				if member != "introspection_endpoint_auth_methods_supported" {
					want = append(want, "none") // public clients have nothing to ask there
				}
				if got, _ := doc[member].([]any); !slices.Equal(got, want) {
					t.Errorf("%s = %v, want %v", member, got, want)
				}
			}
			if doc["tls_client_certificate_bound_access_tokens"] != tt.bound {
				t.Errorf("bound = %v", doc["tls_client_certificate_bound_access_tokens"])
			}
			aliases, _ := doc["mtls_endpoint_aliases"].(map[string]any)
			if got, _ := aliases["token_endpoint"].(string); got != tt.token || len(aliases) != 0 && len(aliases) != len(AliasPaths()) {
				t.Errorf("aliases = %v", aliases)
			}
			for _, a := range aliases {
				if path, ok := strings.CutPrefix(a.(string), "https://mtls.broker.example"); !ok || !slices.Contains(AliasPaths(), path) {
					t.Errorf("alias %v is not served", a)
				}
			}
		})
	}
}

func TestNew_RefusesHalfACertificateSource(t *testing.T) {
	of := func(*http.Request) ([]*x509.Certificate, error) { return nil, nil }
	authorities := func() *x509.CertPool { return nil }
	for name, c := range map[string]*Certificates{
		"no Of": {Authorities: authorities}, "no Authorities": {Of: of}, "an address with a path": {Of: of, Authorities: authorities, Address: issuer + "/x"},
	} {
		cfg := newWorld(t).p.Config
		cfg.Certificates = c
		if _, err := New(cfg); err == nil {
			t.Errorf("New with %s = nil error", name)
		}
	}
}
