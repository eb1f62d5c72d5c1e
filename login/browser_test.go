package login

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// An attacker starts a visit and has a victim finish it: the victim's browser is
// stopped at every page, so that the attacker never gets a code (FB-01, FB-02).
func TestBrowser_anotherBrowserCannotTakePartInAVisit_FB01_FB02(t *testing.T) {
	w := newWorld(t)
	attacker, victim := w.browser(), w.browser()
	attacker.mustStart(request())
	victim.mustStart(request()) // with a visit, and so a cookie, of her own
	flow := attacker.choice()
	everyPage := func(stage string) {
		t.Helper()
		for _, b := range []*browser{victim, w.browser()} {
			for _, r := range []reply{
				b.get(flow), b.get(flow + "/consent"), b.get(flow + "/provider"), b.get(flow + "/cancel"),
				b.post(flow, nil), b.post(flow+"/provider", url.Values{"provider": {"tax"}}),
				b.post(flow+"/consent", url.Values{"answer": {"agree"}}), b.post(flow+"/cancel", nil),
			} {
				if r.Error == nil || r.Error.Code != web.FlowNotYours || r.Error.Back != "" || r.To != "" {
					t.Errorf("%s: another browser got %+v", stage, r)
				}
			}
		}
	}
	everyPage("choosing")
	state := attacker.pick("tax")
	everyPage("at the provider")
	r := victim.signIn("tax", state, "alice") // login CSRF, FB-05
	want(t, "the victim brings the answer", r.Error.Code, web.FlowNotYours)
	want(t, "exchanges", w.tax.exchanges.Load(), int64(0))
	attacker.signIn("tax", state, "alice")
	everyPage("asking")
	attacker.agree()
	everyPage("done")
	want(t, "codes", len(w.issuer.codes()), 1)
}

func TestBrowser_aCookieOfAnotherVisitOrAGuessedOneIsNoUse_FB02(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	first := b.flow
	handle := b.cookie(flowCookiePrefix + string(first))
	b.mustStart(request())
	second := b.flow
	for _, value := range []string{handle, "", handle[:42], handle + "A", strings.ToLower(handle), "=" + handle} {
		r := httptest.NewRequest("GET", choicePath(second), nil)
		r.AddCookie(&http.Cookie{Name: flowCookiePrefix + string(second), Value: value})
		rec := httptest.NewRecorder()
		w.mux.ServeHTTP(rec, r)
		want(t, fmt.Sprintf("status for a handle of %d characters", len(value)), rec.Code, 400)
	}
	want(t, "both visits are open", []bool{b.get(choicePath(first)).Choose != nil, b.get(choicePath(second)).Choose != nil}, []bool{true, true})
}

func TestBrowser_atMostTenVisitsAreOpen(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	var flows []FlowID
	for range 25 {
		b.mustStart(request())
		flows = append(flows, b.flow)
	}
	want(t, "cookies", len(b.jar), 10)
	want(t, "the oldest", b.get(choicePath(flows[14])).Error.Code, web.FlowNotYours)
	want(t, "the newest ten", b.get(choicePath(flows[15])).Choose != nil, true)
}

func TestBrowser_aReplayedAnswerCostsOneExchange_FB06(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	replies := parallel(40, func(int) reply { return b.signIn("tax", state, "alice") })
	want(t, "exchanges", w.tax.exchanges.Load(), int64(1))
	for _, r := range replies {
		if r.Status != 303 || !strings.HasPrefix(r.To, b.choice()) {
			t.Errorf("a callback led to %+v", r)
		}
	}
	want(t, "sign-ins on record", count(w.stores.trail(t), "login.verified"), 1)
	want(t, "now", b.get(b.choice()).To, b.choice()+"/consent")
}

func TestBrowser_aReloadWhileTheAnswerIsVerifiedWaits(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	w.tax.during = func() {
		want(t, "a second request", b.signIn("tax", state, "alice").To, b.choice())
		want(t, "shows", b.get(b.choice()).Wait, &web.WaitPage{URL: b.choice()})
	}
	want(t, "the first request", b.signIn("tax", state, "alice").To, b.choice()+"/consent")
}

func TestBrowser_choosingAgainWhileTheAnswerIsVerifiedWins(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	var second string
	w.tax.during = func() { second = b.pick("post") }
	want(t, "the first answer comes too late", b.signIn("tax", state, "alice").To, b.choice())
	want(t, "no session of it", b.cookie(sessionCookie), "")
	b.signIn("post", second, "bob")
	want(t, "whose", b.get(b.choice() + "/consent").Consent.Required[0].Value, any("Bob"))
}

