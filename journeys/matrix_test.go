package journeys

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// matrix is one broker, the services on four libraries and the four identity
// providers. Each runs once.
type matrix struct {
	broker    string
	services  []*relyingParty
	providers []*identityProvider
}

// TestMatrix: each service at each provider, in four stories. What a counterpart
// cannot do is said in its cell, and in docs/interop.md.
func TestMatrix(t *testing.T) {
	whole(t)
	m := newMatrix(t)
	for _, rp := range m.services {
		t.Run(rp.name, func(t *testing.T) {
			for _, idp := range m.providers {
				t.Run(idp.name, func(t *testing.T) {
					for _, story := range stories {
						t.Run(story.name, func(t *testing.T) { story.tell(&cell{t, m, rp, idp, newCitizen(t)}) })
					}
				})
			}
		})
	}
}

var stories = []struct {
	name string
	tell func(*cell)
}{
	{"login", (*cell).login},
	{"refusal", (*cell).refusal},
	{"level", (*cell).level},
	{"logout", (*cell).logout},
}

// cell is a person with a service and a provider.
type cell struct {
	t   *testing.T
	m   *matrix
	rp  *relyingParty
	idp *identityProvider
	c   *citizen
}

// away says whether she is at the provider, or somewhere behind it.
func (x *cell) away(p *page) bool {
	at := p.URL.Scheme + "://" + p.URL.Host
	return at != x.m.broker && at != x.rp.base
}

// chosen begins at the service and chooses the provider.
func (x *cell) chosen(level string) *page {
	x.t.Helper()
	return x.c.press(x.c.get(x.rp.start(level)), "provider-"+x.idp.id, nil)
}

// there goes through the provider's pages until she is back, or at the service.
func (x *cell) there(p *page, step func(*cell, *page) *page) *page {
	x.t.Helper()
	for range 10 {
		if !x.away(p) {
			return p
		}
		p = step(x, p)
	}
	x.t.Fatalf("kept at the provider, at %s (status %d):\n%s", p.URL.Path, p.Status, tail(p.Body, 2000))
	return nil
}

// signIn is a whole login; it returns the page of the service.
func (x *cell) signIn() *page {
	x.t.Helper()
	p := x.there(x.chosen(""), x.idp.agree)
	if p.byID("consent-agree") == nil {
		x.t.Fatalf("no consent page but %s (status %d, code %q, %s)\n%s", p.URL.Path, p.Status, p.errorCode(), said(p), tail(p.Body, 1500))
	}
	return x.c.press(p, "consent-agree", nil)
}

func (x *cell) login() {
	got := x.rp.received(x.t, x.signIn())
	if got.sub == "" || got.givenName != x.idp.givenName || !got.over16 {
		x.t.Errorf("the service received %+v, want %s, over 16, and a subject", got, x.idp.givenName)
	}
}

// refusal: she refuses at the provider where it asks, tries again, and refuses at ours.
func (x *cell) refusal() {
	p := x.chosen("")
	if x.idp.refuse == nil {
		x.t.Log(x.idp.cannotRefuse)
	} else {
		p = x.there(p, x.idp.refuse)
		if !strings.Contains(said(p), "You stopped signing in") {
			x.t.Fatalf("after her refusal there: %s (status %d) says %q", p.URL.Path, p.Status, said(p))
		}
		p = x.c.press(p, "provider-"+x.idp.id, nil)
	}
	p = x.c.press(x.there(p, x.idp.agree), "consent-refuse", nil)
	if got := x.rp.refused(x.t, p); got != "access_denied" {
		x.t.Errorf("the service hears %q", got)
	}
}

// level: the service asks for eidas2, and the provider has eidas1 or nothing to say.
func (x *cell) level() {
	p := x.there(x.chosen("eidas2"), x.idp.agree)
	if p.byID("consent-agree") != nil || !strings.Contains(said(p), "was not secure enough") {
		x.t.Fatalf("a sign-in that is too weak leads to %s (status %d), which says %q", p.URL.Path, p.Status, said(p))
	}
	if got := x.rp.refused(x.t, x.c.press(p, "cancel", nil)); got != "unmet_authentication_requirements" {
		x.t.Errorf("the service hears %q", got)
	}
}

