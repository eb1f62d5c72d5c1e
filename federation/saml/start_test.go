package saml

import (
	"compress/flate"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

// sent takes a request apart as a provider would, its signature first.
func sent(t *testing.T, w *world, r federation.Request) *etree.Element {
	t.Helper()
	r.State = state
	s, err := w.p.Start(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Host != "idp.test" || u.Path != "/sso" {
		t.Fatalf("address %q", s.URL)
	}
	content, signature, ok := strings.Cut(u.RawQuery[strings.Index(u.RawQuery, "SAMLRequest="):], "&Signature=")
	if !ok {
		t.Fatal("no signature")
	}
	signature, err = url.QueryUnescape(signature)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(content))
	if err := rsa.VerifyPKCS1v15(brokerKey().key.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], sig); err != nil {
		t.Error(err)
	}
	q := u.Query()
	if q.Get("RelayState") != state || q.Get("SigAlg") != rsaSHA256 {
		t.Errorf("query %v", q)
	}
	deflated, err := base64.StdEncoding.DecodeString(q.Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	message, err := io.ReadAll(flate.NewReader(strings.NewReader(string(deflated))))
	if err != nil {
		t.Fatal(err)
	}
	return element(string(message))
}

func TestStart_TheRequest_Core_3_4_1(t *testing.T) {
	w := newWorld(t)
	got := sent(t, w, federation.Request{MinACR: protocol.EIDAS1})
	id := got.SelectAttrValue("ID", "")
	want := `<samlp:AuthnRequest xmlns:samlp="` + nsProtocol + `" xmlns:saml="` + nsAssertion + `" ID="` + id + `" Version="2.0" IssueInstant="2026-03-14T12:00:00Z"` +
		` Destination="https://idp.test/sso" AssertionConsumerServiceURL="` + acs + `" ProtocolBinding="` + bindingPost + `"><saml:Issuer>` + ours + `</saml:Issuer>` +
		`<samlp:NameIDPolicy Format="` + formatPersistent + `" AllowCreate="true"/><samlp:RequestedAuthnContext Comparison="exact">` +
		`<saml:AuthnContextClassRef>` + password + `</saml:AuthnContextClassRef><saml:AuthnContextClassRef>` + token + `</saml:AuthnContextClassRef>` +
		`<saml:AuthnContextClassRef>urn:too-good</saml:AuthnContextClassRef></samlp:RequestedAuthnContext></samlp:AuthnRequest>`
	if mustXML(got) != want {
		t.Errorf("request\n%s\nwant\n%s", mustXML(got), want)
	}
	if again := sent(t, w, federation.Request{}); len(id) != 41 || again.SelectAttrValue("ID", "") == id {
		t.Error("the ID is short or used again")
	}
}

func TestStart_AsksForWhatWasAsked(t *testing.T) {
	none, hour := time.Duration(0), time.Hour
	tests := []struct {
		name    string
		r       federation.Request
		force   string
		classes int
	}{
		{"nothing", federation.Request{}, "", 0},
		{"the higher level", federation.Request{MinACR: protocol.EIDAS2}, "", 2},
		{"prompt=login", federation.Request{ForceLogin: true}, "true", 0},
		{"prompt=select_account", federation.Request{SelectAccount: true}, "true", 0},
		{"max_age=0", federation.Request{MaxAge: &none}, "true", 0},
		{"max_age=3600", federation.Request{MaxAge: &hour}, "", 0},
		{"a login hint goes to nobody", federation.Request{LoginHint: "alice"}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sent(t, newWorld(t), tt.r)
			if force := got.SelectAttrValue("ForceAuthn", ""); force != tt.force {
				t.Errorf("ForceAuthn %q, want %q", force, tt.force)
			}
			if n := len(got.FindElements("./RequestedAuthnContext/AuthnContextClassRef")); n != tt.classes {
				t.Errorf("%d classes, want %d", n, tt.classes)
			}
			if strings.Contains(mustXML(got), "alice") {
				t.Error("the hint is in the request")
			}
		})
	}
}

func TestStart_MinimumNamesTheWeakestClassThatWillDo(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ACR.Minimum = true })
	wanted := sent(t, w, federation.Request{MinACR: protocol.EIDAS2}).SelectElement("RequestedAuthnContext")
	if wanted.SelectAttrValue("Comparison", "") != "minimum" || len(wanted.ChildElements()) != 1 || wanted.ChildElements()[0].Text() != token {
		t.Errorf("wanted %s", mustXML(wanted))
	}
}

func TestStart_KeepsTheQueryOfTheProvidersAddress(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Metadata = idpMetadata(func(r *etree.Element) {
			r.FindElements("./IDPSSODescriptor/SingleSignOnService")[1].CreateAttr("Location", "https://idp.test/sso?tenant=a")
		}, idpKey())
	})
	s, err := w.p.Start(t.Context(), federation.Request{State: state})
	if err != nil || !strings.HasPrefix(s.URL, "https://idp.test/sso?tenant=a&SAMLRequest=") {
		t.Errorf("address %q, %v", s.URL, err)
	}
}

func TestStart_RefusesALevelThatTheProviderCannotReach(t *testing.T) {
	_, err := newWorld(t).p.Start(t.Context(), federation.Request{State: state, MinACR: protocol.EIDAS3})
	wantKind(t, err, federation.TooWeak)
}

func TestMetadata_OurOwn_Golden(t *testing.T) {
	got, err := newWorld(t).p.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(brokerKey().cert.Raw)
	text := strings.ReplaceAll(string(got), key, "CERTIFICATE")
	want := `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="https://id.test/saml/uni/metadata">
  <md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:KeyDescriptor use="signing">
      <ds:KeyInfo>
        <ds:X509Data>
          <ds:X509Certificate>CERTIFICATE</ds:X509Certificate>
        </ds:X509Data>
      </ds:KeyInfo>
    </md:KeyDescriptor>
    <md:KeyDescriptor use="encryption">
      <ds:KeyInfo>
        <ds:X509Data>
          <ds:X509Certificate>CERTIFICATE</ds:X509Certificate>
        </ds:X509Data>
      </ds:KeyInfo>
      <md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/>
      <md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"/>
      <md:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>
    </md:KeyDescriptor>
    <md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://id.test/saml/uni/slo"/>
    <md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://id.test/saml/uni/slo"/>
    <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>
    <md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://id.test/saml/uni/acs" index="0" isDefault="true"/>
  </md:SPSSODescriptor>
</md:EntityDescriptor>
`
	if text != want {
		t.Errorf("got\n%s", text)
	}
}
