package saml

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/outbound"
)

// published serves metadata that can be changed, to a provider that pins
// metadataKey.
func published(t *testing.T) (*world, *atomic.Pointer[[]byte]) {
	t.Helper()
	body := &atomic.Pointer[[]byte]{}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if b := body.Load(); b != nil {
			_, _ = rw.Write(*b)
			return
		}
		rw.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(srv.Close)
	return newWorld(t, func(c *Config) {
		c.Metadata, c.MetadataURL, c.MetadataSigners = nil, srv.URL, []*x509.Certificate{metadataKey().cert}
		c.Client = outbound.New(outbound.Config{AllowHTTP: true, AllowPrivate: true})
		c.AllowHTTP = true
	}), body
}

func signedMetadata(by pair, change func(*etree.Element), of ...pair) *[]byte {
	root := element(string(idpMetadata(change, of...)))
	out := []byte(mustXML(sign(root, by)))
	return &out
}

func TestSA_15_MetadataFromAnAddressMustBeSignedByThePinnedKey(t *testing.T) {
	unsigned := idpMetadata(nil, idpKey())
	for name, doc := range map[string]*[]byte{
		"unsigned":                     &unsigned,
		"signed by its own key":        signedMetadata(idpKey(), nil, idpKey()),
		"signed by another":            signedMetadata(otherKey(), nil, idpKey()),
		"expired":                      signedMetadata(metadataKey(), func(r *etree.Element) { r.CreateAttr("validUntil", "2026-03-14T12:00:00Z") }, idpKey()),
		"expired in its role":          signedMetadata(metadataKey(), func(r *etree.Element) { r.ChildElements()[0].CreateAttr("validUntil", "2026-03-14T11:00:00Z") }, idpKey()),
		"of an expiry nobody can read": signedMetadata(metadataKey(), func(r *etree.Element) { r.CreateAttr("validUntil", "tomorrow") }, idpKey()),
	} {
		t.Run(name, func(t *testing.T) {
			w, body := published(t)
			body.Store(doc)
			_, err := w.p.Start(t.Context(), federation.Request{State: state})
			wantKind(t, err, federation.Unavailable)
			if !strings.Contains(w.log.String(), "provider metadata refused") {
				t.Error("nobody is told")
			}
		})
	}
	w, body := published(t)
	body.Store(signedMetadata(metadataKey(), nil, idpKey()))
	saved, request := w.begin(federation.Request{})
	w.wantAlice(saved, encode(w.response(request, sign(w.assertion(request), idpKey()))))
}

func TestSA_15_MetadataThatWillNotDoIsRefused(t *testing.T) {
	location := func(value string) func(*etree.Element) {
		return func(r *etree.Element) {
			for _, s := range r.FindElements("./IDPSSODescriptor/SingleSignOnService") {
				s.CreateAttr("Location", value)
			}
		}
	}
	for name, change := range map[string]func(*etree.Element){
		"of another entity":                   func(r *etree.Element) { r.CreateAttr("entityID", "https://evil.test") },
		"of many entities":                    func(r *etree.Element) { r.Tag = "EntitiesDescriptor" },
		"of a service":                        func(r *etree.Element) { r.ChildElements()[0].Tag = "SPSSODescriptor" },
		"javascript:":                         location("javascript:alert(1)"),
		"data:":                               location("data:text/html,x"),
		"http":                                location("http://idp.test/sso"),
		"the host of another party":           location("https://other.test/sso"),
		"our own host":                        location("https://ID.test/sso"),
		"an address with a parameter of ours": location("https://idp.test/sso?RelayState=evil"),
		"only the POST binding":               func(r *etree.Element) { r.ChildElements()[0].RemoveChild(r.ChildElements()[0].ChildElements()[2]) },
		"no key":                              func(r *etree.Element) { r.ChildElements()[0].RemoveChildAt(0) },
		"a key for encryption only": func(r *etree.Element) {
			r.FindElement("./IDPSSODescriptor/KeyDescriptor").CreateAttr("use", "encryption")
		},
		"a key of a use that there is not": func(r *etree.Element) { r.FindElement("./IDPSSODescriptor/KeyDescriptor").CreateAttr("use", "") },
		"a certificate that is none":       func(r *etree.Element) { r.FindElement("//X509Certificate").SetText("AAAA") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.Metadata = idpMetadata(change, idpKey())
			if _, err := New(w.cfg); err == nil {
				t.Error("it is accepted")
			}
		})
	}
	t.Run("a weak key only", func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Metadata = idpMetadata(nil, weakKey())
		if _, err := New(w.cfg); err == nil {
			t.Error("it is accepted")
		}
	})
}

