package login

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/web"
)

// posts is what a provider's page makes a browser send: across sites, so without
// any cookie of ours.
func (w *world) posts(target string, form url.Values) reply {
	r := httptest.NewRequest("POST", target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://tax.test")
	return w.browser().send(r)
}

func response(state, who string) url.Values {
	return url.Values{"RelayState": {state}, "SAMLResponse": {who}}
}

func TestPosted_anAnswerFromAnotherSiteIsTakenWithTheCookieOnly_FB17(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	r := w.posts("/saml/tax/acs", response(state, "alice"))
	want(t, "status", r.Status, http.StatusSeeOther) // never 307: that would post it again
	want(t, "leads to the callback", strings.HasPrefix(r.To, "/callback/tax?posted_answer="), true)
	want(t, "exchanges before the cookie was seen", w.tax.exchanges.Load(), int64(0))
	want(t, "the answer is not in the address", strings.Contains(r.To, "alice"), false)

	other := w.browser()
	other.mustStart(request())
	for _, stranger := range []*browser{other, w.browser()} {
		want(t, "another browser", stranger.get(r.To).Error.Code, web.FlowNotYours)
	}
	want(t, "exchanges for another browser", w.tax.exchanges.Load(), int64(0))
	want(t, "her browser", b.get(r.To).To, b.choice()+"/consent")
	want(t, "exchanges", w.tax.exchanges.Load(), int64(1))
	want(t, "reload", b.get(r.To).To, b.choice()+"/consent")
	want(t, "exchanges after a reload", w.tax.exchanges.Load(), int64(1))
	for id, f := range w.stores.flows {
		if f.Stage == Posted && strings.Contains(string(f.Sealed), "alice") {
			t.Errorf("the answer is still in the store, under %s", id)
		}
	}
}

func TestPosted_aHandleIsGoodForOneUseWithinAMinute(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	first := w.posts("/saml/tax/acs", response(b.pick("tax"), "alice"))
	w.pass(postedTTL)
	want(t, "after a minute", b.get(first.To).Error.Code, web.CallbackInvalid)
	want(t, "she may choose again", b.get(b.choice()).Choose != nil, true)

	// Two visits of one browser: the answer of one is not the answer of the other.
	state := b.pick("tax")
	mine := w.posts("/saml/tax/acs", response(state, "alice"))
	handle := must2(url.Parse(mine.To)).Query().Get(answerParam)
	second := w.browser()
	second.mustStart(request())
	r := second.get("/callback/tax?" + url.Values{"state": {second.pick("tax")}, answerParam: {handle}}.Encode())
	want(t, "of another visit", r.Error.Code, web.CallbackInvalid)
	replies := parallel(20, func(int) reply { return b.get(mine.To) })
	want(t, "exchanges", w.tax.exchanges.Load(), int64(1))
	for _, r := range replies {
		if r.Status != 303 || !strings.HasPrefix(r.To, b.choice()) {
			t.Errorf("a callback led to %+v", r)
		}
	}
}

func must2(u *url.URL, err error) *url.URL {
	if err != nil {
		panic(err)
	}
	return u
}

func TestPosted_onlyWhatAVisitWaitsForIsPutAside(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	old := b.pick("tax")
	state := b.pick("tax")
	flows := len(w.stores.flows)
	for name, r := range map[string]reply{
		"an old state":                     w.posts("/saml/tax/acs", response(old, "alice")),
		"another provider's path":          w.posts("/saml/post/acs", response(state, "alice")),
		"a provider that there is not":     w.posts("/saml/none/acs", response(state, "alice")),
		"no state: the provider began":     w.posts("/saml/tax/acs", url.Values{"SAMLResponse": {"alice"}}),
		"a state that is none":             w.posts("/saml/tax/acs", response("x", "alice")),
		"a state of nobody":                w.posts("/saml/tax/acs", response(strings.Repeat("A", 22)+"."+strings.Repeat("A", 22), "alice")),
		"two responses (SA-13)":            w.posts("/saml/tax/acs", url.Values{"RelayState": {state}, "SAMLResponse": {"alice", "bob"}}),
		"two states":                       w.posts("/saml/tax/acs", url.Values{"RelayState": {state, state}, "SAMLResponse": {"alice"}}),
		"a request beside it (SA-13)":      w.posts("/saml/tax/acs", url.Values{"RelayState": {state}, "SAMLResponse": {"alice"}, "SAMLRequest": {"x"}}),
		"a query beside it":                w.posts("/saml/tax/acs?SAMLResponse=bob", response(state, "alice")),
		"no response":                      w.posts("/saml/tax/acs", url.Values{"RelayState": {state}}),
		"a form that is too large (SA-14)": w.posts("/saml/tax/acs", response(state, strings.Repeat("x", maxPosted))),
	} {
		if r.Error == nil || r.To != "" {
			t.Errorf("%s: %+v, want an error", name, r)
		}
	}
	want(t, "records put aside", len(w.stores.flows)-flows, 0)
	b.signIn("tax", state, "alice")
	want(t, "after she has come back", w.posts("/saml/tax/acs", response(state, "alice")).Error.Code, web.CallbackInvalid)
}

func TestPosted_aVisitHasOneAnswerAMinuteHoweverOftenItIsPosted(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	before := len(w.stores.flows)
	first := w.posts("/saml/tax/acs", response(state, "alice"))
	for _, r := range parallel(40, func(int) reply { return w.posts("/saml/tax/acs", response(state, "bob")) }) {
		want(t, "posted again", r.To, first.To)
	}
	want(t, "records", len(w.stores.flows)-before, 1)
	want(t, "the first counts", b.get(first.To).To, b.choice()+"/consent")
	want(t, "who", b.get(b.choice() + "/consent").Consent.Required[0].Value, any("Alice"))
}

func TestPosted_aHandleIsNoVisit(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	r := w.posts("/saml/tax/acs", response(b.pick("tax"), "alice"))
	handle := must2(url.Parse(r.To)).Query().Get(answerParam)
	want(t, "as a visit", b.get("/login/"+handle).Error.Code, web.FlowUnknown)
	// And a visit is no posted answer.
	state := b.pick("tax")
	want(t, "a visit as an answer", b.get("/callback/tax?"+url.Values{"state": {state}, answerParam: {string(b.flow)}}.Encode()).Error.Code, web.CallbackInvalid)
}

func TestPosted_unknownIsNotNo(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	for n := 1; n <= 3; n++ { // load the visit, look for an answer, create
		w.stores.calls, w.stores.failAt = 0, n
		want(t, "posting, while the store is down", w.posts("/saml/tax/acs", response(state, "alice")).Error.Code, web.Unavailable)
	}
	w.stores.failAt = 0
	r := w.posts("/saml/tax/acs", response(state, "alice"))
	for n := 1; n <= 3; n++ { // load the visit, load the answer, take it
		w.stores.calls, w.stores.failAt = 0, n
		want(t, "coming back, while the store is down", b.get(r.To).Error.Code, web.Unavailable)
	}
	w.stores.failAt = 0
	want(t, "in the end", b.get(r.To).To, b.choice()+"/consent")
}
