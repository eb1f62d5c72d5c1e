package login

import (
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

func TestVisit_sheChoosesSignsInSeesAndAgrees(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	to := b.mustStart(request())
	want(t, "first redirect", to, b.choice())

	page := b.get(to)
	want(t, "choice page", *page.Choose, web.ChoosePage{
		Client: protocol.Text{"en": "City library"}, Purpose: protocol.Text{"en": "Open your reader account"},
		Self: to, Action: to + "/provider", Cancel: to + "/cancel", Found: 2, Page: 1, Pages: 1,
		Providers: []web.ProviderChoice{
			{ID: "tax", Name: protocol.Text{"en": "TAX"}, ACR: protocol.EIDAS2},
			{ID: "post", Name: protocol.Text{"en": "POST"}, ACR: protocol.EIDAS1},
		},
	})

	state := b.pick("tax")
	r := b.signIn("tax", state, "alice")
	want(t, "after the provider", r.To, to+"/consent")

	page = b.get(r.To)
	want(t, "consent page", *page.Consent, web.ConsentPage{
		Client: protocol.Text{"en": "City library"}, Purpose: protocol.Text{"en": "Open your reader account"},
		Provider: protocol.Text{"en": "TAX"}, Basis: "consent", Retention: "P1Y", Remember: "P1Y",
		Required: []web.ClaimValue{{Claim: protocol.GivenName, Value: "Alice"}, {Claim: protocol.AgeOver16, Value: true}},
		Optional: []web.ClaimValue{{Claim: protocol.Email, Value: "alice@example.test", Verified: true}},
		Action:   to + "/consent?seen=3", Change: to,
	})

	r = b.post(page.Consent.Action, url.Values{"answer": {"agree"}, "claim": {"email"}})
	want(t, "back at the service", r.To, "https://library.test/callback?code=code-1&state=library-state")

	g := w.issuer.codes()[0]
	want(t, "released", g.Released.Claims(), map[string]any{"given_name": "Alice", "age_over_16": true, "email": "alice@example.test", "email_verified": true})
	want(t, "grant", []any{g.Client, g.RedirectURI, g.Nonce, g.CodeChallenge, g.ACR, g.AuthTime}, []any{"library", "https://library.test/callback", "n", "c", protocol.EIDAS2, w.clock})
	want(t, "audit", w.stores.trail(t), []string{
		"login.started ok", "provider.chosen ok",
		"login.verified ok first-time given_name,age_over_16,email",
		"consent.given ok first-time given_name,age_over_16,email",
	})
	receipt := w.stores.record()[0]
	want(t, "remembered until", receipt.Until, w.clock.AddDate(1, 0, 0))
	want(t, "language", receipt.Language, "en")
}

func TestVisit_whatSheDoesNotTickStays(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	b.agree()
	want(t, "released", w.issuer.codes()[0].Released.Claims(), map[string]any{"given_name": "Alice", "age_over_16": true})
}

func TestVisit_refusalIsAnAnswerOnRecord_RFC6749_4_1_2_1(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	page := b.get(b.choice() + "/consent")
	r := b.post(page.Consent.Action, url.Values{"answer": {"refuse"}, "claim": {"email"}})
	want(t, "back at the service", r.To, "https://library.test/callback?error=access_denied&state=library-state")
	want(t, "codes", len(w.issuer.codes()), 0)
	trail := w.stores.trail(t)
	want(t, "last entry", trail[len(trail)-1], "consent.refused access_denied first-time")
	want(t, "standing answers", len(w.stores.standing), 0)
}

func TestVisit_aSecondVisitIsNotAskedAgain(t *testing.T) {
	w := newWorld(t)
	first := w.browser()
	first.identify(request(), "tax", "alice")
	first.agree()
	// Another browser and another provider, but the same person.
	r := w.browser().identify(request(), "post", "alice")
	want(t, "straight back", r.To, "https://library.test/callback?code=code-2&state=library-state")
	codes := w.issuer.codes()
	want(t, "the same subject through both providers", codes[1].Released.Sub(), codes[0].Released.Sub())
	want(t, "without what she did not tick", codes[1].Released.Claims(), map[string]any{"given_name": "Alice", "age_over_16": true})
	trail := w.stores.trail(t)
	want(t, "last entry", trail[len(trail)-1], "consent.standing ok standing given_name,age_over_16")
	want(t, "acts", []any{w.stores.record()[0].Act, w.stores.record()[1].Act}, []any{"given", "reused"})
}

// She takes the answer back in another tab, between the moment at which it was found
// to stand and the moment of the release.
func TestVisit_anAnswerThatIsTakenBackMeanwhileReleasesNothing(t *testing.T) {
	w := newWorld(t)
	first := w.browser()
	first.identify(request(), "tax", "alice")
	first.agree()
	w.stores.withdrawn = true
	r := w.browser().identify(request(), "post", "alice")
	want(t, "back at the service", r.To, "https://library.test/callback?error=access_denied&state=library-state")
	want(t, "codes", len(w.issuer.codes()), 1)
	trail := w.stores.trail(t)
	want(t, "last entry", trail[len(trail)-1], "login.denied access_denied withdrawn")
}

func TestVisit_twoServicesKnowHerByTwoSubjects(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	b.agree()
	b.mustStart(cityhall())
	b.get(b.choice())
	b.agree()
	codes := w.issuer.codes()
	if codes[0].Released.Sub() == codes[1].Released.Sub() {
		t.Error("the library and city hall see one subject")
	}
}

func TestVisit_publicTaskInforms(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(cityhall(), "tax", "alice")
	page := b.get(b.choice() + "/consent")
	want(t, "basis", page.Consent.Basis, "public_task")
	r := b.agree("email")
	want(t, "back at the service", r.To, "https://cityhall.test/callback?code=code-1&state=cityhall-state")
	trail := w.stores.trail(t)
	want(t, "last entry", trail[len(trail)-1], "consent.informed ok informed family_name,email")
}

func TestVisit_goesStraightToTheProviderWhenThereIsNothingToChoose(t *testing.T) {
	only := newWorld(t)
	only.reload(nil, federation.NewDirectory(only.tax.entry(protocol.EIDAS2)))
	strong, hinted, chosen := request(), request(), request()
	strong.MinACR = protocol.EIDAS2
	hinted.IdPHint = "post"
	chosen.Prompt.SelectAccount = true
	tests := []struct {
		name   string
		w      *world
		req    protocol.AuthRequest
		direct string
	}{
		{"the only provider", only, request(), "https://tax.test/authorize"},
		{"the only one that is strong enough", newWorld(t), strong, "https://tax.test/authorize"},
		{"the one that the service names", newWorld(t), hinted, "https://post.test/authorize"},
		{"but not when she shall choose the account", only, chosen, ""},
		{"and not when there are two", newWorld(t), request(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.w.browser()
			to := b.mustStart(tt.req)
			if tt.direct == "" {
				want(t, "first redirect", to, b.choice())
				return
			}
			state := stateIn(t, to)
			want(t, "first redirect", to, tt.direct+"?state="+state)
			u, err := url.Parse(to)
			must(t, err)
			provider := u.Host[:len(u.Host)-len(".test")]
			want(t, "the way back", b.signIn(provider, state, "alice").To, b.choice()+"/consent")
		})
	}
}

func TestVisit_aHintIsIgnoredWhereItMayNotBeFollowed(t *testing.T) {
	w := newWorld(t)
	req := request()
	req.IdPHint = "nobody"
	b := w.browser()
	want(t, "first redirect", b.mustStart(req), b.choice())
}

func TestVisit_noProviderReachesTheLevel_AZ15(t *testing.T) {
	w := newWorld(t)
	req := request()
	req.MinACR = protocol.EIDAS3
	_, err := w.browser().start(req)
	want(t, "answer", err.Error(), "unmet_authentication_requirements: no identity provider that may be used here reaches the level")
	want(t, "audit", w.stores.trail(t), []string{"login.denied unmet_authentication_requirements acr"})
	want(t, "flows", len(w.stores.flows), 0)
}

func TestVisit_aClientWithoutPolicyGetsNothing(t *testing.T) {
	w := newWorld(t)
	req := request()
	req.ClientID = "orphan"
	_, err := w.browser().start(req)
	want(t, "answer", err.Error(), "unauthorized_client: the client may not receive anything")
}

func TestVisit_providerErrorsLeadBackToTheChoiceAndNameTheProvider(t *testing.T) {
	tests := []struct {
		name   string
		answer string
		before func(w *world)
		notice web.NoticeCode
	}{
		{"she cancelled there", "error=access_denied", nil, web.NoticeCancelled},
		{"it refused", "error=unauthorized_client", nil, web.NoticeRefused},
		{"its answer does not hold", "code=mallory", nil, web.NoticeInvalid},
		{"it went down", "code=alice", func(w *world) { w.tax.down.Store(true) }, web.NoticeUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			b.mustStart(request())
			state := b.pick("tax")
			if tt.before != nil {
				tt.before(w)
			}
			r := b.get("/callback/tax?state=" + state + "&" + tt.answer)
			want(t, "back to the choice", r.To, b.choice())
			want(t, "notice", b.get(r.To).Choose.Notice, web.Notice{Code: tt.notice, Provider: protocol.Text{"en": "TAX"}})
			trail := w.stores.trail(t)
			want(t, "last entry", trail[len(trail)-1], "provider.failed "+string(tt.notice))
			want(t, "the other provider still works", b.signIn("post", b.pick("post"), "alice").To, b.choice()+"/consent")
		})
	}
}

