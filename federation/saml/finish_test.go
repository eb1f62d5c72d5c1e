package saml

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

// wantAlice checks what a good response leads to.
func (w *world) wantAlice(saved []byte, message string) {
	w.t.Helper()
	got, err := w.finish(federation.Request{}, saved, message)
	if err != nil {
		w.t.Error(err)
		return
	}
	if got.Provider != "uni" || got.Issuer != theirs || got.Subject != "account-1" || got.ACR != protocol.EIDAS1 || !got.AuthTime.Equal(w.now) ||
		got.Identity.Pivot.GivenName != canary || got.Identity.Pivot.FamilyName != "Martin" || got.Identity.Email != "canary@example.test" || got.Identity.EmailVerified {
		w.t.Errorf("login = %q %q %s %s %#v", got.Issuer, got.Subject, got.ACR, got.AuthTime, got.Identity)
	}
}

func TestFinish_GoodResponsesAreBelieved(t *testing.T) {
	tests := []struct {
		name  string
		build func(w *world, request string) *etree.Element
	}{
		{"the assertion is signed", func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), idpKey()))
		}},
		{"the response is signed", func(w *world, request string) *etree.Element {
			return sign(w.response(request, w.assertion(request)), idpKey())
		}},
		{"both are signed", func(w *world, request string) *etree.Element {
			return sign(w.response(request, sign(w.assertion(request), idpKey())), idpKey())
		}},
		{"with SHA-512", func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), idpKey(), func(c *dsig.SigningContext) { c.Hash = 7 }))
		}},
		{"by an elliptic curve", func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), ecKey()))
		}},
		{"by P-384", func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), ec384Key(), func(c *dsig.SigningContext) { c.Hash = 6 }))
		}},
		{"without KeyInfo", func(w *world, request string) *etree.Element {
			a := sign(w.assertion(request), idpKey())
			sig := a.SelectElement("Signature")
			sig.RemoveChild(sig.SelectElement("KeyInfo"))
			return w.response(request, a)
		}},
		{"encrypted with AES-GCM", func(w *world, request string) *etree.Element {
			return w.response(request, encrypted(sign(w.assertion(request), idpKey()), gcm128, oaep1))
		}},
		{"encrypted, and the response signed as well", func(w *world, request string) *etree.Element {
			return sign(w.response(request, encrypted(sign(w.assertion(request), idpKey()), gcm128, oaep1)), idpKey())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Metadata = idpMetadata(nil, otherKey(), idpKey(), ecKey(), ec384Key()) })
			saved, request := w.begin(federation.Request{})
			w.wantAlice(saved, encode(tt.build(w, request)))
		})
	}
}

// A second opinion: what we believe, goxmldsig's own verification believes too.
func TestFinish_AnotherVerifierAgrees(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	a := sign(w.assertion(request), idpKey())
	ctx := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{idpKey().cert}})
	ctx.Clock = dsig.NewFakeClockAt(noon.AddDate(-8, -6, 0))
	if _, err := ctx.Validate(a); err != nil {
		t.Fatal(err)
	}
	w.wantAlice(saved, encode(w.response(request, a)))
}

func TestFinish_Level(t *testing.T) {
	tests := []struct {
		name  string
		class string
		least protocol.ACR
		want  protocol.ACR
		kind  federation.Kind
	}{
		{"is what the operator says of the class", token, protocol.EIDAS2, protocol.EIDAS2, 0},
		{"is never above the provider's maximum", "urn:too-good", "", protocol.EIDAS2, 0},
		{"below what was asked is refused", password, protocol.EIDAS2, "", federation.TooWeak},
		{"of an unknown class is refused", "urn:oasis:names:tc:SAML:2.0:ac:classes:X509", "", "", federation.TooWeak},
		{"of no class is refused", "", "", "", federation.TooWeak},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			r := federation.Request{MinACR: tt.least}
			saved, request := w.begin(r)
			a := w.assertion(request)
			context := a.FindElement("./AuthnStatement/AuthnContext")
			if tt.class == "" {
				context.RemoveChildAt(0)
			} else {
				context.ChildElements()[0].SetText(tt.class)
			}
			got, err := w.finish(r, saved, encode(w.response(request, sign(a, idpKey()))))
			wantKind(t, err, tt.kind)
			if got.ACR != tt.want {
				t.Errorf("level %q, want %q", got.ACR, tt.want)
			}
		})
	}
}

