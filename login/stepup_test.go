package login

import (
	"testing"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// strong is the library when it needs more than usual.
func strong() protocol.AuthRequest {
	r := request()
	r.MinACR = protocol.EIDAS2
	return r
}

func TestStepUp_onlyProvidersThatReachTheLevelCanBeChosenAndThePageSaysWhy(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	b.mustStart(strong())
	page := b.get(b.choice()).Choose
	if page == nil {
		t.Fatal("no choice")
	}
	want(t, "the sentence", page.Notice, web.Notice{Code: web.NoticeStepUp, Provider: protocol.Text{"en": "POST"}, Has: protocol.EIDAS1, Needs: protocol.EIDAS2})
	offered := map[protocol.ProviderID]bool{}
	for _, p := range page.Providers {
		offered[p.ID] = !p.TooWeak
	}
	want(t, "what can be chosen", offered, map[protocol.ProviderID]bool{"tax": true, "post": false})
	want(t, "the weak one, by hand", b.send(postTo(b.choice()+"/provider", "provider=post")).Error.Code, web.ProviderUnknown)
}

func TestStepUp_theSessionHoldsTheHigherLevelAfterwards(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	id := w.sessionID()
	b.identify(strong(), "tax", "alice")
	b.get(b.choice()) // her answer stands
	codes := w.issuer.codes()
	want(t, "levels that the service heard of", []protocol.ACR{codes[0].ACR, codes[1].ACR}, []protocol.ACR{protocol.EIDAS1, protocol.EIDAS2})
	want(t, "the same session", w.sessionID(), id)
	b.mustStart(strong())
	want(t, "at once, at the higher level", b.get(b.choice()).code(), "code-3")
	want(t, "its level", w.issuer.codes()[2].ACR, protocol.EIDAS2)
}

// The lower sign-in is what it was: for a service that needs no more it is good as long
// as it lasts, and it never counts for more, also where the second provider did not
// deliver.
func TestStepUp_aSessionIsNeverTakenForMoreThanItReached(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	w.tax.acr = protocol.EIDAS1 // asked for eidas2
	b.mustStart(strong())
	b.signIn("tax", b.pick("tax"), "alice")
	want(t, "the visit", b.get(b.choice()).Choose.Notice.Code, web.NoticeTooWeak)
	b.mustStart(strong())
	want(t, "the session after the attempt", b.get(b.choice()).Choose.Notice.Code, web.NoticeStepUp)
	b.mustStart(request())
	want(t, "what it is good for", b.get(b.choice()).code(), "code-2")
	want(t, "its level", w.issuer.codes()[1].ACR, protocol.EIDAS1)
}

// A session through a provider that could do more: it is asked for more.
func TestStepUp_theSameProviderMayBeAskedForMore(t *testing.T) {
	w := newWorld(t)
	w.tax.acr = protocol.EIDAS1
	b := signedIn(w, "tax")
	want(t, "reached", w.issuer.codes()[0].ACR, protocol.EIDAS1)
	w.tax.acr = ""
	b.mustStart(strong())
	want(t, "offered", b.get(b.choice()).Choose.Notice.Code, web.NoticeStepUp)
	b.signIn("tax", b.pick("tax"), "alice")
	b.get(b.choice())
	want(t, "asked of it", w.tax.asked[len(w.tax.asked)-1].MinACR, protocol.EIDAS2)
	want(t, "reached", w.issuer.codes()[1].ACR, protocol.EIDAS2)
}

func TestStepUp_anotherPersonEndsTheOldSessionAndIsToldSo(t *testing.T) {
	w := newWorld(t)
	other := w.browser()
	other.identify(request(), "tax", "bob") // who has agreed here before
	other.agree()
	b := signedIn(w, "post")
	old := w.sessionOf(b)
	b.identify(strong(), "tax", "bob")

	want(t, "the old session", w.stores.ended[old], true)
	want(t, "who is told", names(w.issuer.told), []string{"library"})
	page := b.get(b.choice() + "/consent").Consent
	if page == nil || !page.Switched {
		t.Fatalf("he is not told: %+v", page)
	}
	want(t, "codes so far: nothing leaves before he has read it", len(w.issuer.codes()), 2)
	b.agree()
	codes := w.issuer.codes()
	want(t, "whose code", codes[2].Person == codes[0].Person && codes[2].Person != codes[1].Person, true)
	now := w.sessionOf(b)
	want(t, "a session of his own", now != old && now != "", true)
	b.mustStart(strong())
	want(t, "and from then on as ever", b.get(b.choice()).code() != "", true)
	want(t, "of his", w.issuer.codes()[3].Person, codes[0].Person)
}

func TestStepUp_silentlyIsRefused(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	req := strong()
	req.Prompt.None = true
	b.mustStart(req)
	want(t, "answer", b.get(b.choice()).To, "https://library.test/callback?error=login_required&state=library-state")
}

// With one provider left the browser goes there at once, but not without a word where
// she is signed in already.
func TestStepUp_isNotLeftToARedirect(t *testing.T) {
	w := newWorld(t)
	want(t, "a stranger", w.browser().mustStart(strong())[:8], "https://")
	b := signedIn(w, "post")
	want(t, "one who is signed in", b.mustStart(strong()), b.choice())
}

func TestStepUp_endsWhereNobodyReachesTheLevel(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	w.reload(nil, federation.NewDirectory(w.post.entry(protocol.EIDAS1)))
	_, err := b.start(strong())
	want(t, "answer", err.Error(), string(protocol.UnmetAuthentication)+": no identity provider that may be used here reaches the level")
}