func TestBrowser_anAlteredStateIsRefused_FB07(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	old := b.pick("tax")
	state := b.pick("tax")
	flip := func(i int) string {
		c := byte('A')
		if state[i] == 'A' {
			c = 'B'
		}
		return state[:i] + string(c) + state[i+1:]
	}
	for name, s := range map[string]string{
		"truncated": state[:len(state)-1], "extended": state + "A", "another first letter": flip(0), "another last letter": flip(len(state) - 1),
		"empty": "", "only the flow": string(b.flow), "no random part": string(b.flow) + ".", "an earlier state": old, "two dots": state + ".x",
	} {
		r := b.signIn("tax", s, "alice")
		if r.Error == nil || r.Error.Code != web.CallbackInvalid && r.Error.Code != web.FlowUnknown {
			t.Errorf("%s: %+v", name, r)
		}
	}
	want(t, "at another provider's path (mix-up)", b.signIn("post", state, "alice").Error.Code, web.CallbackInvalid)
	want(t, "state twice", b.get("/callback/tax?code=alice&state="+state+"&state="+old).Error.Code, web.CallbackInvalid)
	want(t, "malformed", b.get("/callback/tax?state="+state+"&code=%zz").Error.Code, web.CallbackInvalid)
	want(t, "oversized", b.get("/callback/tax?state="+state+"&code="+strings.Repeat("a", maxCallback)).Error.Code, web.CallbackInvalid)
	want(t, "exchanges", w.tax.exchanges.Load()+w.post.exchanges.Load(), int64(0))
	want(t, "the right one still works", b.signIn("tax", state, "alice").To, b.choice()+"/consent")
}

func TestBrowser_aProviderSwitchedOffMidVisit_MX07(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	w.reload(nil, federation.NewDirectory(w.post.entry(protocol.EIDAS1)))
	r := b.signIn("tax", state, "alice")
	want(t, "its answer", *r.Error, struct {
		Code web.Code
		Back string
	}{web.ProviderUnknown, "https://library.test/"})
	want(t, "exchanges", w.tax.exchanges.Load(), int64(0))
	want(t, "choosing it again", b.post(b.choice()+"/provider", url.Values{"provider": {"tax"}}).Error.Code, web.ProviderUnknown)
	want(t, "what is left", len(b.get(b.choice()).Choose.Providers), 1)
}

func TestBrowser_aProviderSwitchedOffWhileTheQuestionIsOpen_MX07(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	page := b.get(b.choice() + "/consent")
	w.reload(nil, federation.NewDirectory(w.post.entry(protocol.EIDAS1)))
	want(t, "agreeing to what it said leads to", b.post(page.Consent.Action, url.Values{"answer": {"agree"}}).To, b.choice())
	want(t, "codes", len(w.issuer.codes()), 0)
	want(t, "why", b.get(b.choice()).Choose.Notice.Code, web.NoticeUnavailable)
	trail := w.stores.trail(t)
	want(t, "on record", trail[len(trail)-1], "provider.failed unavailable")
}

func TestBrowser_anAddressTakenFromTheServiceMidVisitGetsNoAnswer(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	page := b.get(b.choice() + "/consent")
	c, _ := w.service.Clients().Get("library")
	c.RedirectURIs = []string{"https://library.test/new"}
	want(t, "answer", b.post(page.Consent.Action, url.Values{"answer": {"agree"}}).Error.Code, web.RedirectInvalid)
	want(t, "codes", len(w.issuer.codes()), 0)
}

func TestBrowser_aProviderThatIsTooWeakCannotBeChosen(t *testing.T) {
	w := newWorld(t)
	req := request()
	req.MinACR, req.Prompt.SelectAccount = protocol.EIDAS2, true
	b := w.browser()
	b.mustStart(req)
	want(t, "shown", b.get(b.choice()).Choose.Providers[1].TooWeak, true)
	want(t, "chosen", b.post(b.choice()+"/provider", url.Values{"provider": {"post"}}).Error.Code, web.ProviderUnknown)
	for _, form := range []url.Values{nil, {"provider": {"tax", "post"}}, {"provider": {"nobody"}}} {
		want(t, "chosen", b.post(b.choice()+"/provider", form).Error.Code, web.ProviderUnknown)
	}
}

