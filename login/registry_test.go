package login

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registry"
	"github.com/voussoir-id/voussoir/web"
)

// civilRegistry says one thing of everybody, and counts.
type civilRegistry struct {
	says  registry.Outcome
	asked []identity.Pivot
}

func (c *civilRegistry) Check(_ context.Context, p identity.Pivot) (registry.Result, error) {
	c.asked = append(c.asked, p)
	switch c.says {
	case registry.Exact:
		return registry.Result{Outcome: c.says, Identity: p}, nil
	case registry.Corrected:
		p.GivenName = "Alicia"
		return registry.Result{Outcome: c.says, Identity: p}, nil
	case registry.Unavailable:
		return registry.Result{Outcome: c.says}, errors.New("no answer")
	}
	return registry.Result{Outcome: c.says}, nil
}

// checkedWorld is a world in which the library wants the registry's word, and the
// city hall does not.
func checkedWorld(t *testing.T, mode policies.Registry) (*world, *civilRegistry) {
	w, c := newWorld(t), &civilRegistry{says: registry.Exact}
	w.civil = Civil{Registry: c, Contact: protocol.Text{"en": "ask at the town hall"}}
	w.wants(mode)
	return w, c
}

func (w *world) wants(mode policies.Registry) {
	lib := library()
	lib.Registry, lib.RegistryGrace = mode, policies.Period{Months: 1}
	lib.Claims = append(lib.Claims, policies.ClaimRule{Name: protocol.IdPGivenName})
	hall := &policies.Policy{
		ID: "cityhall", Version: 1, Basis: policies.PublicTask, MinACR: protocol.EIDAS1, ConsentValidity: policies.Period{Years: 1},
		Purpose: protocol.Text{"en": "Register your child for school"},
		Claims:  []policies.ClaimRule{{Name: protocol.FamilyName, Required: true}, {Name: protocol.Email}},
	}
	w.reload(policies.NewTable(lib, hall), nil)
}

// comesBack is where she is after signing in at a provider.
func comesBack(b *browser, provider, who string) reply {
	b.mustStart(request())
	b.signIn(provider, b.pick(provider), who)
	return b.get(b.choice())
}

func TestRegistry_isAskedOnceForEachSignIn(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryRequire)
	b := signedIn(w, "post")
	b.mustStart(request())
	want(t, "the session will do", b.get(b.choice()).code(), "code-2")
	b.mustStart(cityhall())
	want(t, "elsewhere too", b.get(b.choice()).To, b.choice()+"/consent")
	want(t, "what was asked", c.asked, []identity.Pivot{alice().Pivot})
	want(t, "on record", count(w.stores.trail(t), "registry.checked exact"), 1)
}

func TestRegistry_isNotAskedWhereThePolicyDoesNotWantIt(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryOff)
	signedIn(w, "post")
	want(t, "asked", len(c.asked), 0)
	want(t, "remembered", len(w.stores.confirmed), 0)
}

func TestRegistry_aSessionThatItDidNotConfirmIsNotEnough(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryRequire)
	b := w.browser()
	b.identify(cityhall(), "post", "alice")
	b.agree()
	want(t, "asked", len(c.asked), 0)
	b.mustStart(request())
	want(t, "she signs in again", b.get(b.choice()).Choose != nil, true)
	req := request()
	req.Prompt.None = true
	b.mustStart(req)
	want(t, "in silence", b.get(b.choice()).To, "https://library.test/callback?error=login_required&state=library-state")
}

func TestRegistry_whatItCorrectsIsWhatLeavesAndTheSubjectStays(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryRequire)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	b.agree()
	c.says = registry.Corrected
	req := request()
	req.Prompt.Login, req.Prompt.Consent = true, true
	req.Scopes = append(req.Scopes, "idp_given_name")
	b.identify(req, "tax", "alice")
	page := b.get(b.choice() + "/consent").Consent
	want(t, "she sees", page.Required[0].Value, any("Alicia"))
	b.agree("idp_given_name")
	codes := w.issuer.codes()
	want(t, "subjects", codes[1].Released.Sub(), codes[0].Released.Sub())
	want(t, "claims", codes[1].Released.Claims(), map[string]any{"given_name": "Alicia", "idp_given_name": "Alice", "age_over_16": true})
	want(t, "on record", count(w.stores.trail(t), "registry.checked corrected"), 1)
}