func TestMetadata_AKeyOfNoStatedUseSigns(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Metadata = idpMetadata(func(r *etree.Element) { r.FindElement("./IDPSSODescriptor/KeyDescriptor").RemoveAttr("use") }, idpKey())
	})
	saved, request := w.begin(federation.Request{})
	w.wantAlice(saved, encode(w.response(request, sign(w.assertion(request), idpKey()))))
}

// What is not signed may come from anybody, so it takes nothing away; what the
// signer says counts at once.
func TestMetadata_TheLastGoodOneIsKept(t *testing.T) {
	w, body := published(t)
	body.Store(signedMetadata(metadataKey(), func(r *etree.Element) { r.CreateAttr("validUntil", "2026-03-16T12:00:00Z") }, idpKey()))
	if err := w.p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	body.Store(nil)
	w.now = noon.Add(2 * time.Hour)
	if err := w.p.Ready(t.Context()); err != nil {
		t.Errorf("while the address fails: %v", err)
	}
	unsigned := idpMetadata(nil, otherKey())
	body.Store(&unsigned)
	w.now = noon.Add(4 * time.Hour)
	if err := w.p.Ready(t.Context()); err != nil {
		t.Errorf("while somebody else answers there: %v", err)
	}
	saved, request := w.begin(federation.Request{})
	w.wantAlice(saved, encode(w.response(request, sign(w.assertion(request), idpKey()))))
	w.now = noon.Add(48 * time.Hour)
	wantKind(t, w.p.Ready(t.Context()), federation.Unavailable)

	body.Store(signedMetadata(metadataKey(), nil, otherKey()))
	w.now = noon.Add(50 * time.Hour)
	w.once.seen = nil
	saved, request = w.begin(federation.Request{})
	w.wantRefused(federation.Invalid, saved, encode(w.response(request, sign(w.assertion(request), idpKey()))))
	w.wantAlice(saved, encode(w.response(request, sign(w.assertion(request), otherKey()))))

	body.Store(signedMetadata(metadataKey(), func(r *etree.Element) { r.CreateAttr("entityID", "https://evil.test") }, idpKey()))
	w.now = noon.Add(52 * time.Hour)
	wantKind(t, w.p.Ready(t.Context()), federation.Unavailable)
}

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	good := newWorld(t).cfg
	for name, change := range map[string]func(*Config){
		"no id":                           func(c *Config) { c.ID = "" },
		"no entity id":                    func(c *Config) { c.EntityID = "" },
		"our own entity id":               func(c *Config) { c.EntityID = ours },
		"no keys":                         func(c *Config) { c.Keys = nil },
		"no memory":                       func(c *Config) { c.Once = nil },
		"no levels":                       func(c *Config) { c.ACR.Map = nil },
		"an unknown level":                func(c *Config) { c.ACR.Max = "eidas9" },
		"no metadata":                     func(c *Config) { c.Metadata = nil },
		"metadata from two places":        func(c *Config) { c.MetadataURL = "https://idp.test/" },
		"an address without a pinned key": func(c *Config) { c.Metadata, c.MetadataURL, c.Client = nil, "https://idp.test/", http.DefaultClient },
		"a weak pinned key": func(c *Config) {
			c.Metadata, c.MetadataURL, c.Client, c.MetadataSigners = nil, "https://idp.test/", http.DefaultClient, []*x509.Certificate{weakKey().cert}
		},
		"the ACS of another provider": func(c *Config) { c.ACS = "https://id.test/saml/other/acs" },
		"an unknown claim":            func(c *Config) { c.Attributes = map[string]string{"x": "sub"} },
		"two attributes for a claim":  func(c *Config) { c.Attributes = map[string]string{"x": "email", "y": "email"} },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: New accepts it", name)
		}
	}
}
