package journeys

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Names of SAML and XML Signature.
const (
	samlAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	samlProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	samlSuccess   = "urn:oasis:names:tc:SAML:2.0:status:Success"
	xmlSignature  = "http://www.w3.org/2000/09/xmldsig#"
	exclusive     = "http://www.w3.org/2001/10/xml-exc-c14n#"
	rsaSHA256     = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
)

// evilSAML is what SAML providers of ours have in common: keys, and a place for
// metadata. Their messages are written in canonical form, so that signing one is
// hashing its text.
type evilSAML struct {
	*httptest.Server
	key, stranger, weak, federation *rsa.PrivateKey
	rows                            []response
}

// response is a row: what a SAML provider posts, and what must come of it.
type response struct {
	line, name  string
	write       func(m *message) string                            // the whole message, not yet in base64
	post        func(m *message, form url.Values)                  // changes the form
	metadata    func(e *evilSAML, id string) string                // at an address; nil: a file
	by          func(t *testing.T, w *evilWorld, id string) string // in place of all this; returns what she sees
	see, reason string
	id          string
}

// message is one answer in the making.
type message struct {
	saml                                                   *evilSAML
	id, issuer, acs, us, request                           string
	assertionID, audience, recipient, destination, answers string
	assertedBy                                             string
	from, until, issued, session                           time.Time
}

func newEvilSAML(t *testing.T) *evilSAML {
	t.Helper()
	e := &evilSAML{key: sizedRSA(2048), stranger: sizedRSA(2048), weak: sizedRSA(1024), federation: sizedRSA(2048), rows: evilResponses()}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, row := range e.rows {
			if row.metadata != nil && r.URL.Path == "/"+row.id {
				w.Header().Set("Content-Type", "application/samlmetadata+xml")
				_, _ = io.WriteString(w, row.metadata(e, row.id))
			}
		}
	}))
	t.Cleanup(e.Close)
	for i := range e.rows {
		e.rows[i].id = fmt.Sprintf("s%d", i)
	}
	return e
}

func certified(key *rsa.PrivateKey) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "evil"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return der
}

