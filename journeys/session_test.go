package journeys

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/sandbox"
	"github.com/voussoir-id/voussoir/store/sql"
)

// couple is two people.
func couple() []sandbox.Identity {
	dominique := linteau()[0]
	dominique.ID, dominique.GivenName, dominique.Gender = "dominique", "Dominique", "male"
	return append(linteau(), dominique)
}

// newSessionWorld is a broker whose provider one reaches eidas1 and two eidas2. change is made
// to its configuration.
func newSessionWorld(t *testing.T, change ...string) *faultWorld {
	t.Helper()
	w := newFaultWorld(t, sandboxed(t, couple()), sandboxed(t, couple()))
	const level = "    acr: { max: eidas2, default: eidas1 }"
	text := strings.Replace(w.config(), level, "    acr: { max: eidas1 }", 1)
	text = strings.Replace(text, level, "    acr: { max: eidas2, map: { eidas1: eidas2 } }", 1)
	w.write(strings.NewReplacer(change...).Replace(text))
	w.reload("configuration reloaded")
	return w
}

// session is a citizen who has signed in at the library, with the tokens that it got.
func (w *faultWorld) session(provider string) (*citizen, tokens) {
	w.t.Helper()
	c, r, p := w.upTo(w.library, provider, "camille", nil)
	return c, w.finish(c, w.library, r, p)
}

// finish answers the question, if there is one, and redeems the code.
func (w *faultWorld) finish(c *citizen, s *service, r request, p *page) tokens {
	w.t.Helper()
	if p.root != nil && p.byID("consent-agree") != nil {
		p = c.pressUntil(p, "consent-agree", nil, s.back)
	}
	tk, err := s.redeem(w.t.Context(), p.URL.Query().Get("code"), r.Verifier)
	if err != nil || tk.Status != http.StatusOK {
		w.t.Fatalf("token answer %d %s, %v (at %s)", tk.Status, tk.Error, err, p.URL.Path)
	}
	return tk
}

// ask sends a citizen who may be signed in to a service.
func (w *faultWorld) ask(c *citizen, s *service, extra url.Values) (request, *page) {
	w.t.Helper()
	r := s.start("openid given_name", extra)
	return r, c.visit(http.MethodGet, r.URL, nil, "", s.back)
}

// silently is what a service hears with prompt=none: code, or the error.
func (w *faultWorld) silently(c *citizen, s *service) string {
	w.t.Helper()
	_, p := w.ask(c, s, url.Values{"prompt": {"none"}})
	if p.URL.Query().Get("code") != "" {
		return "code"
	}
	return p.URL.Query().Get("error")
}

func notice(p *page) string {
	if n := p.byID("notice"); n != nil {
		return attr(n, "data-code")
	}
	return ""
}

func disabled(p *page, id string) bool {
	_, is := lookup(p.byID(id), "disabled")
	return is
}

func TestSession_StepUpByAnotherProvider(t *testing.T) {
	w := newSessionWorld(t)
	c, first := w.session("one")
	if acr := payload(t, first.IDToken)["acr"]; acr != "eidas1" {
		t.Fatalf("acr = %v", acr)
	}
	strong := url.Values{"acr_values": {"eidas2"}}
	r, p := w.ask(c, w.library, strong)
	if notice(p) != "step_up" || !disabled(p, "provider-one") || disabled(p, "provider-two") {
		t.Fatalf("the choice: notice %q, one disabled %t, two disabled %t", notice(p), disabled(p, "provider-one"), disabled(p, "provider-two"))
	}
	back := c.pressUntil(c.pressUntil(p, "provider-two", nil, w.library.back), "identity-camille", nil, w.library.back)
	second := w.finish(c, w.library, r, back)
	before, after := payload(t, first.IDToken), payload(t, second.IDToken)
	if after["acr"] != "eidas2" || after["sub"] != before["sub"] || after["sid"] != before["sid"] {
		t.Errorf("after the step: %v, before: %v", after, before)
	}
	r, p = w.ask(c, w.library, strong)
	if got := payload(t, w.finish(c, w.library, r, p).IDToken)["acr"]; got != "eidas2" {
		t.Errorf("with the session: acr %v", got)
	}
}

func TestSession_AnotherPersonEndsItAndReadsSo(t *testing.T) {
	w := newSessionWorld(t)
	his := w.signIn(w.library, "two", "dominique") // his answer stands from now on
	c, first := w.session("one")
	r, p := w.ask(c, w.library, url.Values{"acr_values": {"eidas2"}})
	p = c.pressUntil(c.pressUntil(p, "provider-two", nil, w.library.back), "identity-dominique", nil, w.library.back)
	if p.root == nil || p.byID("switched") == nil {
		t.Fatalf("he is not told: %s", p.URL.Path)
	}
	if status, _, err := w.library.userinfo(t.Context(), first.AccessToken); err != nil || status != http.StatusUnauthorized {
		t.Errorf("her token after her session has ended: %d %v", status, err)
	}
	got := payload(t, w.finish(c, w.library, r, p).IDToken)
	if got["sub"] != his["sub"] || got["sub"] == payload(t, first.IDToken)["sub"] {
		t.Error("the subjects of two people are mixed")
	}
	if got["sid"] == payload(t, first.IDToken)["sid"] {
		t.Error("he has her session")
	}
}

