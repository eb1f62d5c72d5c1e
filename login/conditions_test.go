package login

import (
	"testing"

	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// conditionalWorld is a world in which the library's policy has one condition.
func conditionalWorld(t *testing.T, c policies.Condition) *world {
	t.Helper()
	w := newWorld(t)
	compiler, err := policies.NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	if c, err = compiler.Compile(c); err != nil {
		t.Fatal(err)
	}
	lib := library()
	lib.Conditions = []policies.Condition{c}
	w.reload(policies.NewTable(lib), nil)
	return w
}

func TestConditions_sheReadsWhyAndTheServiceHearsADenial(t *testing.T) {
	reason := protocol.Text{"en": "loans are for others"}
	w := conditionalWorld(t, policies.Condition{ID: "others", When: "person.age_known", Then: policies.Deny, Reason: reason})
	b := w.browser()
	page := comesBack(b, "post", "alice").Choose
	want(t, "notice", page.Notice, web.Notice{Code: web.NoticeCondition, Reason: reason, Provider: protocol.Text{"en": "POST"}})
	want(t, "the service hears", b.post(page.Cancel, nil).To, "https://library.test/callback?error=access_denied&state=library-state")
	want(t, "codes", len(w.issuer.codes()), 0)
}

func TestConditions_whatIsNotKnownDenies(t *testing.T) {
	w := conditionalWorld(t, policies.Condition{ID: "lyon", When: `person.lives_in_commune("69123")`, Then: policies.AskAgain})
	b := w.browser()
	want(t, "notice", comesBack(b, "post", "alice").Choose.Notice.Code, web.NoticeConditionUnknown)
}

// A level that a condition wants counts for the rest of the visit: what does not
// reach it can no longer be chosen.
func TestConditions_aLevelIsRememberedForTheVisit(t *testing.T) {
	w := conditionalWorld(t, policies.Condition{ID: "strict", When: `provider == "post"`, Then: policies.RequireACR, ACR: protocol.EIDAS2})
	b := w.browser()
	page := comesBack(b, "post", "alice").Choose
	want(t, "notice", page.Notice.Code, web.NoticeTooWeak)
	for _, p := range page.Providers {
		want(t, "too weak: "+string(p.ID), p.TooWeak, p.ID == "post")
	}
}
