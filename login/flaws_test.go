package login

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// refusing is what a provider's identity breaks.
func refusing() *identity.InvalidError {
	return &identity.InvalidError{
		Flaws:   []identity.Flaw{{Claim: protocol.FamilyName, Rule: identity.Missing}, {Claim: protocol.Birthdate, Rule: identity.InFuture}},
		Dropped: []identity.Flaw{{Claim: protocol.Email, Rule: identity.Malformed}},
	}
}

// last is the newest entry of the audit log. Its seal is none in these tests.
func last(t *testing.T, w *world) (public audit.Public, sealed string) {
	t.Helper()
	w.stores.mu.Lock()
	defer w.stores.mu.Unlock()
	e := w.stores.entries[len(w.stores.entries)-1]
	must(t, json.Unmarshal(e.Public, &public))
	return public, string(e.Sealed)
}

func TestFlaws_ThePersonReadsTheFactsAndTheOperatorTheRules(t *testing.T) {
	w := newWorld(t)
	w.tax.invalid = refusing()
	b := w.browser()
	b.mustStart(request())
	want(t, "after the callback", b.signIn("tax", b.pick("tax"), "alice").To, b.choice())

	page := b.get(b.choice()).Flaws
	if page == nil || page.Number == "" {
		t.Fatalf("page %+v", page)
	}
	want(t, "flaws", page.Flaws, []web.Flaw{{Claim: protocol.FamilyName, Code: web.FlawMissing}, {Claim: protocol.Birthdate, Code: web.FlawDate}})
	want(t, "provider", page.Provider.In("en"), "TAX")

	public, sealed := last(t, w)
	want(t, "entry", string(public.Kind)+" "+public.Outcome, "provider.failed bad_identity")
	if reasons := `"reasons":"family_name: missing, birthdate: in_future, email: malformed"`; !strings.Contains(sealed, reasons) {
		t.Errorf("sealed part %s lacks %s", sealed, reasons)
	}
	want(t, "noted", w.noted(), "provider=tax reasons=[family_name: missing birthdate: in_future email: malformed]")

	// She chooses another account in the same visit; a reload showed the page again.
	if again := b.get(b.choice()).Flaws; again == nil || again.Number != page.Number {
		t.Errorf("after a reload: %+v", again)
	}
	want(t, "another", b.post(page.Another, url.Values{}).To, b.choice())
	if r := b.get(b.choice()); r.Choose == nil {
		t.Fatalf("no choice: %+v", r)
	}
	want(t, "through the other provider", b.signIn("post", b.pick("post"), "alice").To, b.choice()+"/consent")
}

func TestFlaws_WhoTurnsBackIsARefusalThatSaysWhoseFaultItIs_RFC6749_4_1_2_1(t *testing.T) {
	w := newWorld(t)
	w.tax.invalid = refusing()
	b := w.browser()
	b.mustStart(request())
	b.signIn("tax", b.pick("tax"), "alice")
	u, err := url.Parse(b.post(b.get(b.choice()).Flaws.Cancel, url.Values{}).To)
	must(t, err)
	want(t, "error", u.Query().Get("error"), "access_denied")
	public, _ := last(t, w)
	want(t, "rule", public.Rule, "bad-identity")
}

func TestFlaws_WhatIsLeftOutIsReportedWithTheSignIn(t *testing.T) {
	w := newWorld(t)
	w.tax.dropped = refusing().Dropped
	b := w.browser()
	want(t, "on to the question", b.identify(request(), "tax", "alice").To, b.choice()+"/consent")
	public, sealed := last(t, w)
	want(t, "entry", string(public.Kind)+" "+public.Outcome, "login.verified ok")
	if !strings.Contains(sealed, `"reasons":"email: malformed"`) || strings.Contains(sealed, "alice@") {
		t.Errorf("sealed part %s", sealed)
	}
}

func TestFlaws_EveryRuleHasWords(t *testing.T) {
	unreadable := 0
	for _, r := range identity.Rules() {
		if flawOf(r) == web.FlawUnreadable {
			unreadable++
		}
	}
	if unreadable != 10 {
		t.Errorf("%d rules are worded as unreadable, want 10: is a new one among them?", unreadable)
	}
}
