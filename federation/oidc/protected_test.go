package oidc_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// ring is our keys, as a provider meets them.
func ring(t testing.TB) *keys.Ring {
	t.Helper()
	r, err := keys.Open(t.Context(), keys.Config{
		File: filepath.Join(t.TempDir(), "keys"), Secret: make([]byte, 32), Algs: []string{"ES256"},
		DecryptionAlgs: []string{"ECDH-ES"}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sealTo encrypts as a provider that has read our JWKS does.
func sealTo(t testing.TB, r *keys.Ring, signed string) string {
	t.Helper()
	body, _ := r.ForProviders().JWKS()
	set, err := keys.NewStatic(body)
	if err != nil {
		t.Fatal(err)
	}
	to, err := set.Recipient(t.Context(), "ECDH-ES")
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := to.EncryptJWT("A256GCM", signed)
	if err != nil {
		t.Fatal(err)
	}
	return jwe
}

func encrypting(h *hostile, r *keys.Ring) oidc.Config {
	c := h.config()
	c.IDTokenEncryptionAlg, c.Decrypter = "ECDH-ES", r.ForProviders()
	return c
}

func TestEncryptedIDTokenAndUserinfoSignHerIn_OIDCCore_16_14(t *testing.T) {
	h, r := newHostile(t), ring(t)
	h.sign = func(c members) string { return sealTo(t, r, signed(h.key, honestHeader, marshal(c))) }
	h.info = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = w.Write([]byte(sealTo(t, r, signed(h.key, honestHeader, marshal(h.person)))))
		return true
	}
	c := encrypting(h, r)
	c.UserInfo.SigningAlg, c.UserInfo.EncryptionAlg = "ES256", "ECDH-ES"
	got, err := h.signIn(t, newProvider(t, c), request)
	if err != nil || got.Identity.Pivot.FamilyName != "DUBOIS" {
		t.Fatalf("login %v, %v", got.Identity.Pivot.FamilyName != "", err)
	}
}

func TestUT_14_AnEncryptedTokenThatWasNotAgreedUponIsRefused(t *testing.T) {
	h, r := newHostile(t), ring(t)
	h.sign = func(c members) string { return sealTo(t, r, signed(h.key, honestHeader, marshal(c))) }
	_, err := h.attempt(t)
	wantKind(t, err, federation.Invalid)
}

func TestUT_14_WhereEncryptionWasAgreedUponNothingElseWillDo(t *testing.T) {
	r := ring(t)
	honest := func(h *hostile, c members) string { return signed(h.key, honestHeader, marshal(c)) }
	header := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) }
	for name, sign := range map[string]func(h *hostile, c members) string{
		"in clear":              honest,
		"encrypted, not signed": func(_ *hostile, c members) string { return sealTo(t, r, marshal(c)) },
		"signed by a stranger":  func(h *hostile, c members) string { return sealTo(t, r, signed(h.stranger, honestHeader, marshal(c))) },
		"signed with none": func(_ *hostile, c members) string {
			return sealTo(t, r, header(`{"alg":"none"}`)+"."+header(marshal(c))+".")
		},
		"encrypted twice":  func(h *hostile, c members) string { return sealTo(t, r, sealTo(t, r, honest(h, c))) },
		"to another's key": func(h *hostile, c members) string { return sealTo(t, ring(t), honest(h, c)) },
		"dir":              func(*hostile, members) string { return header(`{"alg":"dir","enc":"A256GCM"}`) + "..AA.AA.AA" },
		"a password of a billion rounds": func(*hostile, members) string {
			return header(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2s":"AAAA","p2c":1000000000}`) + ".AA.AA.AA.AA"
		},
		"compressed": func(h *hostile, c members) string {
			_, rest, _ := strings.Cut(sealTo(t, r, honest(h, c)), ".")
			return header(`{"alg":"ECDH-ES","enc":"A256GCM","zip":"DEF"}`) + "." + rest
		},
		"a flood of dots": func(*hostile, members) string { return strings.Repeat(".", 60_000) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.sign = func(c members) string { return sign(h, c) }
			_, err := h.signIn(t, newProvider(t, encrypting(h, r)), request)
			wantKind(t, err, federation.Invalid)
		})
	}
}

func TestEncryption_OurClosedKeysAreAnOutageAndNoVerdict(t *testing.T) {
	h, r := newHostile(t), ring(t)
	h.sign = func(c members) string {
		jwe := sealTo(t, r, signed(h.key, honestHeader, marshal(c)))
		r.Close()
		return jwe
	}
	_, err := h.signIn(t, newProvider(t, encrypting(h, r)), request)
	wantKind(t, err, federation.Unavailable)
}