func TestSession_AServiceThatOptedOut(t *testing.T) {
	w := newSessionWorld(t, "sector: court.example", "sector: court.example, single_sign_on: false")
	c, _ := w.session("two")
	for range 2 {
		r, p := w.ask(c, w.court, nil)
		if p.root == nil || p.byID("provider-two") == nil {
			t.Fatalf("no choice: %s", p.URL.Path)
		}
		tk := w.finish(c, w.court, r, c.pressUntil(c.pressUntil(p, "provider-two", nil, w.court.back), "identity-camille", nil, w.court.back))
		if sid := payload(t, tk.IDToken)["sid"]; sid != nil {
			t.Errorf("sid %v", sid)
		}
	}
	if got := w.silently(c, w.court); got != "login_required" {
		t.Errorf("prompt=none there: %q", got)
	}
	if got := w.silently(c, w.library); got != "code" {
		t.Errorf("prompt=none where the session is of use: %q", got)
	}
}

// sends adds a header to each request.
type sends struct {
	header string
	next   http.RoundTripper
}

func (s sends) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set(s.header, "1")
	return s.next.RoundTrip(r)
}

func TestSession_AWarningOfATrustedProxy(t *testing.T) {
	for name, tt := range map[string]struct {
		proxies string
		heeded  bool
	}{
		"from the proxy":                     {"127.0.0.1, \"::1\"", true},
		"from an address that is no proxy's": {"10.0.0.7", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSessionWorld(t, "development: true", "development: true\nsuspicious_context: { trusted_proxies: ["+tt.proxies+"] }")
			c, _ := w.session("two")
			warned := &citizen{t: t, jar: c.jar, http: sends{"X-Suspicious", c.http}, lang: c.lang}
			if got, want := w.silently(warned, w.library), map[bool]string{true: "login_required", false: "code"}[tt.heeded]; got != want {
				t.Errorf("prompt=none: %q, want %q", got, want)
			}
			fresh := newCitizen(t)
			fresh.http = sends{"X-Suspicious", fresh.http}
			_, p := w.ask(fresh, w.library, url.Values{"prompt": {"select_account"}})
			if (notice(p) == "caution") != tt.heeded || disabled(p, "provider-one") != tt.heeded {
				t.Errorf("the choice: notice %q, one disabled %t", notice(p), disabled(p, "provider-one"))
			}
		})
	}
}

// TestSession_KillPersonEndsEverythingOfHers: session, tokens and what is open, within five
// seconds of the command, and her services are not told why.
func TestSession_KillPersonEndsEverythingOfHers(t *testing.T) {
	w := newSessionWorld(t)
	c, got := w.session("one")
	open, r, question := w.upTo(w.court, "two", "camille", nil)
	sub, _ := payload(t, got.IDToken)["sub"].(string)
	out, err := w.voussoir("", nil, "kill", "person", "--reason", "a test", "--client", "library", "--subject", sub)
	if err != nil {
		t.Fatalf("kill: %v %s", err, out)
	}
	killed := time.Now()
	eventually(t, "the death of her token", func() bool {
		status, _, err := w.library.userinfo(t.Context(), got.AccessToken)
		return err == nil && status == http.StatusUnauthorized
	})
	if took := time.Since(killed); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := w.silently(c, w.library); got != "login_required" {
		t.Errorf("prompt=none: %q", got)
	}
	stopped := open.press(question, "consent-agree", nil)
	if stopped.errorCode() != "person_blocked" {
		t.Errorf("the open question: %s %q", stopped.URL.Path, stopped.errorCode())
	}
	back := open.pressUntil(stopped, "cancel", nil, w.court.back)
	if q := back.URL.Query(); q.Get("error") != "access_denied" || q.Get("state") != r.State || strings.Contains(q.Get("error_description"), "block") {
		t.Errorf("the service hears %v", q)
	}
	for _, provider := range []string{"one", "two"} {
		if _, _, p := w.upTo(w.library, provider, "camille", nil); p.errorCode() != "person_blocked" || p.Status != http.StatusForbidden {
			t.Errorf("through %s: %d %q", provider, p.Status, p.errorCode())
		}
	}
	w.signIn(w.library, "one", "dominique") // nobody else is concerned

	id := strings.Fields(out)[1]
	if out, err := w.voussoir("", nil, "restore", "person", id); err != nil {
		t.Fatalf("restore: %v %s", err, out)
	}
	eventually(t, "that she may sign in again", func() bool {
		_, _, p := w.upTo(w.library, "one", "camille", nil)
		return p.URL.Query().Get("code") != ""
	})
	if status, _, err := w.library.userinfo(t.Context(), got.AccessToken); err != nil || status != http.StatusUnauthorized {
		t.Errorf("her old token after the restore: %d %v", status, err)
	}
}

