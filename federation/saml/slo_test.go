package saml

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/keys"
)

// logoutRequest is a good one, unsigned.
func (w *world) logoutRequest() *etree.Element {
	return element(`<samlp:LogoutRequest xmlns:samlp="` + nsProtocol + `" xmlns:saml="` + nsAssertion + `" ID="_l1" Version="2.0" IssueInstant="` + w.now.Format(timeFormat) +
		`" Destination="` + slo + `" NotOnOrAfter="` + w.now.Add(time.Minute).Format(timeFormat) + `"><saml:Issuer>` + theirs + `</saml:Issuer>` +
		`<saml:NameID Format="` + formatPersistent + `" SPNameQualifier="` + ours + `">account-1</saml:NameID><samlp:SessionIndex>_s</samlp:SessionIndex></samlp:LogoutRequest>`)
}

func (w *world) logoutResponse(state string) *etree.Element {
	return element(`<samlp:LogoutResponse xmlns:samlp="` + nsProtocol + `" xmlns:saml="` + nsAssertion + `" ID="_l2" Version="2.0" IssueInstant="` + w.now.Format(timeFormat) +
		`" Destination="` + slo + `" InResponseTo="` + logoutID(state) + `"><saml:Issuer>` + theirs + `</saml:Issuer>` +
		`<samlp:Status><samlp:StatusCode Value="` + statusPrefix + `Success"/></samlp:Status></samlp:LogoutResponse>`)
}

func deflate(text []byte) string {
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = z.Write(text)
	_ = z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// signQuery signs a query as a provider does.
func signQuery(query string, by pair) string {
	digest := sha256.Sum256([]byte(query))
	sig, err := by.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig))
}

func unsignedQuery(name string, el *etree.Element, relay string) string {
	q := name + "=" + url.QueryEscape(deflate([]byte(mustXML(el))))
	if relay != "" {
		q += "&RelayState=" + url.QueryEscape(relay)
	}
	return q + "&SigAlg=" + url.QueryEscape(rsaSHA256)
}

func (w *world) byRedirect(query string) (federation.LogoutMessage, error) {
	return w.p.Logout(w.t.Context(), query, nil)
}

func (w *world) byPost(el *etree.Element) (federation.LogoutMessage, error) {
	return w.p.Logout(w.t.Context(), "", url.Values{"SAMLRequest": {encode(el)}, "RelayState": {"theirs"}})
}

// wantEnded checks that the request names the session that a good response began.
func (w *world) wantEnded(m federation.LogoutMessage, err error) {
	w.t.Helper()
	if err != nil || m.Ended == nil {
		w.t.Fatalf("%+v, %v", m, err)
	}
	other := newWorld(w.t) // whose memory of assertions is empty
	saved, request := other.begin(federation.Request{})
	login, err := other.finish(federation.Request{}, saved, encode(sign(w.response(request, w.assertion(request)), idpKey())))
	if err != nil {
		w.t.Fatal(err)
	}
	if m.Ended.Subject != login.Names.Subject || !slices.Equal(m.Ended.Sessions, []string{login.Names.Session}) || m.Ended.ID != "_l1" {
		w.t.Errorf("ended %+v; signed in as %+v", m.Ended, login.Names)
	}
	if !m.Ended.At.Equal(w.now) || !m.Ended.Until.After(w.now.Add(oldestLogout)) {
		w.t.Errorf("sent at %s, remembered until %s", m.Ended.At, m.Ended.Until)
	}
}

func TestLogout_AGoodRequestNamesTheSessionOfTheSignIn_Profiles_4_4(t *testing.T) {
	w := newWorld(t)
	m, err := w.byPost(sign(w.logoutRequest(), idpKey()))
	w.wantEnded(m, err)
	if m.Relay != "theirs" {
		t.Errorf("RelayState %q", m.Relay)
	}
	for _, relay := range []string{"", "their state"} {
		m, err = w.byRedirect(signQuery(unsignedQuery("SAMLRequest", w.logoutRequest(), relay), idpKey()))
		w.wantEnded(m, err)
		if m.Relay != relay {
			t.Errorf("RelayState %q", m.Relay)
		}
	}
}