// The ID token that goes back to log out is the one in clear: RP-Initiated Logout
// section 2.
func TestLeave_takesTheTokenOutOfItsEncryption(t *testing.T) {
	h, r := newHostile(t), ring(t)
	h.discovery = func(doc members) { doc["end_session_endpoint"] = h.URL + "/logout" }
	h.sign = func(c members) string { return sealTo(t, r, signed(h.key, honestHeader, marshal(c))) }
	c := encrypting(h, r)
	c.Relay = true
	got, err := h.signIn(t, newProvider(t, c), request)
	if err != nil || strings.Count(got.LogoutHint, ".") != 2 {
		t.Fatalf("a hint of %d parts, %v", strings.Count(got.LogoutHint, ".")+1, err)
	}
}

func TestStart_AsksForTheLevelAsAnEssentialClaim_OIDCCore_5_5_1_1(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	c.ACR.Essential = true
	p := newProvider(t, c)
	q := startQuery(t, p, federation.Request{MinACR: protocol.EIDAS2})
	if want := `{"id_token":{"acr":{"essential":true,"values":["urn:x:sub","urn:x:high"]}}}`; q.Get("claims") != want || q.Has("acr_values") {
		t.Errorf("claims = %s, acr_values = %q", q.Get("claims"), q.Get("acr_values"))
	}
	if q := startQuery(t, p, federation.Request{}); q.Has("claims") {
		t.Error("a level is asked for that nobody needs")
	}
	// What the provider answers is checked all the same (UT-20).
	_, err := h.signIn(t, p, federation.Request{State: "flow.random", MinACR: protocol.EIDAS2})
	wantKind(t, err, federation.TooWeak)
}

// demanding is a provider with PAR and DPoP in front of a hostile one's behaviour.
type demanding struct {
	*hostile

	mu     sync.Mutex // guards what follows
	pushed url.Values
	proofs []members // in the order of the calls
	thumbs []string

	par   http.HandlerFunc // instead of an honest answer
	weird func(w http.ResponseWriter, r *http.Request) bool
}

func newDemanding(t *testing.T) *demanding {
	t.Helper()
	d := &demanding{hostile: newHostile(t)}
	honest := d.Config.Handler
	mux := http.NewServeMux()
	mux.HandleFunc("POST /par", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		d.mu.Lock()
		d.pushed = r.PostForm
		d.mu.Unlock()
		if d.par != nil {
			d.par(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"request_uri":"urn:ietf:params:oauth:request_uri:r1","expires_in":60}`))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" || r.URL.Path == "/userinfo" {
			if d.weird != nil && d.weird(w, r) {
				return
			}
			if !d.check(t, w, r) {
				return
			}
		}
		honest.ServeHTTP(w, r)
	})
	d.Config.Handler = mux
	d.discovery = func(doc members) {
		doc["pushed_authorization_request_endpoint"] = d.URL + "/par"
		doc["dpop_signing_alg_values_supported"] = []string{"PS256", "ES256"}
	}
	d.tokens = func(doc members) { doc["token_type"] = "DPoP" }
	return d
}

// check reads the proof, and demands its nonce once at each endpoint.
func (d *demanding) check(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
	payload, thumb, err := keys.VerifyEmbedded(r.Header.Get("DPoP"), "ES256")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return false
	}
	var proof members
	if err := json.Unmarshal(payload, &proof); err != nil {
		t.Error(err)
	}
	d.mu.Lock()
	d.proofs, d.thumbs = append(d.proofs, proof), append(d.thumbs, thumb)
	wanted := "nonce-of" + strings.ReplaceAll(r.URL.Path, "/", "-")
	d.mu.Unlock()
	if proof["nonce"] != wanted {
		w.Header().Set("DPoP-Nonce", wanted)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/userinfo" {
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"use_dpop_nonce"}`))
		return false
	}
	if r.URL.Path == "/userinfo" {
		if r.Header.Get("Authorization") != "DPoP access-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		r.Header.Set("Authorization", "Bearer access-1") // for the handler behind
	}
	return true
}

// signIn goes the whole way, with the browser carrying a reference.
func (d *demanding) signIn(t *testing.T, c oidc.Config) (federation.Login, url.Values, error) {
	t.Helper()
	p := newProvider(t, c)
	started, err := p.Start(context.Background(), request)
	if err != nil {
		return federation.Login{}, nil, err
	}
	u, err := url.Parse(started.URL)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	asked := d.pushed
	d.mu.Unlock()
	answer := d.visit(t, "https://x.example/?"+asked.Encode())
	got, err := p.Finish(context.Background(), request, started.Pending, answer)
	return got, u.Query(), err
}

