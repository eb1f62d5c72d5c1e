package journeys

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/sandbox"
)

// family is a grown-up and a child.
func family() []sandbox.Identity {
	grown := linteau()[0]
	grown.Email, grown.EmailVerified = "camille@linteau.example", true
	child := grown
	child.ID, child.GivenName, child.Birthdate = "lou", "Lou", "2020-02-02"
	return []sandbox.Identity{grown, child}
}

const (
	readerClaims   = "      - { name: given_name, required: true }\n"
	withConditions = readerClaims + `      - { name: email }
    conditions:
      - { id: adults, when: "!person.age_over(18)", then: deny, reason: { en: "loans are for adults", fr: "les prêts sont pour les adultes" } }
      - { id: no-mail-of-two, when: "provider == 'two'", then: withhold, claims: [email] }
      - { id: court-is-strict, when: "service == 'court'", then: require_acr, acr: eidas2 }
`
)

// TestPolicies_ATerritoryIsReleasedAndNothingSmaller: of an address, a service learns
// the département that its policy names, by its code; the person reads its name.
func TestPolicies_ATerritoryIsReleasedAndNothingSmaller(t *testing.T) {
	people := func(code, town string) []sandbox.Identity {
		out := linteau()
		out[0].PostalCode, out[0].Locality = code, town
		return out
	}
	w := newFaultWorld(t, sandboxed(t, people("69100", "Villeurbanne")), sandboxed(t, people("13901", "MARSEILLE CEDEX 20")))
	whole := strings.ReplaceAll(w.config(), "scopes: [openid, profile, birth, email]", "scopes: [openid, profile, birth, address]")
	whole = strings.Replace(whole, readerClaims, readerClaims+"      - { name: resident_of_departement, required: true }\n", 1)
	w.write(strings.Replace(whole, "version: 1", "version: 2", 1))
	w.reload("configuration reloaded")
	start := func(provider string) (*citizen, request, *page) {
		c, r := newCitizen(t), w.library.start("openid given_name resident_of", url.Values{"ui_locales": {"en"}})
		p := c.pressUntil(c.visit(http.MethodGet, r.URL, nil, "", w.library.back), "provider-"+provider, nil, w.library.back)
		return c, r, c.pressUntil(p, "identity-camille", nil, w.library.back)
	}

	c, r, p := start("one")
	if !strings.Contains(p.Body, "Rhône (69)") || strings.Contains(p.Body, "Villeurbanne") || strings.Contains(p.Body, "Auvergne") {
		t.Errorf("%s does not show the département, or shows another territory", p.URL.Path)
	}
	p = c.pressUntil(p, "consent-agree", nil, w.library.back)
	tk, err := w.library.redeem(t.Context(), p.URL.Query().Get("code"), r.Verifier)
	if err != nil || tk.Status != http.StatusOK {
		t.Fatalf("token answer %d %s, %v", tk.Status, tk.Error, err)
	}
	_, got, err := w.library.userinfo(t.Context(), tk.AccessToken)
	if err != nil || len(got) != 3 || got["sub"] == "" || got["given_name"] != "Camille" || got["resident_of_departement"] != "69" {
		t.Errorf("userinfo %v, %v", got, err)
	}

	_, _, p = start("two")
	if p.byID("consent-agree") != nil || !strings.Contains(p.Body, "Département where you live") || strings.Contains(p.Body, "CEDEX") {
		t.Errorf("an address that leads to no commune leads to %s, or she is not told what is missing", p.URL.Path)
	}
}

// TestPolicies_ConditionsDenyWithholdAndRequireALevel: what a policy's conditions say
// is what happens to people and services, and a policy does not change under their
// feet.
func TestPolicies_ConditionsDenyWithholdAndRequireALevel(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, family()), sandboxed(t, family()))
	whole := strings.Replace(w.config(), readerClaims, withConditions, 1)
	w.write(whole)
	w.reload("the policy reader says something else under the same version")
	w.write(strings.Replace(whole, "version: 1", "version: 2", 1))
	w.reload("configuration reloaded")

	start := func(s *service, provider, identity string) (*citizen, request, *page) {
		c, r := newCitizen(t), s.start("openid given_name email", url.Values{"ui_locales": {"en"}, "prompt": {"consent"}})
		p := c.pressUntil(c.visit(http.MethodGet, r.URL, nil, "", s.back), "provider-"+provider, nil, s.back)
		return c, r, c.pressUntil(p, "identity-"+identity, nil, s.back)
	}
	claims := func(c *citizen, r request, p *page, ticked ...string) map[string]any {
		t.Helper()
		p = c.pressUntil(p, "consent-agree", url.Values{"claim": ticked}, w.library.back)
		tk, err := w.library.redeem(t.Context(), p.URL.Query().Get("code"), r.Verifier)
		if err != nil || tk.Status != http.StatusOK {
			t.Fatalf("token answer %d %s, %v", tk.Status, tk.Error, err)
		}
		_, got, err := w.library.userinfo(t.Context(), tk.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}

	c, r, p := start(w.library, "one", "camille")
	if p.byID("claim-email") == nil {
		t.Fatalf("at provider one: no checkbox for the address on %s", p.URL.Path)
	}
	if got := claims(c, r, p, "email"); got["email"] != "camille@linteau.example" || got["given_name"] != "Camille" {
		t.Errorf("userinfo has %d claims, the address among them: %v", len(got), got["email"] != nil)
	}

	c, r, p = start(w.library, "two", "camille")
	if p.byID("claim-email") != nil || p.byID("consent-agree") == nil {
		t.Errorf("at provider two, %s offers what a condition withholds, or asks nothing", p.URL.Path)
	}
	if got := claims(c, r, p); got["email"] != nil {
		t.Error("what a condition withholds was released")
	}

	c, r, p = start(w.library, "one", "lou")
	if p.byID("provider-one") == nil || !strings.Contains(p.Body, "loans are for adults") {
		t.Fatalf("a child is at %s, without the reason", p.URL.Path)
	}
	p = c.pressUntil(p, "cancel", nil, w.library.back)
	if q := p.URL.Query(); q.Get("error") != "access_denied" || q.Get("code") != "" || q.Get("state") != r.State {
		t.Errorf("the service of a child hears %q", p.URL.RawQuery)
	}

	_, _, p = start(w.court, "one", "camille")
	if w.court.back(p.URL) || p.byID("consent-agree") != nil {
		t.Errorf("a sign-in that is too weak for a condition leads to %s", p.URL.Path)
	}
}