// logout: from the service by the broker and, where it offers that, by the provider.
func (x *cell) logout() {
	x.rp.received(x.t, x.signIn())
	p := x.c.get(x.rp.leave)
	if x.rp.cannotHint != "" {
		x.t.Log(x.rp.cannotHint)
		p = x.c.press(p, "logout-confirm", nil)
	}
	if x.idp.keepsHer == "" {
		p = x.there(p, x.idp.leave)
	} else {
		x.t.Log(x.idp.keepsHer)
		if p = x.idp.leave(x, p); !x.away(p) {
			x.t.Errorf("not kept any more, but at %s: say so in docs/interop.md", p.URL)
		}
		p = x.c.get(x.rp.leave) // she goes back: our session is over already
	}
	if back := strings.HasPrefix(p.URL.String(), x.rp.base+"/left"); back != (x.rp.cannotHint == "") || p.Status != http.StatusOK {
		x.t.Errorf("ended at %s (status %d)", p.URL, p.Status)
	}
	if x.c.get(x.m.broker+"/logout").byID("logout-confirm") != nil {
		x.t.Error("the broker still has a session")
	}
	again := x.chosen("")
	if x.idp.cannotLeave != "" {
		x.t.Log(x.idp.cannotLeave)
	}
	if asks := x.idp.asksWho(again); asks != (x.idp.cannotLeave == "") {
		x.t.Errorf("the provider asks who she is: %v (at %s, status %d)", asks, again.URL.Path, again.Status)
	}
}

// said is the notice of the choice page.
func said(p *page) string {
	n := p.find(func(n *html.Node) bool { return attr(n, "role") == "alert" })
	if n == nil || n.FirstChild == nil {
		return ""
	}
	return n.FirstChild.Data
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{services: relyingParties(t), providers: identityProviders(t)}
	var config strings.Builder
	fmt.Fprintf(&config, "issuer: http://localhost:{port}\nlisten: 127.0.0.1:{port}\ndevelopment: true\ndata: {data}\nproviders:\n")
	for _, idp := range m.providers {
		fmt.Fprintf(&config, "  - id: %s\n    name: { fr: %[2]q, en: %[2]q }\n%[3]s", idp.id, idp.name, idp.yaml)
	}
	config.WriteString("clients:\n")
	for _, rp := range m.services {
		fmt.Fprintf(&config, "  - id: %s\n    name: { fr: %[2]q, en: %[2]q }\n    redirect_uris: [%[3]q]\n    post_logout_redirect_uris: [%[4]q]\n%[5]s\n    sector: %[1]s.example\n    policy: reader\n",
			rp.id, rp.name, rp.redirect, rp.base+"/left", rp.yaml)
	}
	config.WriteString(`policies:
  - id: reader
    version: 1
    purpose: { fr: "Ouvrir votre compte de lecteur", en: "Open your reader account" }
    legal_basis: consent
    retention: P1Y
    min_acr: eidas1
    claims:
      - { name: given_name, required: true }
      - { name: age_over_16, required: true }
    consent_validity: PT0S
`)
	_, m.broker = serve(t, "", config.String())
	for _, idp := range m.providers {
		idp.launch(m.broker)
	}
	for _, rp := range m.services {
		rp.launch(m.broker)
	}
	found(t, http.DefaultTransport, m.broker)
	return m
}

// matrixSecret is the broker's at every provider of the matrix.
const matrixSecret = "a-secret-of-the-broker-in-the-matrix-0123456789"

// serveOn is serve with a port that was known before, at an address that keeps its
// cookies apart from those of another broker.
func serveOn(t *testing.T, port int, config string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "voussoir.yaml")
	config = strings.NewReplacer("{port}", fmt.Sprint(port), "{data}", filepath.Join(dir, "data")).Replace(config)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	launch(t, nil, base+"/readyz", binary(t, ""), "serve", "--config", file)
	return base
}

// field is the input of this name, or nil.
func (p *page) field(name string) *html.Node {
	return p.find(func(n *html.Node) bool { return n.Data == "input" && attr(n, "name") == name })
}

// postedFromElsewhere submits a form as a browser does whose page is another site's:
// without the broker's Lax cookies. It goes on with them.
func (x *cell) postedFromElsewhere(p *page) *page {
	x.t.Helper()
	action, _, values := p.form(p.find(isForm))
	sing("SAML response", values.Get("SAMLResponse"))
	kept := x.c.jar["localhost"]
	x.c.jar["localhost"] = nil
	to, err := url.Parse(action)
	if err != nil {
		x.t.Fatal(err)
	}
	resp, body := x.c.do(http.MethodPost, to, values, p.URL.Scheme+"://"+p.URL.Host)
	x.c.jar["localhost"] = kept
	next, err := to.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		x.t.Fatalf("the posted response answers %d: %s", resp.StatusCode, tail(body, 1000))
	}
	return x.c.get(next.String())
}