func TestBrowser_aChangedFormChangesNothing_FB14(t *testing.T) {
	for name, form := range map[string]url.Values{
		"no answer":             {},
		"another answer":        {"answer": {"yes"}},
		"two answers":           {"answer": {"agree", "agree"}},
		"a claim never offered": {"answer": {"agree"}, "claim": {"birthdate"}},
		"a required claim":      {"answer": {"agree"}, "claim": {"given_name"}},
		"an unknown claim":      {"answer": {"refuse"}, "claim": {"shoe_size"}},
		"a claim twice":         {"answer": {"agree"}, "claim": {"email", "email"}},
		"another scope":         {"answer": {"agree"}, "scope": {"openid profile"}},
		"another client":        {"answer": {"agree"}, "client_id": {"cityhall"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			b.identify(request(), "tax", "alice")
			before := visitOf(t, w, b.flow).revision
			r := b.post(b.get(b.choice()+"/consent").Consent.Action, form)
			want(t, "answer", r.Error.Code, web.RequestInvalid)
			want(t, "revision", visitOf(t, w, b.flow).revision, before)
			want(t, "receipts", len(w.stores.record()), 0)
			want(t, "she can still answer", b.agree("email").code(), "code-1")
		})
	}
}

func TestBrowser_anAnswerToAQuestionNeverShown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(cityhall(), "tax", "alice") // leaves a session behind
	b.mustStart(request())
	r := b.post(b.choice()+"/consent", url.Values{"answer": {"agree"}, "claim": {"email"}})
	want(t, "she is asked first", r.To, b.choice()+"/consent")
	want(t, "codes", len(w.issuer.codes()), 0)
}

func TestBrowser_fortyClicksAreOneAnswer_FB15(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	action := b.get(b.choice() + "/consent").Consent.Action
	replies := parallel(40, func(i int) reply {
		return b.post(action, url.Values{"answer": {[]string{"agree", "refuse"}[i%2]}})
	})
	want(t, "receipts", len(w.stores.record()), 1)
	final := b.get(b.choice()).To
	for _, r := range replies {
		if r.To != final && r.To != b.choice() {
			t.Errorf("a click led to %+v", r)
		}
	}
	released := 0
	if w.stores.record()[0].Act == "given" {
		released = 1
	}
	want(t, "codes", len(w.issuer.codes()), released)
}