// A qualifier that is left out means the one that is meant, and no other person is
// reached by leaving one out or by shifting text between the parts.
func TestLogout_NameIDsAreOnePersonOrAnother_Core_8_3_7(t *testing.T) {
	w := newWorld(t)
	full := w.p.name(nameID{Value: "a", Format: formatPersistent, Qualifier: theirs, SPQualifier: ours})
	for name, tt := range map[string]struct {
		id   nameID
		same bool
	}{
		"qualifiers left out":  {nameID{Value: "a", Format: formatPersistent}, true},
		"another format":       {nameID{Value: "a"}, false},
		"another value":        {nameID{Value: "b", Format: formatPersistent}, false},
		"another qualifier":    {nameID{Value: "a", Format: formatPersistent, Qualifier: "urn:x"}, false},
		"another SP qualifier": {nameID{Value: "a", Format: formatPersistent, SPQualifier: "urn:x"}, false},
		"shifted text":         {nameID{Value: "a", Format: formatPersistent, Qualifier: theirs + `" "` + ours}, false},
	} {
		if (w.p.name(tt.id) == full) != tt.same {
			t.Errorf("%s: the same is %v", name, !tt.same)
		}
	}
}

func TestLogout_RequestsThatAreNotBelieved(t *testing.T) {
	attr := func(name, value string) func(*world) *etree.Element {
		return func(w *world) *etree.Element {
			el := w.logoutRequest()
			if el.CreateAttr(name, value); value == "" {
				el.RemoveAttr(name)
			}
			return el
		}
	}
	edit := func(change func(*etree.Element)) func(*world) *etree.Element {
		return func(w *world) *etree.Element { el := w.logoutRequest(); change(el); return el }
	}
	at := func(d time.Duration) string { return noon.Add(d).Format(timeFormat) }
	for name, build := range map[string]func(*world) *etree.Element{
		"SA_10 another destination":  attr("Destination", acs),
		"SA_10 no destination":       attr("Destination", ""),
		"SA_10 another issuer":       edit(func(el *etree.Element) { el.ChildElements()[0].SetText("https://evil.test") }),
		"SA_10 no issuer":            edit(func(el *etree.Element) { el.RemoveChild(el.ChildElements()[0]) }),
		"SA_11 expired":              attr("NotOnOrAfter", at(-time.Minute)),
		"SA_11 a malformed end":      attr("NotOnOrAfter", "tomorrow"),
		"SA_11 issued long ago":      attr("IssueInstant", at(-oldestLogout-time.Minute)),
		"SA_11 issued in the future": attr("IssueInstant", at(time.Minute)),
		"SA_11 no time":              attr("IssueInstant", ""),
		"no ID":                      attr("ID", ""),
		"version 1.1":                attr("Version", "1.1"),
		"SA_08 a comment in NameID": edit(func(el *etree.Element) {
			n := el.ChildElements()[1]
			n.SetText("account-1")
			n.CreateComment("")
			n.CreateText(".evil")
		}),
		"an element in NameID":  edit(func(el *etree.Element) { el.ChildElements()[1].CreateElement("saml:x") }),
		"no NameID":             edit(func(el *etree.Element) { el.RemoveChild(el.ChildElements()[1]) }),
		"two NameIDs":           edit(func(el *etree.Element) { el.AddChild(el.ChildElements()[1].Copy()) }),
		"an empty NameID":       edit(func(el *etree.Element) { el.ChildElements()[1].SetText("") }),
		"an empty SessionIndex": edit(func(el *etree.Element) { el.ChildElements()[2].SetText("") }),
		"far too many sessions": edit(func(el *etree.Element) {
			for range maxIndexes {
				el.AddChild(el.ChildElements()[2].Copy())
			}
		}),
		"extensions":              edit(func(el *etree.Element) { el.CreateElement("samlp:Extensions") }),
		"a response in its place": func(w *world) *etree.Element { return w.logoutResponse(state) },
		"a sign-in in its place":  func(w *world) *etree.Element { return w.response("_r", w.assertion("_r")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.byPost(sign(build(w), idpKey())); err == nil {
				t.Error("believed by POST")
			}
			_, err := w.byRedirect(signQuery(unsignedQuery("SAMLRequest", build(w), ""), idpKey()))
			wantKind(t, err, federation.Invalid)
			if strings.Contains(w.log.String(), "account-1") || strings.Contains(err.Error(), "account-1") {
				t.Error("the reason names her")
			}
		})
	}
}