func TestVisit_aProviderThatIsDownFromTheStart(t *testing.T) {
	w := newWorld(t)
	w.tax.down.Store(true)
	b := w.browser()
	req := request()
	req.IdPHint = "tax"
	want(t, "first redirect", b.mustStart(req), b.choice())
	want(t, "notice", b.get(b.choice()).Choose.Notice.Code, web.NoticeUnavailable)
	r := b.post(b.choice()+"/provider", url.Values{"provider": {"tax"}})
	want(t, "again", r.To, b.choice())
	want(t, "audit", w.stores.trail(t), []string{"login.started ok", "provider.failed unavailable", "provider.failed unavailable"})
}

func TestVisit_aRequiredClaimIsMissing(t *testing.T) {
	w := newWorld(t)
	p := library()
	p.Claims[2].Required = true // e-mail, which bob has none of
	w.reload(policies.NewTable(p), nil)
	b := w.browser()
	r := b.identify(request(), "tax", "bob")
	want(t, "back to the choice", r.To, b.choice())
	want(t, "notice", b.get(b.choice()).Choose.Notice, web.Notice{
		Code: web.NoticeMissingClaim, Provider: protocol.Text{"en": "TAX"}, Claims: []protocol.Claim{protocol.Email},
	})
	trail := w.stores.trail(t)
	want(t, "audit", trail[2:], []string{"login.verified ok required-claim-missing", "login.denied access_denied required-claim-missing email"})
	want(t, "identity kept", visitOf(t, w, b.flow).SignIn == nil, true)
}