func TestPARAndDPoP_AreUsedWhereTheyAreOffered_RFC9126_RFC9449(t *testing.T) {
	d := newDemanding(t)
	got, carried, err := d.signIn(t, d.config())
	if err != nil || got.Subject != "subject-1" {
		t.Fatalf("login of %q, %v", got.Subject, err)
	}
	if want := (url.Values{"tenant": {"1"}, "client_id": {"voussoir"}, "request_uri": {"urn:ietf:params:oauth:request_uri:r1"}}); carried.Encode() != want.Encode() {
		t.Errorf("the browser carries %v, want %v", carried, want)
	}
	if d.pushed.Get("state") != "flow.random" || d.pushed.Get("nonce") == "" || d.pushed.Has("request_uri") {
		t.Errorf("pushed %v", d.pushed)
	}
	ath := sha256.Sum256([]byte("access-1"))
	type call struct{ Method, Where, Nonce, Token any }
	want := []call{
		{"POST", d.URL + "/token", nil, nil},
		{"POST", d.URL + "/token", "nonce-of-token", nil},
		{"GET", d.URL + "/userinfo", "nonce-of-token", base64.RawURLEncoding.EncodeToString(ath[:])},
		{"GET", d.URL + "/userinfo", "nonce-of-userinfo", base64.RawURLEncoding.EncodeToString(ath[:])},
	}
	if len(d.proofs) != len(want) {
		t.Fatalf("%d proofs, want %d", len(d.proofs), len(want))
	}
	seen := map[any]bool{}
	for i, p := range d.proofs {
		if got := (call{p["htm"], p["htu"], p["nonce"], p["ath"]}); got != want[i] {
			t.Errorf("proof %d is %v, want %v", i, got, want[i])
		}
		if seen[p["jti"]] || p["iat"] != float64(now.Unix()) || d.thumbs[i] != d.thumbs[0] {
			t.Errorf("proof %d is not one of its own by the key of this sign-in", i)
		}
		seen[p["jti"]] = true
	}
}

func TestDPoP_EachSignInHasAKeyOfItsOwn(t *testing.T) {
	d := newDemanding(t)
	for range 2 {
		if _, _, err := d.signIn(t, d.config()); err != nil {
			t.Fatal(err)
		}
	}
	if d.thumbs[0] == d.thumbs[len(d.thumbs)-1] {
		t.Error("the provider can tell our sign-ins by their key")
	}
}

