package journeys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

const (
	simpleSAML  = "/usr/share/simplesamlphp/www"
	passwordACR = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
)

// samlWorld is SimpleSAMLphp, and a broker that believes it.
type samlWorld struct {
	idp, broker string
	process     *process // the broker
	service     *service
}

// samlConfig is a broker with one SAML provider, which reaches eidas2 with a class
// that SimpleSAMLphp never gives.
func samlConfig(idp, dir string, settings ...string) string {
	return fmt.Sprintf(`
issuer: http://localhost:{port}
listen: 127.0.0.1:{port}
development: true
data: {data}
providers:
  - id: uni
    name: { fr: "Université", en: "University" }
    protocol: saml
    issuer: %[1]s/saml2/idp/metadata.php
    saml:
      metadata_url: %[1]s/saml2/idp/metadata.php
      metadata_certificate_file: %[2]s/federation.pem
      preset: eduperson
%[5]s
    claims: { birthdate: birthdate }
    acr: { max: eidas2, map: { "%[3]s": eidas1, "urn:x:token": eidas2 } }
clients:
  - id: library
    name: { fr: "Médiathèque", en: "City library" }
    redirect_uris: ["http://127.0.0.1:1/callback"]
    client_secret_sha256: "%[4]s"
    sector: library.example
    policy: library
policies:
  - id: library
    version: 1
    purpose: { fr: "Ouvrir votre compte de lecteur", en: "Open your reader account" }
    legal_basis: consent
    retention: P1Y
    min_acr: eidas1
    claims:
      - { name: given_name, required: true }
      - { name: age_over_16, required: true }
      - { name: email, required: false }
    consent_validity: P1Y
`, idp, dir, passwordACR, sha256hex(serviceSecret), "      "+strings.Join(settings, "\n      "))
}

// newSAMLWorld exchanges metadata both ways: the broker fetches the provider's,
// signed; the provider reads the broker's.
func newSAMLWorld(t *testing.T, encrypts bool, settings ...string) *samlWorld {
	t.Helper()
	dir, port := samlFolder(t), ports(t)
	w := &samlWorld{idp: fmt.Sprintf("http://127.0.0.1:%d", port)}
	w.process, w.broker = serve(t, "", samlConfig(w.idp, dir, settings...))
	launchSAML(t, dir, port, w.broker+"/saml/uni/metadata", encrypts)
	w.service = newService(t, w.broker, "library")
	return w
}

// samlFolder is what SimpleSAMLphp has of its own: keys, and a place for the metadata
// of the broker.
func samlFolder(t *testing.T) string {
	t.Helper()
	need(t, "php", "PHP")
	need(t, simpleSAML, "SimpleSAMLphp")
	dir := t.TempDir()
	for _, name := range []string{"idp", "federation"} {
		selfSigned(t, filepath.Join(dir, name))
	}
	hosted, err := os.ReadFile("counterparts/simplesamlphp/saml20-idp-hosted.php")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"saml20-idp-hosted.php": string(hosted), "sp.xml": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// launchSAML starts SimpleSAMLphp, which reads what the broker says of itself.
func launchSAML(t *testing.T, dir string, port int, metadata string, encrypts bool) {
	t.Helper()
	config, err := filepath.Abs("counterparts/simplesamlphp")
	if err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	env := []string{"SIMPLESAMLPHP_CONFIG_DIR=" + config, "JOURNEY_DIR=" + dir, "JOURNEY_URL=" + base, "JOURNEY_SALT=" + random()}
	if encrypts {
		env = append(env, "JOURNEY_ENCRYPT=yes")
	}
	if err := os.WriteFile(filepath.Join(dir, "sp.xml"), []byte(fetch(t, metadata)), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, env, base+"/index.php", "php", "-S", fmt.Sprintf("127.0.0.1:%d", port), "-t", simpleSAML)
}

// selfSigned writes a key and its certificate.
func selfSigned(t *testing.T, file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "journey"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file+name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address) //nolint:gosec // a loopback address of this test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d, %v", address, resp.StatusCode, err)
	}
	return string(b)
}

// signIn signs Camille in there, and returns the page whose form brings the
// response back.
func (w *samlWorld) signIn(c *citizen, start string) *page {
	c.t.Helper()
	p := c.submit(c.get(start), url.Values{"username": {"camille"}, "password": {"any"}})
	if _, _, values := p.form(p.find(isForm)); values.Get("SAMLResponse") == "" {
		c.t.Fatalf("no response but %s (status %d):\n%s", p.URL.Path, p.Status, tail(p.Body, 3000))
	}
	return p
}