func visitOf(t testing.TB, w *world, id FlowID) *visit {
	t.Helper()
	v, err := w.service.load(t.Context(), id)
	must(t, err)
	return v
}

func TestVisit_turningBack(t *testing.T) {
	t.Run("from the choice", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		b.mustStart(request())
		r := b.post(b.choice()+"/cancel", nil)
		want(t, "answer", r.To, "https://library.test/callback?error=access_denied&state=library-state")
		want(t, "audit", w.stores.trail(t), []string{"login.started ok", "login.denied access_denied turned-back"})
		want(t, "again", b.post(b.choice()+"/cancel", nil).To, r.To)
		want(t, "entries", len(w.stores.trail(t)), 2)
	})
	t.Run("from the choice after a sign-in that was too weak, which was not her wish", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		b.mustStart(request())
		want(t, "back to the choice", b.get("/callback/tax?state="+b.pick("tax")+"&error=unmet_authentication_requirements").To, b.choice())
		want(t, "notice", b.get(b.choice()).Choose.Notice.Code, web.NoticeTooWeak)
		r := b.post(b.choice()+"/cancel", nil)
		want(t, "answer", r.To, "https://library.test/callback?error=unmet_authentication_requirements&state=library-state")
		trail := w.stores.trail(t)
		want(t, "last entry", trail[len(trail)-1], "login.denied unmet_authentication_requirements acr")
	})
	t.Run("from the question, which is a refusal", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		b.identify(request(), "tax", "alice")
		r := b.post(b.choice()+"/cancel", nil)
		want(t, "answer", r.To, "https://library.test/callback?error=access_denied&state=library-state")
		want(t, "act", w.stores.record()[0].Act, "refused")
	})
	t.Run("to another provider", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		b.identify(request(), "tax", "alice")
		page := b.get(b.choice() + "/consent")
		want(t, "back to the choice", b.post(page.Consent.Change, nil).To, b.choice())
		want(t, "the choice stays, in spite of the session", b.get(b.choice()).Choose != nil, true)
		want(t, "identity kept", visitOf(t, w, b.flow).SignIn == nil, true)
		want(t, "the other provider", b.signIn("post", b.pick("post"), "bob").To, b.choice()+"/consent")
	})
}