func TestSA_03_SA_05_ALogoutRequestMustBeSignedByAPinnedKey(t *testing.T) {
	w := newWorld(t)
	for name, el := range map[string]*etree.Element{
		"unsigned": w.logoutRequest(), "by another key": sign(w.logoutRequest(), otherKey()), "by a weak key": sign(w.logoutRequest(), weakKey()),
	} {
		if _, err := w.byPost(el); err == nil {
			t.Errorf("%s: believed by POST", name)
		}
	}
	query := unsignedQuery("SAMLRequest", w.logoutRequest(), "")
	for name, q := range map[string]string{
		"unsigned":                     query,
		"no algorithm":                 signQuery(strings.Split(query, "&SigAlg")[0], idpKey()),
		"by another key":               signQuery(query, otherKey()),
		"SHA-1":                        signQuery(strings.Replace(query, "rsa-sha256", "rsa-sha1", 1), idpKey()),
		"HMAC":                         signQuery(strings.Split(query, "&SigAlg")[0]+"&SigAlg="+url.QueryEscape("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"), idpKey()),
		"signed within, not the query": strings.Split(unsignedQuery("SAMLRequest", sign(w.logoutRequest(), idpKey()), ""), "&SigAlg")[0],
		"signed within and the query":  signQuery(unsignedQuery("SAMLRequest", sign(w.logoutRequest(), idpKey()), ""), idpKey()),
	} {
		if _, err := w.byRedirect(q); err == nil {
			t.Errorf("%s: believed by redirect", name)
		}
	}
}

// Wrapping: what is signed stands somewhere in a request that nobody signed.
func TestSA_01_SA_04_AWrappedLogoutRequestProvesNothing(t *testing.T) {
	w := newWorld(t)
	good := func() *etree.Element { return sign(w.logoutRequest(), idpKey()) }
	evil := func() *etree.Element {
		el := w.logoutRequest()
		el.CreateAttr("ID", "_evil")
		el.ChildElements()[1].SetText("victim")
		return el
	}
	signature := func(el *etree.Element) *etree.Element { return children(el, nsSignature, "Signature")[0] }
	for name, build := range map[string]func() *etree.Element{
		"the good one as a child": func() *etree.Element { el := evil(); el.AddChild(good()); return el },
		"its signature moved":     func() *etree.Element { el := evil(); el.AddChild(signature(good()).Copy()); return el },
		"in Extensions":           func() *etree.Element { el := evil(); el.CreateElement("samlp:Extensions").AddChild(good()); return el },
		"the good one in the Object": func() *etree.Element {
			el := evil()
			s := signature(good()).Copy()
			s.CreateElement("ds:Object").AddChild(good())
			el.AddChild(s)
			return el
		},
		"the same ID twice":   func() *etree.Element { el := evil(); el.CreateAttr("ID", "_l1"); el.AddChild(good()); return el },
		"the good one around": func() *etree.Element { el := good(); el.AddChild(evil()); return el },
		"altered": func() *etree.Element {
			el := good()
			children(el, nsAssertion, "NameID")[0].SetText("victim")
			return el
		},
		"one session more": func() *etree.Element { el := good(); el.CreateElement("samlp:SessionIndex").SetText("_x"); return el },
		"two signatures":   func() *etree.Element { el := good(); el.AddChild(signature(el).Copy()); return el },
	} {
		if m, err := w.byPost(build()); err == nil {
			t.Errorf("%s: believed: %+v", name, m)
		}
	}
	// No element of a good one can be moved or doubled.
	base := good()
	n := 0
	eachElement(base, func(*etree.Element) { n++ })
	for from := range n {
		for to := range n {
			for _, keep := range []bool{false, true} {
				if mutant, harmless := mutate(good(), from, to, keep); mutant != nil && !harmless {
					if m, err := w.byPost(mutant); err == nil && (m.Ended.Subject != w.p.name(nameID{Value: "account-1", Format: formatPersistent}) || !slices.Equal(m.Ended.Sessions, []string{"_s"})) {
						t.Errorf("element %d moved to %d (kept %v) says something else", from, to, keep)
					}
				}
			}
		}
	}
}