// comeBack posts a response as a browser does from another site: without the
// broker's Lax cookies. It returns where that leads.
func (w *samlWorld) comeBack(c *citizen, action string, values url.Values) (*http.Response, string) {
	c.t.Helper()
	sing("SAML response", values.Get("SAMLResponse"))
	kept := c.jar["localhost"]
	c.jar["localhost"] = nil
	defer func() { c.jar["localhost"] = kept }()
	u, err := url.Parse(action)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(http.MethodPost, u, values, w.idp)
}

func TestSAML_SimpleSAMLphp(t *testing.T) {
	w := newSAMLWorld(t, false)
	c := newCitizen(t)
	r := w.service.start("openid given_name age_over_16 email", nil)
	p := w.signIn(c, r.URL)
	action, method, values := p.form(p.find(isForm))
	if action != w.broker+"/saml/uni/acs" || method != http.MethodPost {
		t.Fatalf("the response goes to %s %s", method, action)
	}

	// What is posted elsewhere, or altered, signs nobody in.
	altered := url.Values{"RelayState": values["RelayState"], "SAMLResponse": {altered(t, values.Get("SAMLResponse"))}}
	resp, _ := w.comeBack(newCitizen(t), w.broker+"/saml/other/acs", values)
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another provider's path answers %d", resp.StatusCode)
	}

	resp, _ = w.comeBack(c, action, values)
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/callback/uni?posted_answer=") {
		t.Fatalf("the posted response answers %d to %q", resp.StatusCode, to)
	}
	if p := newCitizen(t).get(w.broker + to); p.errorCode() != "flow_not_yours" {
		t.Errorf("another browser sees %q", p.errorCode())
	}
	p = c.get(w.broker + to)
	if p.byID("consent-agree") == nil {
		t.Fatalf("no consent page but %s (status %d, code %q)", p.URL.Path, p.Status, p.errorCode())
	}
	if strings.Contains(p.Body, "teacher") || strings.Contains(p.Body, "Dubois") {
		t.Error("the page shows what nobody asked for")
	}
	back := c.pressUntil(p, "consent-agree", url.Values{"claim": {"email"}}, w.service.back)
	tk, err := w.service.redeem(t.Context(), back.URL.Query().Get("code"), r.Verifier)
	if err != nil || tk.Status != http.StatusOK {
		t.Fatalf("token endpoint: %d %s, %v", tk.Status, tk.Error, err)
	}
	_, claims, err := w.service.userinfo(t.Context(), tk.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	sub, _ := claims["sub"].(string)
	for name, want := range map[string]any{"given_name": "Camille Jeanne", "age_over_16": true, "email": "camille@example.org", "email_verified": false} {
		if claims[name] != want {
			t.Errorf("claim %s = %v, want %v", name, claims[name], want)
		}
	}

	// The response again, for the same visit and for a new one.
	if resp, _ := w.comeBack(c, action, values); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("the response once more answers %d", resp.StatusCode)
	}
	second := w.service.start("openid given_name age_over_16", url.Values{"prompt": {"login"}})
	_, _, again := func() (string, string, url.Values) { p := w.signIn(c, second.URL); return p.form(p.find(isForm)) }()
	for name, response := range map[string]string{"of another sign-in": values.Get("SAMLResponse"), "altered": altered.Get("SAMLResponse")} {
		resp, _ := w.comeBack(c, action, url.Values{"RelayState": again["RelayState"], "SAMLResponse": {response}})
		if resp.StatusCode != http.StatusSeeOther {
			continue // the visit is over for it
		}
		if p := c.get(w.broker + resp.Header.Get("Location")); p.byID("consent-agree") != nil {
			t.Errorf("a response %s signed somebody in", name)
		}
	}
	if !strings.Contains(w.process.out.String(), `"msg":"provider's answer refused"`) {
		t.Error("the log gives no reason for the refusal")
	}

	// Another browser, the same person: the persistent NameID leads to her subject,
	// and to her standing answer, so that nobody is asked.
	third := w.service.start("openid given_name age_over_16", url.Values{"prompt": {"login"}})
	back = newVisit(t, w, third.URL)
	if tk, err = w.service.redeem(t.Context(), back.URL.Query().Get("code"), third.Verifier); err != nil || tk.Status != http.StatusOK {
		t.Fatalf("token endpoint: %d %s, %v", tk.Status, tk.Error, err)
	}
	if _, claims, err = w.service.userinfo(t.Context(), tk.AccessToken); err != nil || claims["sub"] != sub || sub == "" {
		t.Errorf("subject %v, %v; want %s", claims["sub"], err, sub)
	}
}