func TestDPoP_AProviderThatAlwaysWantsAnotherNonceIsNotObeyedForEver_RFC9449_8(t *testing.T) {
	d := newDemanding(t)
	d.weird = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/token" {
			return false
		}
		d.mu.Lock()
		d.hostile.mu.Lock()
		d.calls["asked"]++
		w.Header().Set("DPoP-Nonce", strings.Repeat("n", d.calls["asked"]))
		d.hostile.mu.Unlock()
		d.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"use_dpop_nonce"}`))
		return true
	}
	_, _, err := d.signIn(t, d.config())
	wantKind(t, err, federation.Refused)
	if n := d.count("asked"); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestDPoP_DowngradesAndUpgradesOfTheTokenType(t *testing.T) {
	for _, tt := range []struct {
		name   string
		choice oidc.Offer
		kind   string
		want   federation.Kind // 0: she is signed in
	}{
		{"bearer where proofs are required", oidc.Require, "Bearer", federation.Invalid},
		{"bearer where the provider only offered them", oidc.Auto, "Bearer", 0},
		{"a bound token that we cannot use", oidc.Off, "DPoP", federation.Invalid},
		{"another type", oidc.Auto, "mac", federation.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHostile(t)
			h.discovery = func(doc members) { doc["dpop_signing_alg_values_supported"] = []string{"ES256"} }
			h.tokens = func(doc members) { doc["token_type"] = tt.kind }
			c := h.config()
			c.DPoP = tt.choice
			_, err := h.signIn(t, newProvider(t, c), request)
			if tt.want == 0 && err != nil {
				t.Fatal(err)
			}
			if tt.want != 0 {
				wantKind(t, err, tt.want)
			}
		})
	}
}

func TestPAR_AnswersThatAreNone_RFC9126_2_2(t *testing.T) {
	for name, tt := range map[string]struct {
		status     int
		kind, body string
		want       federation.Kind
	}{
		"an error":                    {400, "application/json", `{"error":"invalid_request"}`, federation.Refused},
		"an error with markup":        {400, "application/json", `{"error":"<script>"}`, federation.Refused},
		"an outage is not gone round": {500, "text/html", `x`, federation.Unavailable},
		"HTML":                        {201, "text/html", `<html>`, federation.Invalid},
		"no request_uri":              {201, "application/json", `{}`, federation.Invalid},
		"a request_uri of 3000":       {201, "application/json", `{"request_uri":"` + strings.Repeat("u", 3000) + `"}`, federation.Invalid},
		"a request_uri with a space":  {201, "application/json", `{"request_uri":"a b"}`, federation.Invalid},
		"request_uri twice":           {201, "application/json", `{"request_uri":"a","request_uri":"b"}`, federation.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDemanding(t)
			d.par = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}
			_, err := newProvider(t, d.config()).Start(context.Background(), request)
			wantKind(t, err, tt.want)
		})
	}
}

func TestPAR_RequiredAndOff(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	c.PAR = oidc.Require
	_, err := newProvider(t, c).Start(context.Background(), request)
	wantKind(t, err, federation.Unavailable)

	d := newDemanding(t)
	c = d.config()
	c.PAR = oidc.Off
	if q := startQuery(t, newProvider(t, c), federation.Request{}); q.Has("request_uri") || q.Get("state") == "" || d.count("/par") != 0 {
		t.Errorf("request %v", q)
	}
}

func TestMX_04_ThePAREndpointIsNotSomebodyElses(t *testing.T) {
	for name, at := range map[string]string{
		"another provider": "https://other.example/par", "our own": "https://id.example/par", "no URL": "par", "credentials": "https://u:p@idp.example/par",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.discovery = func(doc members) { doc["pushed_authorization_request_endpoint"] = at }
			c := h.config()
			c.ForeignHosts = []string{"other.example", "id.example"}
			_, err := newProvider(t, c).Start(context.Background(), request)
			wantKind(t, err, federation.Unavailable)
		})
	}
}

// secured is h behind TLS that asks for a certificate.
func secured(t *testing.T, h *hostile) (cert *tls.Certificate, roots *x509.CertPool, seen func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 1 {
			mu.Lock()
			n++
			mu.Unlock()
		}
		h.Config.Handler.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	pair := s.TLS.Certificates[0] // any pair will do to show
	h.discovery = func(doc members) {
		doc["mtls_endpoint_aliases"] = members{"token_endpoint": s.URL + "/token", "userinfo_endpoint": s.URL + "/userinfo"}
	}
	return &pair, roots, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestMTLS_TheCertificateIsTheSecret_RFC8705_2(t *testing.T) {
	h := newHostile(t)
	cert, roots, seen := secured(t, h)
	c := h.config()
	c.AuthMethod, c.ClientSecret, c.Certificate = oidc.TLSClientAuth, "", cert
	c.Client = outbound.New(outbound.Config{AllowHTTP: true, AllowPrivate: true, RootCAs: roots, Certificate: cert})
	if _, err := h.signIn(t, newProvider(t, c), request); err != nil {
		t.Fatal(err)
	}
	if seen() != 2 || h.posted.Get("client_id") != "voussoir" || h.header.Get("Authorization") != "" || h.posted.Has("client_secret") {
		t.Errorf("%d calls with our certificate, form %v", seen(), h.posted)
	}
}

func TestMTLS_WithoutACertificateTheAliasesAreNotUsed_RFC8705_5(t *testing.T) {
	h := newHostile(t)
	_, _, seen := secured(t, h)
	if _, err := h.attempt(t); err != nil || seen() != 0 {
		t.Errorf("%d calls at the aliases, %v", seen(), err)
	}
}

func TestMX_04_AnAliasOnAForeignHostIsRefused(t *testing.T) {
	h := newHostile(t)
	cert, _, _ := secured(t, h)
	h.discovery = func(doc members) {
		doc["mtls_endpoint_aliases"] = members{"token_endpoint": "https://other.example/token"}
	}
	c := h.config()
	c.AuthMethod, c.ClientSecret, c.Certificate, c.ForeignHosts = oidc.SelfSignedTLSClientAuth, "", cert, []string{"other.example"}
	_, err := newProvider(t, c).Start(context.Background(), request)
	wantKind(t, err, federation.Unavailable)
}

func TestNew_RefusesProtectionThatCannotWork(t *testing.T) {
	h, r := newHostile(t), ring(t)
	for name, change := range map[string]func(c *oidc.Config){
		"a symmetric algorithm":       func(c *oidc.Config) { c.IDTokenEncryptionAlg = "dir" },
		"nothing to decrypt with":     func(c *oidc.Config) { c.Decrypter = nil },
		"encrypted and not signed":    func(c *oidc.Config) { c.UserInfo.EncryptionAlg = "ECDH-ES" },
		"no certificate":              func(c *oidc.Config) { c.AuthMethod, c.ClientSecret = oidc.TLSClientAuth, "" },
		"a certificate and a secret":  func(c *oidc.Config) { c.AuthMethod, c.Certificate = oidc.TLSClientAuth, &tls.Certificate{} },
		"an unknown choice about PAR": func(c *oidc.Config) { c.PAR = "maybe" },
	} {
		c := encrypting(h, r)
		change(&c)
		if _, err := oidc.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