func wantKind(t *testing.T, err error, kind federation.Kind) {
	t.Helper()
	var e *federation.Error
	if kind == 0 && err != nil || kind != 0 && (!errors.As(err, &e) || e.Kind != kind) {
		t.Errorf("error %v, want kind %d", err, kind)
	}
}

func TestFinish_AgeOfTheSignIn(t *testing.T) {
	hour := time.Hour
	tests := []struct {
		name string
		r    federation.Request
		age  time.Duration
		kind federation.Kind
	}{
		{"any age will do", federation.Request{}, 8 * hour, 0},
		{"within max_age", federation.Request{MaxAge: &hour}, 59 * time.Minute, 0},
		{"older than max_age", federation.Request{MaxAge: &hour}, hour + 11*time.Second, federation.TooOld},
		{"a new one was asked for", federation.Request{ForceLogin: true}, 11 * time.Second, federation.TooOld},
		{"a new one was asked for and made", federation.Request{ForceLogin: true}, 0, 0},
		{"from the future", federation.Request{}, -11 * time.Second, federation.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			saved, request := w.begin(tt.r)
			a := w.assertion(request)
			a.SelectElement("AuthnStatement").CreateAttr("AuthnInstant", w.now.Add(-tt.age).Format(timeFormat))
			_, err := w.finish(tt.r, saved, encode(w.response(request, sign(a, idpKey()))))
			wantKind(t, err, tt.kind)
		})
	}
}

func TestFinish_Subject(t *testing.T) {
	nameID := func(edit func(*etree.Element)) func(*etree.Element) {
		return func(a *etree.Element) { edit(a.FindElement("./Subject/NameID")) }
	}
	tests := []struct {
		name   string
		change func(*Config)
		edit   func(*etree.Element)
		want   string // "": refused
	}{
		{"is the persistent NameID", nil, nameID(func(*etree.Element) {}), "account-1"},
		{"is the same with the qualifiers written out", nil, nameID(func(n *etree.Element) { n.CreateAttr("NameQualifier", theirs) }), "account-1"},
		{"is another with other qualifiers", nil, nameID(func(n *etree.Element) { n.CreateAttr("NameQualifier", "https://x.test") }), "account-1 https://x.test " + ours},
		{"is never a transient NameID", nil, nameID(func(n *etree.Element) {
			n.CreateAttr("Format", "urn:oasis:names:tc:SAML:2.0:nameid-format:transient")
		}), ""},
		{"is never an e-mail address", nil, nameID(func(n *etree.Element) {
			n.CreateAttr("Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress")
		}), ""},
		{"is never empty", nil, nameID(func(n *etree.Element) { n.SetText("") }), ""},
		{"has no spaces, so that it cannot imitate a qualified one", nil, nameID(func(n *etree.Element) { n.SetText("account-1 https://x.test " + ours) }), ""},
		{"is an attribute where the operator says so", func(c *Config) { c.SubjectAttribute = "sn" }, nameID(func(*etree.Element) {}), "sn Martin"},
		{"is nothing without that attribute", func(c *Config) { c.SubjectAttribute = "pairwise-id" }, nameID(func(*etree.Element) {}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.change != nil {
				w = newWorld(t, tt.change)
			}
			saved, request := w.begin(federation.Request{})
			a := w.assertion(request)
			tt.edit(a)
			got, err := w.finish(federation.Request{}, saved, encode(w.response(request, sign(a, idpKey()))))
			if (err == nil) != (tt.want != "") || got.Subject != tt.want {
				t.Errorf("subject %q, %v; want %q", got.Subject, err, tt.want)
			}
		})
	}
}

