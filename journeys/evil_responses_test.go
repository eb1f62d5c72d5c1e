package journeys

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// evilResponses are the rows about SAML.
func evilResponses() []response {
	row := func(line, name, reason string, write func(m *message) string) response {
		return response{line: line, name: name, see: "invalid", reason: reason, write: write}
	}
	// meant changes what the one assertion says, and signs it well.
	meant := func(line, name, reason string, change func(m *message)) response {
		return row(line, name, reason, func(m *message) string { change(m); return m.response(m.signed()) })
	}
	altered := func(line, name, reason, from, to string) response {
		return row(line, name, reason, func(m *message) string { return strings.Replace(m.response(m.signed()), from, to, 1) })
	}
	posted := func(line, name, see string, change func(m *message, form url.Values)) response {
		r := row(line, name, "", honestly)
		r.see, r.post = see, change
		return r
	}
	published := func(name string, write func(e *evilSAML, id string) string) response {
		return response{line: "SA-15", name: name, see: "unavailable", reason: "metadata", metadata: write}
	}
	vouched := func(e *evilSAML, text string) string {
		return sealed(text, "_m", text[:strings.Index(text, ">")+1], rsaSHA256, e.federation)
	}
	honest := row("SA-16", "one parse and one tree: an honest response is believed", "", honestly)
	honest.see = "consent"
	whole := row("SA-03", "an honest response that is signed as a whole", "", func(m *message) string {
		return sealed(m.response(m.assertion()), "_r", behindIssuer, rsaSHA256, m.saml.key)
	})
	whole.see = "consent"
	return []response{
		honest, whole,
		row("SA-01", "a forged assertion in front of the signed one", "assertions", func(m *message) string { return m.response(m.forged(), m.signed()) }),
		row("SA-01", "the signed assertion first", "assertions", func(m *message) string { return m.response(m.signed(), m.forged()) }),
		row("SA-01", "the signed assertion in the forged one", "assertions", func(m *message) string {
			return m.response(strings.Replace(m.forged(), "</saml:Assertion>", m.signed()+"</saml:Assertion>", 1))
		}),
		row("SA-01", "the signed assertion in Extensions", "document", func(m *message) string {
			return m.response("<samlp:Extensions>"+m.signed()+"</samlp:Extensions>", m.forged())
		}),
		row("SA-01", "the signed assertion in an Object of its signature, in the forged one", "assertions", func(m *message) string {
			signature := m.signature()
			object := strings.Replace(signature, "</ds:Signature>", "<ds:Object>"+m.assertion()+"</ds:Object></ds:Signature>", 1)
			return m.response(strings.Replace(m.forged(), behindIssuer, behindIssuer+object, 1))
		}),
		row("SA-01", "its signature moved to the forged one", "signature", func(m *message) string {
			return m.response(strings.Replace(m.forged(), behindIssuer, behindIssuer+m.signature(), 1))
		}),
		row("SA-01", "its signature moved to the response", "signature", func(m *message) string {
			return strings.Replace(m.response(m.assertion()), behindIssuer, behindIssuer+m.signature(), 1)
		}),
		altered("SA-01", "a value changed", "signature", "subject-of-zephirine", "somebody-else"),
		row("SA-02", "two, both signed", "assertions", func(m *message) string {
			return m.response(m.signed(), sealed(m.forged(), "_forged", behindIssuer, rsaSHA256, m.saml.key))
		}),
		row("SA-02", "an encrypted one beside a signed one", "assertions", func(m *message) string {
			return m.response(m.signed(), `<saml:EncryptedAssertion xmlns:saml="`+samlAssertion+`"></saml:EncryptedAssertion>`)
		}),
		row("SA-02", "none", "assertions", func(m *message) string { return m.response() }),
		row("SA-03", "nothing is signed", "signature", func(m *message) string { return m.response(m.assertion()) }),
		row("SA-03", "the response alone, around two", "assertions", func(m *message) string {
			return sealed(m.response(m.assertion(), m.forged()), "_r", behindIssuer, rsaSHA256, m.saml.key)
		}),
		altered("SA-04", "one ID twice", "document", "<saml:Subject>", `<saml:Subject ID="_r">`),
		altered("SA-04", "one more transform", "signature", "</ds:Transforms>", `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"></ds:Transform></ds:Transforms>`),
		altered("SA-04", "two references", "signature", "</ds:SignedInfo>", `<ds:Reference URI="#_r"></ds:Reference></ds:SignedInfo>`),
		row("SA-05", "another key, which stands in KeyInfo", "signature", func(m *message) string {
			return m.response(sealed(m.assertion(), m.assertionID, behindIssuer, rsaSHA256, m.saml.stranger))
		}),
		row("SA-05", "RSA of 1024 bits, though metadata has it", "signature", func(m *message) string {
			return m.response(sealed(m.assertion(), m.assertionID, behindIssuer, rsaSHA256, m.saml.weak))
		}),
		row("SA-05", "SHA-1", "signature", func(m *message) string {
			return m.response(sealed(m.assertion(), m.assertionID, behindIssuer, xmlSignature+"rsa-sha1", m.saml.key))
		}),
		row("SA-05", "an HMAC", "signature", func(m *message) string {
			return m.response(sealed(m.assertion(), m.assertionID, behindIssuer, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", m.saml.key))
		}),
		row("SA-07", "a file as an entity", "document", func(m *message) string {
			return `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + strings.Replace(m.response(m.signed()), "Zéphirine", "&e;", 1)
		}),
		row("SA-07", "a billion laughs", "document", func(m *message) string {
			return `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>` + strings.Replace(m.response(m.signed()), "Zéphirine", "&c;", 1)
		}),
		altered("SA-08", "a comment in the NameID", "document", "of-zephirine", "of-<!-- -->zephirine"),
		altered("SA-08", "a comment in an attribute", "document", "Zéphirine", "Zé<!-- -->phirine"),
		meant("SA-10", "another audience", "audience", func(m *message) { m.audience = "https://other.example/metadata" }),
		meant("SA-10", "another recipient", "audience", func(m *message) { m.recipient = "https://other.example/acs" }),
		meant("SA-10", "another destination", "audience", func(m *message) { m.destination = "https://other.example/acs" }),
		meant("SA-10", "a response to another request", "binding", func(m *message) { m.request = "_other" }),
		meant("SA-10", "an assertion to another request", "binding", func(m *message) { m.answers = "_other" }),
		meant("SA-10", "a response of another issuer", "issuer", func(m *message) { m.issuer = "https://other.example" }),
		meant("SA-10", "an assertion of another issuer", "issuer", func(m *message) { m.assertedBy = "https://other.example" }),
		meant("SA-11", "not valid yet", "time", func(m *message) { m.from = m.from.Add(time.Minute) }),
		meant("SA-11", "not valid any more", "time", func(m *message) { m.until = m.until.Add(-6 * time.Minute) }),
		meant("SA-11", "valid for ever", "time", func(m *message) { m.until = m.until.AddDate(9, 0, 0) }),
		meant("SA-11", "of the future", "time", func(m *message) { m.issued = m.issued.Add(time.Minute) }),
		meant("SA-11", "of a session that is over", "time", func(m *message) { m.session = m.issued.Add(-time.Minute) }),
		posted("SA-13", "the response twice", "error callback_invalid", func(_ *message, form url.Values) { form.Add("SAMLResponse", form.Get("SAMLResponse")) }),
		posted("SA-13", "a request beside it", "error request_invalid", func(_ *message, form url.Values) { form.Set("SAMLRequest", "x") }),
		posted("SA-13", "another RelayState", "error callback_invalid", func(_ *message, form url.Values) { form.Set("RelayState", random()) }),
		posted("SA-14", "10 MB", "error too_large", func(_ *message, form url.Values) { form.Set("SAMLResponse", strings.Repeat("A", 10<<20)) }),
		row("SA-14", "300 KB", "document", func(m *message) string { return m.response(m.signed(), strings.Repeat(" ", 300<<10)) }),
		row("SA-14", "a bomb", "document", func(*message) string {
			var b bytes.Buffer
			z, _ := flate.NewWriter(&b, flate.BestCompression)
			_, _ = z.Write(make([]byte, 50<<20))
			_ = z.Close()
			return b.String()
		}),
		func() response {
			r := posted("SA-14", "junk in base64", "invalid", func(_ *message, form url.Values) { form.Set("SAMLResponse", "!"+form.Get("SAMLResponse")) })
			r.reason = "document"
			return r
		}(),
		published("metadata that nobody signed", func(e *evilSAML, id string) string { return e.describe(id, "", "") }),
		published("metadata by another key", func(e *evilSAML, id string) string {
			text := e.describe(id, "", "")
			return sealed(text, "_m", text[:strings.Index(text, ">")+1], rsaSHA256, e.stranger)
		}),
		published("metadata that has expired", func(e *evilSAML, id string) string {
			return vouched(e, e.describe(id, ` validUntil="2020-01-01T00:00:00Z"`, ""))
		}),
		published("metadata whose address is a script", func(e *evilSAML, id string) string { return vouched(e, e.describe(id, "", "javascript:alert(1)")) }),
		published("metadata of another provider", func(e *evilSAML, _ string) string { return vouched(e, e.describe("other", "", "")) }),
		{line: "SA-15", name: "good metadata", see: "consent", write: honestly, metadata: func(e *evilSAML, id string) string { return vouched(e, e.describe(id, "", "")) }},
		{line: "SA-09", name: "one assertion for two sign-ins", see: "invalid", reason: "replayed", by: replay},
		{line: "SA-13", name: "by query in place of a form", see: "invalid", reason: "answer", by: byQuery},
	}
}

func honestly(m *message) string { return m.response(m.signed()) }

// signature is that of the good assertion alone.
func (m *message) signature() string {
	s := m.signed()
	return s[strings.Index(s, "<ds:Signature ") : strings.Index(s, "</ds:Signature>")+len("</ds:Signature>")]
}

// replay: a provider makes two assertions with one ID, for two people who wait.
func replay(t *testing.T, w *evilWorld, id string) string {
	t.Helper()
	first := ""
	got := ""
	for range 2 {
		c, m, form, _ := w.begin(t, id)
		if first == "" {
			first = m.assertionID
		}
		m.assertionID = first
		form.Set("SAMLResponse", base64.StdEncoding.EncodeToString([]byte(honestly(m))))
		if got == "" {
			if got = w.bring(c, m, form); got != "consent" {
				t.Fatalf("the first one: %q", got)
			}
			continue
		}
		got = w.bring(c, m, form)
		if again := w.bring(c, m, form); again != "error callback_invalid" {
			t.Errorf("the same form once more: %q", again)
		}
	}
	return got
}

// byQuery brings a good response where an OpenID provider's answer comes in.
func byQuery(t *testing.T, w *evilWorld, id string) string {
	t.Helper()
	c, m, form, _ := w.begin(t, id)
	q := url.Values{"state": form["RelayState"], "RelayState": form["RelayState"], "SAMLResponse": {base64.StdEncoding.EncodeToString([]byte(honestly(m)))}}
	return seen(c.visit(http.MethodGet, w.broker+"/callback/"+id+"?"+q.Encode(), nil, "", w.library.back))
}

// elsewhere are tests of what a provider alone cannot show within seconds, by line.
func elsewhere() map[string][]string {
	return map[string][]string{
		"MX-07": {"journeys TestReload_SwitchesOffInTheMiddleOfASignIn", "journeys TestRegistration_AServiceThatChangesOrLeavesInTheMiddle"},
		"SA-01": {"federation/saml TestSA_01_NoElementCanBeMovedDoubledOrLeftOut"},
		"SA-07": {"federation/saml TestSA_07_NothingIsExpandedOrFetched"}, // memory
		"SA-09": {"federation/saml TestSA_09_AnAssertionIsUsedOnce", "federation/saml TestSA_09_ItIsRememberedAfterARestart"},
		"SA-16": {"federation/saml TestSA_16_WhatIsReadIsTheElementThatWasVerified"},
		"UT-08": {"keys TestUT_08_TenThousandUnknownKeyIdsCostThreeFetchesAndThenOneAMinute"},
		"UT-14": {"keys TestUT_14_EncryptedTokensAndFloodsOfDotsCostNothing"},
		"UT-16": {"keys TestUT_16_BadAnswersLeaveTheLastGoodSetInUseForADay"},
	}
}

// exists looks for a test.
func exists(t *testing.T, where string) {
	room, name, _ := strings.Cut(where, " ")
	files, err := filepath.Glob(filepath.Join("..", room, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "\nfunc "+name+"(") {
			return
		}
	}
	t.Errorf("no such test")
}
