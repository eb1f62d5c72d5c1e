package login

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

func postTo(target, form string) *http.Request {
	r := httptest.NewRequest("POST", target, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// bar takes the person of the newest code out of service; for good, or until now.
func (w *world) bar(lifted bool) {
	person := w.issuer.codes()[len(w.issuer.codes())-1].Person
	w.mu.Lock()
	defer w.mu.Unlock()
	until := w.clock
	if !lifted {
		until = until.AddDate(1, 0, 0)
	}
	w.barred = map[string]time.Time{person: until}
}

func (w *world) block(cs ...preferences.Choice) {
	w.stores.mu.Lock()
	defer w.stores.mu.Unlock()
	w.stores.blocked = cs
}

// sessionOf is the id of a browser's session, "" when it has none.
func (w *world) sessionOf(b *browser) SessionID {
	x, err := w.service.SignedIn(w.t.Context(), b.header())
	must(w.t, err)
	if x == nil {
		return ""
	}
	return x.ID
}

func TestBlockedPerson_cannotSignInThroughAnyProvider(t *testing.T) {
	for _, provider := range []string{"tax", "post"} {
		w := newWorld(t)
		signedIn(w, "post")
		w.bar(false)
		b := w.browser()
		b.identify(request(), provider, "alice")
		r := b.get(b.choice())
		want(t, "page", r.Error.Code, web.PersonBlocked)
		want(t, "cookie", b.cookie(sessionCookie), "")
		want(t, "back at the service", b.post(b.choice()+"/cancel", nil).To, "https://library.test/callback?error=access_denied&state=library-state")
		want(t, "codes", len(w.issuer.codes()), 1)
		want(t, "on record", slices.Contains(w.stores.trail(t), "login.denied access_denied person-blocked"), true)
		other := w.browser()
		other.identify(request(), "tax", "bob")
		other.agree()
		want(t, "anybody else", len(w.issuer.codes()), 2)
	}
}

func TestBlockedPerson_hasNoSessionAnyMoreAndItsServicesAreTold(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	w.bar(false)
	silent := request()
	silent.Prompt.None = true
	b.mustStart(silent)
	want(t, "silently: what anybody without a session gets", b.get(b.choice()).To, "https://library.test/callback?error=login_required&state=library-state")
	want(t, "told", names(w.issuer.told), []string{"library"})
	b.mustStart(request())
	want(t, "with a page", b.get(b.choice()).Choose != nil, true)
}

func TestBlockedPerson_cannotFinishWhatIsOpen(t *testing.T) {
	w := newWorld(t)
	signedIn(w, "post")
	b := w.browser()
	req := request()
	req.Prompt.Consent = true
	b.identify(req, "post", "alice")
	want(t, "the question", b.get(b.choice()+"/consent").Consent != nil, true)
	w.bar(false)
	b.post(b.choice()+"/consent", map[string][]string{"answer": {"agree"}})
	want(t, "codes", len(w.issuer.codes()), 1)
	want(t, "page", b.get(b.choice()).Error.Code, web.PersonBlocked)
}

// Whoever had her session when she was blocked does not get it back when she is not
// blocked any more.
func TestBlockedPerson_afterTheRestoreOnlyNewSignInsCount(t *testing.T) {
	w := newWorld(t)
	thief := signedIn(w, "post")
	w.pass(minutes(1))
	w.bar(true)
	thief.mustStart(request())
	want(t, "the old session", thief.get(thief.choice()).Choose != nil, true)
	b := w.browser()
	b.identify(request(), "post", "alice")
	b.get(b.choice())
	want(t, "a new sign-in", len(w.issuer.codes()), 2)
	b.mustStart(request())
	want(t, "and its session", b.get(b.choice()).code(), "code-3")
}

func TestBlockedProvider_ASignInThroughItIsRefused_AL08(t *testing.T) {
	for name, said := range map[string]preferences.Choice{
		"by name":              {Provider: "post", Blocked: true},
		"with all that is new": {Provider: preferences.Future, Blocked: true},
	} {
		w := newWorld(t)
		w.block(preferences.Choice{Provider: "tax"}, said)
		b := w.browser()
		b.identify(request(), "post", "alice")
		page := b.get(b.choice()).Choose
		want(t, name, page.Notice.Code, web.NoticeProviderBlocked)
		want(t, "named", page.Notice.Provider, protocol.Text{"en": "POST"})
		want(t, "no session", b.cookie(sessionCookie), "")
		want(t, "on record", slices.Contains(w.stores.trail(t), "login.denied access_denied provider-blocked"), true)
		b.signIn("tax", b.pick("tax"), "alice")
		b.agree()
		want(t, "through another", len(w.issuer.codes()), 1)
	}
}

func TestBlockedProvider_IsNotOfferedToTheOneWhoIsSignedIn(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "tax")
	w.block(preferences.Choice{Provider: "post", Blocked: true})
	req := request()
	req.Prompt.Login = true
	b.mustStart(req)
	page := b.get(b.choice()).Choose
	want(t, "offered", len(page.Providers), 1)
	want(t, "and it says so", page.Hidden, true)
	want(t, "by hand", b.send(postTo(b.choice()+"/provider", "provider=post")).Error.Code, web.ProviderUnknown)
	stranger := w.browser()
	stranger.mustStart(request())
	want(t, "offered to a stranger", len(stranger.get(stranger.choice()).Choose.Providers), 2)
}

func TestBlockedProvider_ASessionThroughItCountsNoMore(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	w.block(preferences.Choice{Provider: "post", Blocked: true})
	b.mustStart(request())
	want(t, "choice", b.get(b.choice()).Choose != nil, true)
	want(t, "codes", len(w.issuer.codes()), 1)
}

func TestBlockedProvider_AnOpenQuestionIsClosed(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "post", "alice")
	w.block(preferences.Choice{Provider: "post", Blocked: true})
	b.post(b.choice()+"/consent", map[string][]string{"answer": {"agree"}})
	want(t, "codes", len(w.issuer.codes()), 0)
	want(t, "page", b.get(b.choice()).Choose.Notice.Code, web.NoticeProviderBlocked)
}

// Unknown is not no, and not yes either.
func TestBlockedProvider_WhenNobodyCanTellNobodyIsSignedIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("post")
	w.stores.blockedDown = true
	want(t, "page", b.signIn("post", state, "alice").Error.Code, web.Unavailable)
	want(t, "codes", len(w.issuer.codes()), 0)
}