func TestRegistry_aCorrectionThatLeadsToAnotherPersonIsRefused_AL(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryRequire)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	c.says = registry.Corrected
	_, err := w.service.People.Resolve(t.Context(), corrected(), "", "")
	must(t, err)
	want(t, "notice", comesBack(w.browser(), "tax", "alice").Choose.Notice.Code, web.NoticeRegistryAmbiguous)
	want(t, "on record", count(w.stores.trail(t), "login.denied access_denied"), 1)
	want(t, "persons", len(w.stores.people), 2)
}

func corrected() identity.Identity {
	id := alice()
	id.Pivot.GivenName = "Alicia"
	return id
}

func TestRegistry_whatSheIsTold(t *testing.T) {
	tests := map[registry.Outcome]web.NoticeCode{
		registry.Several: web.NoticeRegistrySeveral, registry.None: web.NoticeRegistryNone,
		registry.Refused: web.NoticeRegistryRefused, registry.Unavailable: web.NoticeRegistryUnavailable,
	}
	for outcome, code := range tests {
		for _, mode := range []policies.Registry{policies.RegistryRequire, policies.RegistryPrefer} {
			w, c := checkedWorld(t, mode)
			c.says = outcome
			b := w.browser()
			page := comesBack(b, "tax", "alice").Choose
			want(t, string(outcome), page.Notice, web.Notice{Code: code, Provider: protocol.Text{"en": "TAX"}})
			want(t, "reload", b.get(b.choice()).Choose.Notice.Code, code)
			want(t, "session", b.cookie(sessionCookie), "")
			want(t, "persons", len(w.stores.people), 0)
			want(t, "on record", count(w.stores.trail(t), "registry.checked "+string(outcome)), 1)
			answer := "access_denied"
			if outcome == registry.Unavailable {
				answer = "temporarily_unavailable"
			}
			want(t, "the service hears", b.post(page.Cancel, nil).To, "https://library.test/callback?error="+answer+"&state=library-state")

			c.says = registry.Exact
			want(t, "another try", comesBack(b, "post", "alice").To, b.choice()+"/consent")
		}
	}
}

func TestRegistry_sheWhomItHoldsForDeadIsToldWhereToTurn(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryPrefer)
	b := signedIn(w, "post")
	want(t, "remembered", len(w.stores.confirmed), 1)
	c.says = registry.Deceased
	req := request()
	req.Prompt.Login = true
	b.mustStart(req)
	b.signIn("tax", b.pick("tax"), "alice")
	for range 2 {
		want(t, "the page", *b.get(b.choice()).Error, struct {
			Code web.Code
			Back string
		}{web.CivilStatus, "https://library.test/"})
	}
	want(t, "on record", count(w.stores.trail(t), "registry.checked deceased"), 1)
	want(t, "no grace is left", len(w.stores.confirmed), 0)
	p := w.service.stopped(&visit{Notice: &notice{Code: web.NoticeRegistryDeceased}})
	var problem *web.Problem
	want(t, "contact", errors.As(p, &problem) && problem.Contact["en"] == "ask at the town hall", true)
}

