package journeys

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// atLibrary signs Camille in at the library through SimpleSAMLphp.
func (w *samlWorld) atLibrary(c *citizen) {
	c.t.Helper()
	p := w.signIn(c, w.service.start("openid given_name age_over_16", nil).URL)
	action, _, values := p.form(p.find(isForm))
	resp, _ := w.comeBack(c, action, values)
	c.pressUntil(c.get(w.broker+resp.Header.Get("Location")), "consent-agree", nil, w.service.back)
}

// Profiles section 4.4, begun by us: who logs out here is logged out there too.
func TestSAML_SimpleSAMLphp_ALogoutHereIsALogoutThere(t *testing.T) {
	w := newSAMLWorld(t, false)
	c := newCitizen(t)
	w.atLibrary(c)
	p := c.press(c.get(w.broker+"/logout"), "logout-confirm", nil)
	if p.byID("logged-out") == nil || p.URL.Path != "/logout/return" {
		t.Fatalf("not back at our page but on %s (status %d, code %q):\n%s", p.URL.Path, p.Status, p.errorCode(), tail(p.Body, 1500))
	}
	if !strings.Contains(w.process.out.String(), `"route":"login.slo","method":"GET","status":303`) {
		t.Error("the provider's answer did not come through our SLO address")
	}
	if silent := c.visit(http.MethodGet, w.service.start("openid given_name", url.Values{"prompt": {"none"}}).URL, nil, "", w.service.back); silent.URL.Query().Get("error") != "login_required" {
		t.Errorf("prompt=none afterwards: %s", silent.URL.Path)
	}
	// Without prompt=login, which would ask in any case.
	if p := c.get(w.service.start("openid given_name age_over_16", nil).URL); !strings.Contains(p.Body, `name="password"`) {
		t.Errorf("she is still signed in there: %s", p.URL.Path)
	}
}

// Begun there: who logs out at the provider is logged out here, and comes to where the
// provider wanted her.
func TestSAML_SimpleSAMLphp_ALogoutThereIsALogoutHere(t *testing.T) {
	w := newSAMLWorld(t, false)
	c := newCitizen(t)
	w.atLibrary(c)
	if c.get(w.broker+"/logout").byID("logout-confirm") == nil {
		t.Fatal("she has no session here")
	}
	p := c.get(w.idp + "/saml2/idp/initSLO.php?RelayState=" + url.QueryEscape(w.idp+"/logout.php"))
	if !strings.HasPrefix(p.URL.String(), w.idp+"/logout.php") {
		t.Fatalf("not back at the provider but on %s (status %d, code %q):\n%s", p.URL.Path, p.Status, p.errorCode(), tail(p.Body, 1500))
	}
	if c.get(w.broker+"/logout").byID("logout-confirm") != nil {
		t.Error("she is still signed in here")
	}
	// Anybody can link to our address; nothing but a signed message does anything.
	for _, query := range []string{"", "?SAMLRequest=x", "?SAMLRequest=x&SigAlg=y&Signature=z"} {
		if p := c.get(w.broker + "/saml/uni/slo" + query); p.errorCode() != "logout_invalid" {
			t.Errorf("%q: status %d, code %q", query, p.Status, p.errorCode())
		}
	}
	if !strings.Contains(w.process.out.String(), `"msg":"provider's logout message refused"`) {
		t.Error("the log gives no reason for the refusal")
	}
}