// preferences are those of the only person in the records of a running broker: what her own space
// will write, beside the broker.
func (w *faultWorld) preferences() (*preferences.Service, identity.Person) {
	w.t.Helper()
	records, err := sql.OpenRecords(w.t.Context(), sql.Config{Dir: w.data, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = records.Close() })
	secret, err := keys.LoadOrCreateSecret(filepath.Join(w.data, "keys.secret"))
	if err != nil {
		w.t.Fatal(err)
	}
	ring, err := keys.Open(w.t.Context(), keys.Config{File: filepath.Join(w.data, "keys"), Secret: secret, MustExist: true, Algs: []string{"ES256"}, ProviderAlgs: []string{"ES256"}, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(ring.Close)
	log, err := audit.New(audit.Config{Store: records, Sealer: ring, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	said, err := preferences.New(preferences.Config{
		Store: records, Audit: log, Now: time.Now, Known: func() []protocol.ProviderID { return []protocol.ProviderID{"one", "two"} },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ids, err := records.People(w.t.Context(), identity.PersonID{}, 2)
	if err != nil || len(ids) != 1 {
		w.t.Fatalf("people: %d, %v", len(ids), err)
	}
	person, err := records.Person(w.t.Context(), ids[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return said, person
}

func TestSession_AProviderThatSheHasBlocked(t *testing.T) {
	w := newSessionWorld(t)
	c, _ := w.session("one")
	said, she := w.preferences()
	if err := said.Block(t.Context(), she, "one"); err != nil {
		t.Fatal(err)
	}
	if got := w.silently(c, w.library); got != "login_required" {
		t.Errorf("a session through it: %q", got)
	}
	r, p := w.ask(c, w.library, nil)
	if p.byID("provider-one") != nil || p.byID("provider-two") == nil || p.byID("hidden") == nil {
		t.Error("it is offered to her, or nothing says that there is more")
	}
	w.finish(c, w.library, r, c.pressUntil(c.pressUntil(p, "provider-two", nil, w.library.back), "identity-camille", nil, w.library.back))

	thief, _, p := w.upTo(w.library, "one", "camille", nil)
	if notice(p) != "provider_blocked" {
		t.Fatalf("a sign-in through it: %s, notice %q", p.URL.Path, notice(p))
	}
	back := thief.pressUntil(p, "cancel", nil, w.library.back)
	if got := back.URL.Query().Get("error"); got != "access_denied" {
		t.Errorf("the service hears %q", got)
	}
	if err := said.Unblock(t.Context(), she, "one"); err != nil {
		t.Fatal(err)
	}
	w.signIn(w.library, "one", "camille")
}

// TestBrowser_Session looks at the pages of this file with a real browser; see
// browser/session.mjs.
func TestBrowser_Session(t *testing.T) {
	need(t, chromium, "Chromium")
	need(t, "node_modules/playwright-core/package.json", "playwright-core")
	w := newSessionWorld(t)
	_, first := w.session("one")
	said, she := w.preferences()
	if err := said.Block(t.Context(), she, "two"); err != nil {
		t.Fatal(err)
	}
	sub, _ := payload(t, first.IDToken)["sub"].(string)
	shots := os.Getenv("VOUSSOIR_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	look := func(part string) {
		t.Helper()
		cmd := exec.Command(node(t), "browser/session.mjs", part)
		cmd.Env = slices.Concat(os.Environ(), []string{
			"START=" + w.library.start("openid given_name", nil).URL, "LOGIN=" + w.library.start("openid given_name", url.Values{"prompt": {"login"}}).URL,
			"STRONG=" + w.library.start("openid given_name", url.Values{"acr_values": {"eidas2"}}).URL, "SHOTS=" + shots, "CHROMIUM=" + chromium,
		})
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", part, err, out)
		}
	}
	look("hidden")
	if err := said.Unblock(t.Context(), she, "two"); err != nil {
		t.Fatal(err)
	}
	look("switched")
	if out, err := w.voussoir("", nil, "kill", "person", "--reason", "a test", "--client", "library", "--subject", sub); err != nil {
		t.Fatalf("kill: %v %s", err, out)
	}
	eventually(t, "that she is shut out", func() bool {
		_, _, p := w.upTo(w.library, "one", "camille", nil)
		return p.errorCode() == "person_blocked"
	})
	look("blocked")
}