func TestSA_13_AQueryIsReadAsItWasSigned(t *testing.T) {
	w := newWorld(t)
	good := signQuery(unsignedQuery("SAMLRequest", w.logoutRequest(), "st"), idpKey())
	request := "SAMLRequest=" + url.QueryEscape(deflate([]byte(mustXML(w.logoutRequest()))))
	for name, q := range map[string]string{
		"another RelayState":            strings.Replace(good, "RelayState=st", "RelayState=ts", 1),
		"RelayState left out":           strings.Replace(good, "&RelayState=st", "", 1),
		"RelayState twice":              good + "&RelayState=st",
		"the message twice":             good + "&" + request,
		"the message first and again":   request + "&" + good,
		"a response beside the request": good + "&SAMLResponse=" + url.QueryEscape(deflate([]byte(mustXML(w.logoutResponse("st"))))),
		"an empty response beside it":   good + "&SAMLResponse=",
		"another encoding":              good + "&SAMLEncoding=x",
		"a name that is escaped":        strings.Replace(good, "RelayState", "Relay%53tate", 1),
		"a bad escape":                  good + "&RelayStat%zz",
		"the signature of other bytes":  strings.Replace(good, "&SigAlg=http%3A", "&SigAlg=http:", 1),
		"nothing":                       "",
		"under the name of the other":   signQuery(unsignedQuery("SAMLResponse", w.logoutRequest(), ""), idpKey()),
		"far too long":                  good + strings.Repeat("&", maxLogoutQuery),
		"not deflated":                  signQuery("SAMLRequest="+url.QueryEscape(encode(w.logoutRequest()))+"&SigAlg="+url.QueryEscape(rsaSHA256), idpKey()),
		"SA_14 a bomb":                  signQuery("SAMLRequest="+url.QueryEscape(deflate(bytes.Repeat([]byte(" "), 1<<23)))+"&SigAlg="+url.QueryEscape(rsaSHA256), idpKey()),
		"SA_07 a document type":         signQuery("SAMLRequest="+url.QueryEscape(deflate([]byte(`<!DOCTYPE x [<!ENTITY e "e">]>`+mustXML(w.logoutRequest()))))+"&SigAlg="+url.QueryEscape(rsaSHA256), idpKey()),
	} {
		_, err := w.byRedirect(q)
		if err == nil {
			t.Errorf("%s: believed", name)
			continue
		}
		wantKind(t, err, federation.Invalid)
	}
	message := encode(sign(w.logoutRequest(), idpKey()))
	for name, form := range map[string]url.Values{
		"both": {"SAMLRequest": {message}, "SAMLResponse": {message}}, "neither": {"RelayState": {"x"}}, "twice": {"SAMLRequest": {message, message}},
		"another field": {"SAMLRequest": {message}, "x": {"y"}}, "under the name of the other": {"SAMLResponse": {message}}, "junk": {"SAMLRequest": {message + "*"}},
		"SA_14 too large": {"SAMLRequest": {base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(" "), maxDocument+1))}},
	} {
		if _, err := w.p.Logout(t.Context(), "", form); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

func TestLeave_SendsASignedRequestAndBelievesOnlyTheAnswerToIt_Profiles_4_4_3(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	login, err := w.finish(federation.Request{}, saved, encode(sign(w.response(request, w.assertion(request)), idpKey())))
	if err != nil {
		t.Fatal(err)
	}
	to, err := w.p.Leave(t.Context(), login.LogoutHint, "https://id.test/logout/return", "st~ate")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil || u.Host+u.Path != "idp.test/slo" || u.Query().Get("RelayState") != "st~ate" {
		t.Fatalf("she is sent to %s, %v", to, err)
	}
	text, sig, _ := strings.Cut(u.RawQuery, "&Signature=")
	sig, _ = url.QueryUnescape(sig)
	if err := (&metadata{keys: []crypto.PublicKey{brokerKey().cert.PublicKey}}).vouchesFor(text, u.Query().Get("SigAlg"), sig); err != nil {
		t.Error(err)
	}
	root, err := inflated(u.Query().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	want := `<samlp:LogoutRequest xmlns:samlp="` + nsProtocol + `" xmlns:saml="` + nsAssertion + `" ID="` + logoutID("st~ate") + `" Version="2.0" IssueInstant="2026-03-14T12:00:00Z" Destination="https://idp.test/slo" NotOnOrAfter="2026-03-14T12:05:00Z">` +
		`<saml:Issuer>` + ours + `</saml:Issuer><saml:NameID Format="` + formatPersistent + `" SPNameQualifier="` + ours + `">account-1</saml:NameID><samlp:SessionIndex>_s</samlp:SessionIndex></samlp:LogoutRequest>`
	if got := mustXML(root); got != want {
		t.Errorf("request\n%s\nwant\n%s", got, want)
	}
	answer := func(el *etree.Element, relay string) (federation.LogoutMessage, error) {
		return w.byRedirect(signQuery(unsignedQuery("SAMLResponse", el, relay), idpKey()))
	}
	if m, err := answer(w.logoutResponse("st~ate"), "st~ate"); err != nil || m.Ended != nil || m.Relay != "st~ate" {
		t.Errorf("the answer: %+v, %v", m, err)
	}
	for name, refused := range map[string]func() (federation.LogoutMessage, error){
		"of another logout":  func() (federation.LogoutMessage, error) { return answer(w.logoutResponse("other"), "st~ate") },
		"without RelayState": func() (federation.LogoutMessage, error) { return answer(w.logoutResponse(""), "") },
		"to another address": func() (federation.LogoutMessage, error) {
			el := w.logoutResponse("st~ate")
			el.CreateAttr("Destination", acs)
			return answer(el, "st~ate")
		},
		"of somebody else": func() (federation.LogoutMessage, error) {
			el := w.logoutResponse("st~ate")
			el.ChildElements()[0].SetText("urn:x")
			return answer(el, "st~ate")
		},
		"of long ago": func() (federation.LogoutMessage, error) {
			el := w.logoutResponse("st~ate")
			el.CreateAttr("IssueInstant", "2026-03-14T11:00:00Z")
			return answer(el, "st~ate")
		},
		"without a status": func() (federation.LogoutMessage, error) {
			el := w.logoutResponse("st~ate")
			el.RemoveChild(el.ChildElements()[1])
			return answer(el, "st~ate")
		},
		"that nobody signed": func() (federation.LogoutMessage, error) {
			return w.byRedirect(unsignedQuery("SAMLResponse", w.logoutResponse("st~ate"), "st~ate"))
		},
	} {
		if _, err := refused(); err == nil {
			t.Errorf("an answer %s is believed", name)
		}
	}
}

func TestLeave_NobodyIsSentWhereThereIsNoLogout(t *testing.T) {
	none := idpMetadata(func(root *etree.Element) {
		role := root.ChildElements()[0]
		role.RemoveChild(children(role, nsMetadata, "SingleLogoutService")[0])
	}, idpKey())
	for name, change := range map[string]func(*Config){
		"the provider has none": func(c *Config) { c.Metadata = none },
		"switched off":          func(c *Config) { c.Relay = false },
	} {
		w := newWorld(t, change)
		saved, request := w.begin(federation.Request{})
		login, err := w.finish(federation.Request{}, saved, encode(sign(w.response(request, w.assertion(request)), idpKey())))
		if err != nil || login.LogoutHint != "" || login.Names.Subject == "" {
			t.Errorf("%s: hint kept %v, names %v, %v", name, login.LogoutHint != "", login.Names, err)
		}
		if to, err := w.p.Leave(t.Context(), `{"v":"account-1"}`, "", "st"); to != "" || err != nil {
			t.Errorf("%s: sent to %q, %v", name, to, err)
		}
	}
	w := newWorld(t)
	if to, err := w.p.Leave(t.Context(), "eyJhbGciOiJFUzI1NiJ9.e30.x", "", "st"); to != "" || err != nil {
		t.Errorf("the hint of another protocol: %q, %v", to, err)
	}
}

func TestAnswer_IsSignedAndGoesWhereTheMetadataSays_Core_3_7_2(t *testing.T) {
	for done, status := range map[bool]string{true: "Success", false: "Responder"} {
		w := newWorld(t, func(c *Config) {
			c.Metadata = idpMetadata(func(root *etree.Element) {
				children(root.ChildElements()[0], nsMetadata, "SingleLogoutService")[0].CreateAttr("ResponseLocation", "https://idp.test/slo/done?t=1")
			}, idpKey())
		})
		to, err := w.p.Answer(t.Context(), federation.Ended{ID: "_l1"}, "their state", done)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(to)
		if err != nil || u.Host+u.Path != "idp.test/slo/done" || u.Query().Get("t") != "1" || u.Query().Get("RelayState") != "their state" || u.Query().Get("Signature") == "" {
			t.Fatalf("the answer goes to %s, %v", to, err)
		}
		root, err := inflated(u.Query().Get("SAMLResponse"))
		if err != nil {
			t.Fatal(err)
		}
		text := mustXML(root)
		if to, _ := attr(root, "InResponseTo"); to != "_l1" || !strings.Contains(text, statusPrefix+status) || !strings.Contains(text, `Destination="https://idp.test/slo/done?t=1"`) {
			t.Errorf("answer %s", text)
		}
	}
}

func TestSA_15_LogoutAddressesThatWillNotDoAreRefused(t *testing.T) {
	for _, to := range []string{"javascript:alert(1)", "http://idp.test/slo", "https://other.test/slo", "https://u:p@idp.test/slo", "https://idp.test/slo?SAMLRequest=x"} {
		for _, name := range []string{"Location", "ResponseLocation"} {
			w := newWorld(t)
			w.cfg.Metadata = idpMetadata(func(root *etree.Element) {
				children(root.ChildElements()[0], nsMetadata, "SingleLogoutService")[0].CreateAttr(name, to)
			}, idpKey())
			if _, err := New(w.cfg); err == nil {
				t.Errorf("%s %s is taken", name, to)
			}
		}
	}
}

func TestCheck_SeesMetadataThatHasExpiredAndComesBack(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Metadata = idpMetadata(func(root *etree.Element) { root.CreateAttr("validUntil", noon.Add(time.Hour).Format(timeFormat)) }, idpKey())
	})
	if err := w.p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.now = noon.Add(2 * time.Hour)
	wantKind(t, w.p.Check(t.Context()), federation.Unavailable)
}

func TestAnswer_KeysThatAreGoneAreNoAnswer(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Keys = keyless{} })
	_, err := w.p.Answer(t.Context(), federation.Ended{ID: "_l1"}, "", true)
	wantKind(t, err, federation.Unavailable)
	if !errors.Is(err, keys.ErrClosed) {
		t.Error(err)
	}
}

// keyless signs nothing.
type keyless struct{ holder }

func (keyless) SignSAMLQuery(context.Context, string) ([]byte, error) { return nil, keys.ErrClosed }