func TestRegistry_graceIsForThoseWhomItConfirmedBefore(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryPrefer)
	signedIn(w, "post")
	c.says = registry.Unavailable
	b := w.browser()
	w.pass(27 * 24 * time.Hour)
	want(t, "after 27 days", comesBack(b, "post", "alice").code() != "", true)
	want(t, "on record", count(w.stores.trail(t), "registry.checked grace"), 1)
	want(t, "a stranger", comesBack(w.browser(), "post", "bob").Choose.Notice.Code, web.NoticeRegistryUnavailable)
	w.pass(7 * 24 * time.Hour)
	want(t, "after 34", comesBack(b, "post", "alice").Choose.Notice.Code, web.NoticeRegistryUnavailable)
	w.wants(policies.RegistryRequire)
	w.pass(-20 * 24 * time.Hour)
	want(t, "never where it is required", comesBack(b, "post", "alice").Choose.Notice.Code, web.NoticeRegistryUnavailable)
}

func TestRegistry_aSessionOfGraceCountsOnlyWhereGraceDoes(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryPrefer)
	signedIn(w, "post")
	c.says = registry.Unavailable
	b := w.browser()
	comesBack(b, "post", "alice")
	b.mustStart(request())
	want(t, "again", b.get(b.choice()).code() != "", true)
	w.wants(policies.RegistryRequire)
	b.mustStart(request())
	want(t, "where the word is required", b.get(b.choice()).Choose != nil, true)
}

func TestRegistry_thePolicyBeginsToWantItWhileThePageIsOpen(t *testing.T) {
	w, _ := checkedWorld(t, policies.RegistryOff)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	action := b.get(b.choice() + "/consent").Consent.Action
	w.wants(policies.RegistryRequire)
	want(t, "her answer comes too late", b.post(action, map[string][]string{"answer": {"agree"}}).code(), "")
	want(t, "she signs in again", b.get(b.choice()).Choose != nil, true)
	want(t, "codes", len(w.issuer.codes()), 0)
}

func TestRegistry_anAccountWithoutCivilIdentityCannotBeConfirmed(t *testing.T) {
	w, c := checkedWorld(t, policies.RegistryRequire)
	in := signIn{Identity: identity.Identity{Email: "x@example.test"}}
	client, _ := w.service.Clients().Get("library")
	_, err := w.service.vouch(t.Context(), &visit{}, client, in)
	var u *unvouched
	want(t, "refused", errors.As(err, &u) && u.notice == web.NoticeRegistryNotCivil && u.rule == ruleNotCivil, true)
	want(t, "asked", len(c.asked), 0)
}

func TestRegistry_takenFromTheConfigurationIsUnavailable(t *testing.T) {
	w, _ := checkedWorld(t, policies.RegistryRequire)
	w.civil = Civil{}
	want(t, "notice", comesBack(w.browser(), "tax", "alice").Choose.Notice.Code, web.NoticeRegistryUnavailable)
}

// Whatever it says: what went before is not on record by value, and no store call
// that fails lets somebody pass.
func TestRegistry_anyStoreCallMayFail(t *testing.T) {
	for _, says := range []registry.Outcome{registry.Exact, registry.Corrected, registry.Unavailable} {
		for n := 1; n < 40; n++ {
			for _, after := range []bool{false, true} {
				w, c := checkedWorld(t, policies.RegistryPrefer)
				c.says = says
				w.stores.failAt, w.stores.failAfter = n, after
				b := w.browser()
				if _, err := b.start(request()); err != nil {
					continue
				}
				if r := b.get(b.choice()); r.Choose == nil {
					continue
				}
				r := b.post(b.choice()+"/provider", map[string][]string{"provider": {"tax"}})
				if !strings.HasPrefix(r.To, "https://tax.test/") {
					continue
				}
				b.signIn("tax", stateIn(t, r.To), "alice")
				if r = b.get(b.choice()); says == registry.Unavailable && (r.Consent != nil || strings.HasSuffix(r.To, "/consent")) {
					t.Errorf("call %d fails (after: %v): a stranger passes although nobody could be asked", n, after)
				}
				for _, e := range w.stores.entries {
					if strings.Contains(string(e.Public)+string(e.Sealed), "Ali") {
						t.Error("an entry holds a name")
					}
				}
			}
		}
	}
}