// config writes a provider for each row.
func (e *evilSAML) config(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	signer := write("federation.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified(e.federation)})))
	var out []string
	for _, row := range e.rows {
		source := fmt.Sprintf("metadata_file: %q", write(row.id+".xml", e.describe(row.id, "", "")))
		if row.metadata != nil {
			source = fmt.Sprintf("metadata_url: %q, metadata_certificate_file: %q", e.URL+"/"+row.id, signer)
		}
		out = append(out, fmt.Sprintf("  - { id: %s, name: { en: \"Provider %[1]s\" }, protocol: saml, issuer: %q, saml: { %s }, claims: { given_name: givenName }, acr: { max: eidas2, map: { %q: eidas1 } } }\n",
			row.id, e.URL+"/"+row.id, source, passwordACR))
	}
	return out
}

// describe is metadata with the good key and the weak one.
func (e *evilSAML) describe(id, attributes, sso string) string {
	if sso == "" {
		sso = e.URL + "/sso"
	}
	key := func(k *rsa.PrivateKey) string {
		return `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="` + xmlSignature + `"><ds:X509Data><ds:X509Certificate>` +
			base64.StdEncoding.EncodeToString(certified(k)) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`
	}
	return `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_m" entityID="` + e.URL + "/" + id + `"` + attributes + `>` +
		`<md:IDPSSODescriptor protocolSupportEnumeration="` + samlProtocol + `">` + key(e.weak) + key(e.key) +
		`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="` + sso + `"></md:SingleSignOnService></md:IDPSSODescriptor></md:EntityDescriptor>`
}

// sealed is text with a signature over the whole of it behind the first occurrence of
// mark; algorithm is what the signature says of itself.
func sealed(text, id, mark, algorithm string, key *rsa.PrivateKey) string {
	digest := sha256.Sum256([]byte(text))
	element := func(name, attribute, value, inside string) string {
		return `<ds:` + name + ` ` + attribute + `="` + value + `">` + inside + `</ds:` + name + `>`
	}
	info := `<ds:SignedInfo xmlns:ds="` + xmlSignature + `">` + element("CanonicalizationMethod", "Algorithm", exclusive, "") + element("SignatureMethod", "Algorithm", algorithm, "") +
		element("Reference", "URI", "#"+id, `<ds:Transforms>`+element("Transform", "Algorithm", xmlSignature+"enveloped-signature", "")+element("Transform", "Algorithm", exclusive, "")+`</ds:Transforms>`+
			element("DigestMethod", "Algorithm", "http://www.w3.org/2001/04/xmlenc#sha256", "")+`<ds:DigestValue>`+base64.StdEncoding.EncodeToString(digest[:])+`</ds:DigestValue>`) + `</ds:SignedInfo>`
	hash := sha256.Sum256([]byte(info))
	value, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	if err != nil {
		panic(err)
	}
	sig := `<ds:Signature xmlns:ds="` + xmlSignature + `">` + info + `<ds:SignatureValue>` + base64.StdEncoding.EncodeToString(value) + `</ds:SignatureValue>` +
		`<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(certified(key)) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`
	return strings.Replace(text, mark, mark+sig, 1)
}

const behindIssuer = "</saml:Issuer>"

func instant(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }

// assertion is an assertion, unsigned.
func (m *message) assertion() string {
	return `<saml:Assertion xmlns:saml="` + samlAssertion + `" ID="` + m.assertionID + `" IssueInstant="` + instant(m.issued) + `" Version="2.0">` +
		`<saml:Issuer>` + m.assertedBy + behindIssuer +
		`<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">subject-of-zephirine</saml:NameID>` +
		`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData InResponseTo="` + m.answers + `" NotOnOrAfter="` + instant(m.until) + `" Recipient="` + m.recipient + `"></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>` +
		`<saml:Conditions NotBefore="` + instant(m.from) + `" NotOnOrAfter="` + instant(m.until) + `"><saml:AudienceRestriction><saml:Audience>` + m.audience + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
		`<saml:AuthnStatement AuthnInstant="` + instant(m.issued) + `" SessionNotOnOrAfter="` + instant(m.session) + `"><saml:AuthnContext><saml:AuthnContextClassRef>` + passwordACR + `</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>` +
		`<saml:AttributeStatement><saml:Attribute Name="givenName"><saml:AttributeValue>Zéphirine</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>`
}

// signed is the assertion as an honest provider signs it.
func (m *message) signed() string {
	return sealed(m.assertion(), m.assertionID, behindIssuer, rsaSHA256, m.saml.key)
}

// forged is an assertion about somebody else, with another ID.
func (m *message) forged() string {
	return strings.NewReplacer(m.assertionID, "_forged", "subject-of-zephirine", "somebody-else").Replace(m.assertion())
}

func (m *message) response(inside ...string) string {
	return `<samlp:Response xmlns:samlp="` + samlProtocol + `" Destination="` + m.destination + `" ID="_r" InResponseTo="` + m.request + `" IssueInstant="` + instant(time.Now()) + `" Version="2.0">` +
		`<saml:Issuer xmlns:saml="` + samlAssertion + `">` + m.issuer + behindIssuer + `<samlp:Status><samlp:StatusCode Value="` + samlSuccess + `"></samlp:StatusCode></samlp:Status>` + strings.Join(inside, "") + `</samlp:Response>`
}

var errorCodeIn = regexp.MustCompile(`data-code="([a-z_]+)"`)

var requestID = regexp.MustCompile(` ID="([^"]+)"`)

// begin chooses a provider and returns the answer in the making.
func (w *evilWorld) begin(t *testing.T, id string) (*citizen, *message, url.Values, *page) {
	t.Helper()
	c, r := newCitizen(t), w.library.start("openid given_name", nil)
	p := c.visit(http.MethodGet, r.URL, nil, "", nil)
	p = c.visit(http.MethodPost, w.broker+p.URL.Path+"/provider", url.Values{"provider": {id}}, w.broker, func(u *url.URL) bool { return u.Path == "/sso" })
	if p.URL.Path != "/sso" {
		return c, nil, nil, p
	}
	sing("RelayState", p.URL.Query().Get("RelayState"))
	deflated, err := base64.StdEncoding.DecodeString(p.URL.Query().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(deflated)))
	found := requestID.FindSubmatch(text)
	if err != nil || found == nil {
		t.Fatalf("no request: %v", err)
	}
	now := time.Now()
	m := &message{
		saml: w.saml, id: id, issuer: w.saml.URL + "/" + id, acs: w.broker + "/saml/" + id + "/acs", us: w.broker + "/saml/" + id + "/metadata", request: string(found[1]),
		assertionID: "_" + strings.ReplaceAll(random(), "-", "."), from: now.Add(-5 * time.Second), until: now.Add(5 * time.Minute), issued: now, session: now.Add(time.Hour),
	}
	m.audience, m.recipient, m.destination, m.answers, m.assertedBy = m.us, m.acs, m.acs, m.request, m.issuer
	return c, m, url.Values{"RelayState": {p.URL.Query().Get("RelayState")}}, p
}

// bring posts the form as a browser does from another site, and follows it.
func (w *evilWorld) bring(c *citizen, m *message, form url.Values) string {
	c.t.Helper()
	sing("SAML response", form.Get("SAMLResponse"))
	kept := c.jar["localhost"]
	c.jar["localhost"] = nil
	to, _ := url.Parse(m.acs)
	resp, body := c.do(http.MethodPost, to, form, w.saml.URL)
	c.jar["localhost"] = kept
	if resp.StatusCode != http.StatusSeeOther {
		if code := errorCodeIn.FindStringSubmatch(body); code != nil {
			return "error " + code[1]
		}
		return fmt.Sprintf("status %d", resp.StatusCode)
	}
	return seen(c.visit(http.MethodGet, w.broker+resp.Header.Get("Location"), nil, "", w.library.back))
}

func (r *response) try(t *testing.T, w *evilWorld) {
	got := ""
	if r.by != nil {
		got = r.by(t, w, r.id)
	} else if c, m, form, p := w.begin(t, r.id); m == nil {
		got = seen(p)
	} else {
		form.Set("SAMLResponse", base64.StdEncoding.EncodeToString([]byte(r.write(m))))
		if r.post != nil {
			r.post(m, form)
		}
		got = w.bring(c, m, form)
	}
	if got != r.see {
		t.Fatalf("she sees %q, want %q", got, r.see)
	}
	if code, refused := strings.CutPrefix(r.see, "error "); refused { // before the provider's turn
		eventually(t, "the log has the code", func() bool { return strings.Contains(w.proc.out.String(), `"code":"`+code+`"`) })
	}
	if r.reason == "" {
		w.wantReasons(t, r.id)
		return
	}
	w.wantReasons(t, r.id, r.reason)
}