// On a shared computer the provider still knows whoever was there before.
func TestVisit_anotherAccountIsAskedOfTheProviderThatSignedHerIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "post", "alice")
	b.post(b.choice(), nil) // "Use another account"
	state := b.pick("post")
	want(t, "the provider is asked to let her choose", w.post.asked[1].SelectAccount, true)
	b.signIn("post", state, "bob")
	want(t, "who is asked", b.get(b.choice() + "/consent").Consent.Required[0].Value, any("Bob"))

	b.identify(request(), "post", "alice")
	b.post(b.choice(), nil)
	b.pick("tax")
	want(t, "another provider has signed nobody in yet", w.tax.asked[0].SelectAccount, false)
	b.mustStart(request())
	b.pick("post")
	want(t, "nor does it hold in another visit", w.post.asked[3].SelectAccount, false)
}

func TestVisit_aLookMovesNothingOn_AZ18(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	b.mustStart(request())
	r := b.send(httptest.NewRequest("HEAD", b.choice(), nil))
	want(t, "answer", r.Error.Code, web.MethodNotAllowed)
	want(t, "codes", len(w.issuer.codes()), 1)
	want(t, "then she comes herself", b.get(b.choice()).code(), "code-2")
}

func TestVisit_reloadAndBackAreHarmlessAtEachStage(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	b.get(b.choice())
	want(t, "reload the choice", b.get(b.choice()).Choose != nil, true)
	want(t, "the question before its time", b.get(b.choice()+"/consent").To, b.choice())

	old := b.pick("tax")
	want(t, "back from the provider", b.get(b.choice()).Choose != nil, true)
	state := b.pick("post")
	want(t, "the first provider's answer is not wanted any more", b.signIn("tax", old, "alice").Error.Code, web.CallbackInvalid)

	r := b.signIn("post", state, "alice")
	want(t, "signed in", r.To, b.choice()+"/consent")
	want(t, "reload the callback", b.signIn("post", state, "alice").To, b.choice()+"/consent")
	want(t, "exchanges", w.post.exchanges.Load(), int64(1))
	want(t, "the choice after it", b.get(b.choice()).To, b.choice()+"/consent")
	want(t, "the posted address by GET", b.get(b.choice()+"/provider").To, b.choice()+"/consent")

	form := url.Values{"answer": {"agree"}}
	action := b.get(b.choice() + "/consent").Consent.Action
	done := b.post(action, form)
	want(t, "a second click", b.post(action, form).To, done.To)
	want(t, "back to the question", b.get(b.choice()+"/consent").To, done.To)
	want(t, "back to the choice", b.get(b.choice()).To, done.To)
	want(t, "codes", len(w.issuer.codes()), 1)
	want(t, "receipts", len(w.stores.record()), 1)

	w.pass(30 * time.Second)
	late := b.post(action, form)
	want(t, "half a minute later", *late.Error, struct {
		Code web.Code
		Back string
	}{web.AlreadyAnswered, "https://library.test/"})
	for _, r := range []reply{b.get(b.choice()), b.signIn("post", state, "alice"), b.post(b.choice()+"/cancel", nil), b.post(b.choice(), nil)} {
		want(t, "half a minute later", r.Error.Code, web.AlreadyAnswered)
	}
}