// A double click makes the browser give up on the first request, and it is that
// one which holds the visit.
func TestBrowser_aClickThatTheBrowserGaveUpOnIsCarriedThrough(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	gone, leave := context.WithCancel(t.Context())
	w.tax.during = leave
	b.send(httptest.NewRequest("GET", "/callback/tax?code=alice&state="+state, nil).WithContext(gone))
	want(t, "signed in", b.get(b.choice()).To, b.choice()+"/consent")

	r := httptest.NewRequest("POST", b.choice()+"/consent", strings.NewReader("answer=agree"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	gone, leave = context.WithCancel(t.Context())
	w.stores.onAdvance = leave
	b.send(r.WithContext(gone))
	want(t, "answered", b.get(b.choice()).code(), "code-1")
	want(t, "receipts", len(w.stores.record()), 1)
}

func TestBrowser_aDoubleClickOnAProviderFollowsTheLastOne(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	v := visitOf(t, w, b.flow)
	client, err := w.service.client(v)
	must(t, err)
	first, err := w.service.leave(t.Context(), v, client, "tax")
	must(t, err)
	again := *v
	must(t, w.service.depart(t.Context(), &again, first))
	second, err := w.service.leave(t.Context(), v, client, "tax")
	must(t, err)
	must(t, w.service.depart(t.Context(), v, second))
	want(t, "the last state", b.signIn("tax", stateIn(t, second.url), "alice").To, b.choice()+"/consent")
}

func TestBrowser_aPostFromAnotherSiteChangesNothing_FB12(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	r := httptest.NewRequest("POST", b.choice()+"/provider", strings.NewReader("provider=tax"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	for _, c := range cookies(b.header()) {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	want(t, "status", rec.Code, 403)
	want(t, "stage", visitOf(t, w, b.flow).stage, Choosing)
}

func TestBrowser_onlyA303EverLeadsOnward_FB18(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	for _, r := range []reply{
		b.post(b.choice()+"/provider", url.Values{"provider": {"tax"}}), b.get(b.choice() + "/consent"), b.post(b.choice(), nil), b.post(b.choice()+"/cancel", nil),
	} {
		want(t, "status", r.Status, 303)
	}
}

// Two visits to two services in one browser, in any order of clicks: each code
// belongs to its own service, person and visit (FB-03).
func TestBrowser_twoVisitsInAnyInterleaving_FB03(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		b := w.browser()
		type tab struct {
			flow       FlowID
			req        protocol.AuthRequest
			who, state string
			provider   string
			code       string
		}
		tabs := []*tab{{req: request(), who: "alice"}, {req: cityhall(), who: "bob"}}
		for _, x := range tabs {
			x.req.Prompt.Login = true // no session: each tab has a person of its own
			b.mustStart(x.req)
			x.flow = b.flow
		}
		for range rapid.IntRange(1, 30).Draw(rt, "clicks") {
			x := rapid.SampledFrom(tabs).Draw(rt, "tab")
			path := choicePath(x.flow)
			var r reply
			switch rapid.SampledFrom([]string{"look", "pick", "pick", "return", "return", "agree", "agree", "change"}).Draw(rt, "click") {
			case "look":
				r = b.get(path)
			case "pick":
				x.provider = rapid.SampledFrom([]string{"tax", "post"}).Draw(rt, "provider")
				r = b.post(path+"/provider", url.Values{"provider": {x.provider}})
				if strings.Contains(r.To, "authorize?state=") {
					x.state = stateIn(t, r.To)
				}
			case "return":
				if x.state != "" {
					r = b.signIn(x.provider, x.state, x.who)
				}
			case "agree":
				if page := b.get(path + "/consent"); page.Consent != nil {
					r = b.post(page.Consent.Action, url.Values{"answer": {"agree"}})
				}
			case "change":
				r = b.post(path, nil)
			}
			if c := r.code(); c != "" {
				if x.code != "" && x.code != c {
					rt.Fatalf("%s got two codes: %s and %s", x.req.ClientID, x.code, c)
				}
				if !strings.HasPrefix(r.To, x.req.RedirectURI+"?") || !strings.Contains(r.To, "state="+x.req.State) {
					rt.Fatalf("%s's answer went to %s", x.req.ClientID, r.To)
				}
				x.code = c
			}
		}
		for i, g := range w.issuer.codes() {
			for _, x := range tabs {
				name, _ := g.Released.Claims()["given_name"].(string)
				if x.code == fmt.Sprintf("code-%d", i+1) && (g.Client != x.req.ClientID || name != "" && !strings.EqualFold(name, x.who)) {
					rt.Fatalf("%s holds a code of %s for %q", x.req.ClientID, g.Client, name)
				}
			}
		}
	})
}

func parallel(n int, do func(int) reply) []reply {
	out := make([]reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { out[i] = do(i) })
	}
	wg.Wait()
	return out
}

func count(lines []string, prefix string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func TestOpen_aSealedVisitCannotBePutElsewhere(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	f := w.stores.flows[b.flow]
	for name, change := range map[string]func(*Flow){
		"to another stage":    func(f *Flow) { f.Stage = Choosing },
		"to another revision": func(f *Flow) { f.Revision++ },
	} {
		moved := f
		change(&moved)
		w.stores.flows[b.flow] = moved
		want(t, name, b.get(b.choice()).Error.Code, web.Unavailable)
	}
	w.stores.flows[b.flow] = f
	other := w.browser()
	other.mustStart(request())
	moved := f
	moved.ID = other.flow
	w.stores.flows[other.flow] = moved
	want(t, "to another visit", other.get(other.choice()).Error.Code, web.Unavailable)
}

// Whatever a stranger sends as a provider's answer has an answer of ours.
func FuzzCallback(f *testing.F) {
	for _, q := range []string{"", "state=", "state=a.b&code=c", "state=AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA", "error=access_denied", "%zz", "state=a;b", "state=1&state=2"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		w := newWorld(t)
		b := w.browser()
		b.mustStart(request())
		b.pick("tax")
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/callback/tax", RawQuery: query}, Header: http.Header{}}
		got := b.send(r)
		if got.Status != 400 || got.Error == nil {
			t.Errorf("answer to %q: %+v", query, got)
		}
		if w.tax.exchanges.Load() != 0 {
			t.Errorf("an exchange for %q", query)
		}
	})
}