// newVisit signs in from a new browser up to the page of the broker, or the address
// of the service.
func newVisit(t *testing.T, w *samlWorld, start string) *page {
	t.Helper()
	c := newCitizen(t)
	p := w.signIn(c, start)
	action, _, values := p.form(p.find(isForm))
	resp, _ := w.comeBack(c, action, values)
	return c.visit(http.MethodGet, w.broker+resp.Header.Get("Location"), nil, "", w.service.back)
}

// altered changes a value that is signed.
func altered(t *testing.T, response string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(response)
	if err != nil || !strings.Contains(string(b), "Camille") {
		t.Fatal("the response does not hold the name in clear")
	}
	return base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(b), "Camille", "Malicia", 1)))
}

// SimpleSAMLphp takes no notice of the level that is asked for.
func TestSAML_SimpleSAMLphp_ALevelThatItDoesNotReachIsRefused(t *testing.T) {
	w := newSAMLWorld(t, false)
	r := w.service.start("openid given_name age_over_16", url.Values{"acr_values": {"eidas2"}})
	p := newVisit(t, w, r.URL)
	if p.byID("consent-agree") != nil || !strings.HasPrefix(p.URL.Path, "/login/") {
		t.Fatalf("a sign-in that is too weak led to %s (status %d)", p.URL.Path, p.Status)
	}
	if !strings.Contains(w.process.out.String(), "does not reach eidas2") && !strings.Contains(w.process.out.String(), "NoAuthnContext") {
		t.Error("the log gives no reason")
	}
}

// SimpleSAMLphp 1.19 encrypts with CBC alone, which has to be allowed.
func TestSAML_SimpleSAMLphp_EncryptedAssertions(t *testing.T) {
	w := newSAMLWorld(t, true, "require_encryption: true", `cbc_exception_reason: "the provider has nothing else"`)
	if p := newVisit(t, w, w.service.start("openid given_name age_over_16", nil).URL); p.byID("consent-agree") == nil {
		t.Errorf("no consent page but %s (status %d, code %q)", p.URL.Path, p.Status, p.errorCode())
	}
	w = newSAMLWorld(t, true)
	if p := newVisit(t, w, w.service.start("openid given_name age_over_16", nil).URL); p.byID("consent-agree") != nil {
		t.Error("CBC is believed although nobody has allowed it")
	}
	w = newSAMLWorld(t, false, "require_encryption: true")
	if p := newVisit(t, w, w.service.start("openid given_name age_over_16", nil).URL); p.byID("consent-agree") != nil {
		t.Error("an assertion in clear is believed although encryption is required")
	}
}

// A provider that makes its assertions for another service, by a mistake in its
// configuration or because it was made to.
func TestSAML_SimpleSAMLphp_AnotherAudienceIsRefused_SA_10(t *testing.T) {
	t.Setenv("JOURNEY_AUDIENCE", "https://other.example/saml/uni/metadata")
	w := newSAMLWorld(t, false)
	if p := newVisit(t, w, w.service.start("openid given_name age_over_16", nil).URL); p.byID("consent-agree") != nil {
		t.Error("an assertion for another audience signed somebody in")
	}
	if !strings.Contains(w.process.out.String(), "assertion is for another audience") {
		t.Error("the log gives another reason, or none")
	}
}

// Metadata of another signer is not believed, so nobody is sent there.
func TestSAML_MetadataOfAnotherSignerIsRefused_SA_15(t *testing.T) {
	w := newSAMLWorld(t, false)
	other := t.TempDir()
	selfSigned(t, filepath.Join(other, "federation"))
	broker, address := serve(t, "", samlConfig(w.idp, other))
	p := newCitizen(t).get(newService(t, address, "library").start("openid given_name age_over_16", nil).URL)
	if strings.HasPrefix(p.URL.String(), w.idp) {
		t.Error("she was sent there")
	}
	if !strings.Contains(broker.out.String(), "provider metadata refused") {
		t.Error("the log gives no reason")
	}
}

func isForm(n *html.Node) bool { return n.Data == "form" }

// What a browser does with our cookies when another site posts to us is for a real
// one to show.
func TestBrowser_SAML_APostFromAnotherSiteEndsAtTheQuestion_FB_17(t *testing.T) {
	need(t, chromium, "Chromium")
	need(t, "node_modules/playwright-core/package.json", "playwright-core")
	w := newSAMLWorld(t, false)
	cmd := exec.Command(node(t), "browser/saml.mjs")
	cmd.Env = append(os.Environ(), "START="+w.service.start("openid given_name age_over_16 email", nil).URL, "BROKER="+w.broker, "IDP="+w.idp, "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), `/consent"`) || strings.Contains(string(out), "__Host-voussoir-flow") {
		t.Errorf("the browser ended so: %s", out)
	}
}