func TestVisit_anHoursPause(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	action := b.get(b.choice() + "/consent").Consent.Action
	w.pass(time.Hour)
	b.jar = nil // the cookie goes with the flow
	want(t, "the question", b.get(b.choice()+"/consent").Error.Code, web.FlowUnknown)
	want(t, "the answer", b.post(action, url.Values{"answer": {"agree"}}).Error.Code, web.FlowUnknown)
}

func TestVisit_onlyTheWordsChangeWhileThePageIsOpen(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	action := b.get(b.choice() + "/consent").Consent.Action
	p := library()
	p.Purpose = protocol.Text{"en": "Tell the police what you read"} // and somebody forgot the version
	w.reload(policies.NewTable(p), nil)
	want(t, "she is asked again", b.post(action, url.Values{"answer": {"agree"}}).To, b.choice()+"/consent")
	want(t, "codes", len(w.issuer.codes()), 0)
	want(t, "purpose", b.get(b.choice()+"/consent").Consent.Purpose, p.Purpose)
	b.agree()
	want(t, "codes", len(w.issuer.codes()), 1)
}

func TestVisit_thePolicyChangesWhileThePageIsOpen(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	action := b.get(b.choice() + "/consent").Consent.Action
	p := library()
	p.Version, p.Claims[0] = 4, policies.ClaimRule{Name: protocol.GivenName}
	w.reload(policies.NewTable(p), nil)

	r := b.post(action, url.Values{"answer": {"agree"}})
	want(t, "she is asked again", r.To, b.choice()+"/consent")
	want(t, "also by a form without the revision", b.post(b.choice()+"/consent", url.Values{"answer": {"refuse", "refuse"}}).Error.Code, web.RequestInvalid)
	want(t, "codes", len(w.issuer.codes()), 0)
	page := b.get(r.To)
	want(t, "what is asked", page.Consent.Optional[0].Claim, protocol.GivenName)
	b.agree()
	want(t, "released", w.issuer.codes()[0].Released.Claims(), map[string]any{"age_over_16": true})
	want(t, "version", w.stores.record()[0].PolicyVersion, 4)

	b = w.browser()
	b.identify(request(), "tax", "bob")
	p2 := *p
	p2.Version = 5
	w.reload(policies.NewTable(&p2), nil)
	want(t, "a form without the revision after a change", b.post(b.choice()+"/consent", url.Values{"answer": {"agree"}}).To, b.choice()+"/consent")
	want(t, "codes", len(w.issuer.codes()), 1)
}

func TestVisit_aStandingAnswerGivenInAnotherTabDoesNotDisturbThePage(t *testing.T) {
	w := newWorld(t)
	one, two := w.browser(), w.browser()
	one.identify(request(), "tax", "alice")
	two.identify(request(), "post", "alice")
	one.agree()
	r := two.agree("email")
	want(t, "answer", r.code(), "code-2")
	want(t, "released", w.issuer.codes()[1].Released.Claims()["email"], "alice@example.test")
}

func TestVisit_anOldTabCannotReleaseWhatItDidNotShow(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	alices := b.get(b.choice() + "/consent").Consent.Action
	b.signIn("post", b.pick("post"), "bob") // in another tab, in the same visit
	r := b.post(alices, url.Values{"answer": {"agree"}})
	want(t, "she is shown what would leave now", r.To, b.choice()+"/consent")
	want(t, "codes", len(w.issuer.codes()), 0)
	want(t, "whose", b.get(r.To).Consent.Required[0].Value, any("Bob"))
}