func TestFinish_Attributes(t *testing.T) {
	add := func(name string, values ...string) func(*etree.Element) {
		return func(a *etree.Element) {
			el := a.SelectElement("AttributeStatement").CreateElement("saml:Attribute")
			el.CreateAttr("Name", name)
			for _, v := range values {
				el.CreateElement("saml:AttributeValue").SetText(v)
			}
		}
	}
	set := func(name, value string) func(*etree.Element) {
		return func(a *etree.Element) {
			for _, el := range a.SelectElement("AttributeStatement").ChildElements() {
				if el.SelectAttrValue("Name", "") == name {
					el.ChildElements()[0].SetText(value)
				}
			}
		}
	}
	tests := []struct {
		name  string
		edit  func(*etree.Element)
		kind  federation.Kind
		email string
	}{
		{"that nobody mapped are dropped", add("role", "admin"), 0, "canary@example.test"},
		{"that stand twice are refused", add("mail", "evil@example.test"), federation.Invalid, ""},
		{"of the civil identity with two values are refused", func(a *etree.Element) {
			a.FindElement("./AttributeStatement/Attribute").CreateElement("saml:AttributeValue").SetText("Second")
		}, federation.BadIdentity, ""},
		{"a malformed e-mail address is left out", set("mail", "not an address"), 0, ""},
		{"a malformed name is refused", set("sn", "a\tb\u202e"), federation.BadIdentity, ""},
		{"a value that is more than text is refused", func(a *etree.Element) {
			a.FindElement("./AttributeStatement/Attribute/AttributeValue").CreateElement("saml:Evil")
		}, federation.BadIdentity, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			saved, request := w.begin(federation.Request{})
			a := w.assertion(request)
			tt.edit(a)
			got, err := w.finish(federation.Request{}, saved, encode(w.response(request, sign(a, idpKey()))))
			wantKind(t, err, tt.kind)
			if got.Identity.Email != tt.email {
				t.Errorf("e-mail %q, want %q", got.Identity.Email, tt.email)
			}
		})
	}
}

func TestFinish_ACivilIdentityMustBeWhole(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Schema.Civil = true })
	saved, request := w.begin(federation.Request{})
	w.wantRefused(federation.BadIdentity, saved, encode(w.response(request, sign(w.assertion(request), idpKey()))))
}

func TestFinish_ErrorsOfTheProvider(t *testing.T) {
	for detail, kind := range map[string]federation.Kind{
		"NoAuthnContext": federation.TooWeak, "AuthnFailed": federation.Cancelled, "RequestDenied": federation.Cancelled, "evil": federation.Refused,
	} {
		w := newWorld(t)
		saved, request := w.begin(federation.Request{})
		r := w.response(request)
		code := r.FindElement("./Status/StatusCode")
		code.CreateAttr("Value", statusPrefix+"Responder")
		code.CreateElement("samlp:StatusCode").CreateAttr("Value", statusPrefix+detail)
		w.wantRefused(kind, saved, encode(r))
		w.wantRefused(kind, saved, encode(sign(r, idpKey())))
		w.wantRefused(federation.Invalid, saved, encode(sign(r, otherKey())))
		r.AddChild(w.assertion(request))
		w.wantRefused(federation.Invalid, saved, encode(r))
	}
}

func TestFinish_EncryptionCanBeRequired(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RequireEncryption = true })
	saved, request := w.begin(federation.Request{})
	a := sign(w.assertion(request), idpKey())
	w.wantRefused(federation.Invalid, saved, encode(w.response(request, a.Copy())))
	w.wantAlice(saved, encode(w.response(request, encrypted(a, gcm128, oaep1))))
}

func TestPreset_NamesOnlyClaimsThatExist(t *testing.T) {
	for _, name := range Presets() {
		newWorld(t, func(c *Config) { c.Attributes = Preset(name) })
	}
	if Preset("other") != nil {
		t.Error("an unknown preset has attributes")
	}
}
