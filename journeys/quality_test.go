package journeys

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/sandbox"
)

// wronged is a woman whom a provider knows badly: three facts that cannot be, and an
// e-mail address that is none.
func wronged() sandbox.Identity {
	return sandbox.Identity{
		ID: "camille", GivenName: "Camille", FamilyName: "", Birthdate: "2984-06-21", Gender: "female",
		Birthplace: "00123", Birthcountry: "99100", Email: "camille@mail@canary.example", EmailVerified: true,
	}
}

// One provider sends what cannot be, the other a name that she goes by nowhere and an
// address that is none. The operator learns which claim breaks which rule, the person
// which facts to have corrected, and neither reads a value.
func TestQuality_WhatAProviderSendsWrongly(t *testing.T) {
	other := linteau()[0]
	other.Email, other.EmailVerified = "camille@mail@canary.example", true
	w := newFaultWorld(t, sandboxed(t, []sandbox.Identity{wronged()}), sandboxed(t, []sandbox.Identity{other}))
	c, r, p := w.upTo(w.library, "one", "camille", nil)
	for _, fact := range []string{"family_name", "birthdate", "birthplace"} {
		if p.byID("flaw-"+fact) == nil {
			t.Errorf("the page does not name %s", fact)
		}
	}
	for _, value := range []string{"2984", "00123", "canary"} {
		if strings.Contains(p.Body, value) {
			t.Errorf("the page shows %q", value)
		}
	}
	line := w.line("reasons")
	want := "family_name: missing, birthdate: in_future, birthplace: unknown_code, email: malformed"
	if line.Provider != "one" || strings.Join(line.Reasons, ", ") != want {
		t.Errorf("log: %+v, want %s", line, want)
	}
	if p.byID("number") == nil || !strings.Contains(p.Body, line.ID) || line.ID == "" {
		t.Errorf("the page does not show the number of the event, %q", line.ID)
	}

	// In the same visit, with the other account.
	p = c.press(p, "another", nil)
	p = c.pressUntil(p, "provider-two", nil, w.library.back)
	p = c.pressUntil(p, "identity-camille", nil, w.library.back)
	p = c.pressUntil(p, "consent-agree", nil, w.library.back)
	if tk, err := w.library.redeem(t.Context(), p.URL.Query().Get("code"), r.Verifier); err != nil || tk.Status != http.StatusOK {
		t.Fatalf("token answer %+v, %v", tk, err)
	}
	if line := w.line("reasons"); line.Provider != "two" || strings.Join(line.Reasons, ", ") != "email: malformed" {
		t.Errorf("log: %+v", line)
	}

	// Who turns back is refused, and the service does not learn what was wrong.
	c, _, p = w.upTo(w.library, "one", "camille", nil)
	p = c.pressUntil(p, "cancel", nil, w.library.back)
	if q := p.URL.Query(); q.Get("error") != "access_denied" || strings.Contains(q.Get("error_description"), "birth") {
		t.Errorf("the service hears %v", q)
	}
	if out := w.proc.out.String(); strings.Contains(out, "canary") || strings.Contains(out, "2984") {
		t.Error("the log holds a value")
	}
}

type logLine struct {
	ID, Provider string
	Reasons      []string
}

// line is the last line of the log with this attribute.
func (w *faultWorld) line(attribute string) (last logLine) {
	w.t.Helper()
	for line := range strings.Lines(w.proc.out.String()) {
		if strings.Contains(line, `"`+attribute+`"`) {
			last = logLine{}
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				w.t.Fatalf("a line is no JSON: %v", err)
			}
		}
	}
	return last
}

// TestBrowser_Quality looks at the page about wrong facts; see browser/quality.mjs.
func TestBrowser_Quality(t *testing.T) {
	need(t, chromium, "Chromium")
	need(t, "node_modules/playwright-core/package.json", "playwright-core")
	w := newFaultWorld(t, sandboxed(t, []sandbox.Identity{wronged()}), sandboxed(t, linteau()))
	shots := os.Getenv("VOUSSOIR_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	cmd := exec.Command(node(t), "browser/quality.mjs")
	cmd.Env = append(os.Environ(), "START="+w.library.start("openid given_name", nil).URL, "SHOTS="+shots, "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimSpace(line))
	}
	if err != nil {
		t.Fatalf("the visits: %v", err)
	}
}
