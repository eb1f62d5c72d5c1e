package login

import (
	"errors"
	"slices"
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

func TestCaution_raisesTheLevelAndLeavesTheSessionAside(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "tax")
	b.caution = protocol.EIDAS2
	to := b.mustStart(request())
	want(t, "asked of the only one that reaches it", w.tax.asked[len(w.tax.asked)-1].MinACR, protocol.EIDAS2)
	b.signIn("tax", stateIn(t, to), "alice")
	b.get(b.choice())
	want(t, "level", w.issuer.codes()[1].ACR, protocol.EIDAS2)
	want(t, "on record", slices.Contains(w.stores.trail(t), "context.suspicious ok"), true)
}

func TestCaution_saysSoOnTheChoicePage(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	want(t, "before", b.get(b.choice()).Choose.Notice.Code, web.NoticeCode(""))
	b.caution = protocol.EIDAS2
	page := b.get(b.choice()).Choose
	want(t, "after", page.Notice.Code, web.NoticeCaution)
	want(t, "too weak now", page.Providers[1].TooWeak, true)
	b.caution = ""
	want(t, "once warned, for the whole visit", b.get(b.choice()).Choose.Notice.Code, web.NoticeCaution)
	n := 0
	for _, e := range w.stores.trail(t) {
		if e == "context.suspicious ok" {
			n++
		}
	}
	want(t, "entries", n, 1)
}

// The warning may come when she has signed in already: nothing leaves on that sign-in.
func TestCaution_inTheMiddleOfAVisit(t *testing.T) {
	warn := func(b *browser) { b.caution = protocol.EIDAS2 }
	for name, walk := range map[string]func(b *browser){
		"on the way to a provider": func(b *browser) { warn(b); b.post(b.choice()+"/provider", map[string][]string{"provider": {"post"}}) },
		"on the way back":          func(b *browser) { state := b.pick("post"); warn(b); b.signIn("post", state, "alice") },
		"at the question":          func(b *browser) { b.signIn("post", b.pick("post"), "alice"); warn(b); b.get(b.choice() + "/consent") },
		"with the answer": func(b *browser) {
			b.signIn("post", b.pick("post"), "alice")
			warn(b)
			b.post(b.choice()+"/consent", map[string][]string{"answer": {"agree"}})
		},
	} {
		w := newWorld(t)
		b := w.browser()
		b.mustStart(request())
		walk(b)
		want(t, name+": codes", len(w.issuer.codes()), 0)
		page := b.get(b.choice()).Choose
		want(t, name+": back at the choice", page != nil && page.Providers[1].TooWeak, true)
	}
}

func TestCaution_neverLowersWhatTheServiceAskedFor(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.caution = protocol.EIDAS1
	b.mustStart(strong())
	want(t, "asked", w.tax.asked[0].MinACR, protocol.EIDAS2)
	req := request()
	req.MinACR = "eidas9"
	_, err := b.start(req)
	want(t, "a level that nobody reaches", codeOf(err), protocol.UnmetAuthentication)
}

func TestCaution_silentlyIsRefused(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "tax")
	b.caution = protocol.EIDAS2
	req := request()
	req.Prompt.None = true
	b.mustStart(req)
	want(t, "answer", b.get(b.choice()).To, "https://library.test/callback?error=login_required&state=library-state")
}

func TestCaution_whereNobodyReachesTheLevelTheServiceIsTold(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.caution = protocol.EIDAS3
	_, err := b.start(request())
	want(t, "answer", codeOf(err), protocol.UnmetAuthentication)
	want(t, "on record", w.stores.trail(t), []string{"context.suspicious ok", "login.denied unmet_authentication_requirements acr"})
}

// codeOf is the answer for the service, "" when err is none.
func codeOf(err error) protocol.ErrorCode {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
