package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// logOut ends the browser's session, as provider does once the person means it.
func (b *browser) logOut(asked protocol.ClientID) ([]Departure, error) {
	b.w.t.Helper()
	x, err := b.w.service.SignedIn(context.Background(), b.header())
	if err != nil {
		return nil, err
	}
	if x == nil {
		b.w.t.Fatal("nobody is signed in")
	}
	gone, set, err := b.w.service.EndSession(context.Background(), x, asked, b.header())
	b.keep(set)
	return gone, err
}

// names is whom departures are of.
func names(ds []Departure) (out []string) {
	for _, d := range ds {
		out = append(out, string(d.Client))
	}
	return out
}

func TestLogout_theSessionIsDeadAndPromptNoneFindsNobody_LO07(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	handle := b.cookie(sessionCookie)
	_, err := b.logOut("library")
	must(t, err)
	want(t, "cookie", b.cookie(sessionCookie), "")
	want(t, "sessions", len(w.stores.sessions), 0)

	b.keep([]*http.Cookie{cookie(sessionCookie, handle, 0)}) // a copy of the old cookie
	x, err := w.service.SignedIn(t.Context(), b.header())
	want(t, "the old cookie opens", x == nil && err == nil, true)
	req := request()
	req.Prompt.None = true
	b.mustStart(req)
	u, err := url.Parse(b.get(b.choice()).To)
	must(t, err)
	want(t, "prompt=none", u.Query().Get("error"), "login_required")
}

func TestLogout_eachServiceIsToldAndItsGrantsAreDead(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	b.mustStart(request())
	b.get(b.choice()) // the library once more, by its standing answer
	b.mustStart(cityhall())
	b.get(b.choice())
	b.agree()
	gone, err := b.logOut("library")
	must(t, err)
	want(t, "told", names(w.issuer.told), []string{"cityhall", "library", "library"})
	want(t, "gone", names(gone), []string{"cityhall", "library", "library"})
	var issued []GrantID
	for _, g := range w.issuer.codes() {
		issued = append(issued, g.ID)
	}
	slices.Sort(issued)
	slices.Sort(w.stores.revoked)
	want(t, "dead grants", w.stores.revoked, issued)
	want(t, "trail", slices.Contains(w.stores.trail(t), "session.ended ok"), true)
}

// A sid must not be a common name by which two services find out that they have the
// same person before them.
func TestLogout_eachServiceKnowsTheSessionByASidOfItsOwn(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	b.mustStart(request())
	b.get(b.choice())
	b.mustStart(cityhall())
	b.get(b.choice())
	b.agree()
	g := w.issuer.codes()
	want(t, "the same at each sign-in at one service", g[0].SID != "" && g[0].SID == g[1].SID, true)
	want(t, "another at another service", g[2].SID != "" && g[2].SID != g[0].SID, true)
	for _, x := range w.stores.sessions {
		want(t, "nothing of the id is in it", strings.Contains(g[0].SID+g[2].SID, string(x.ID)), false)
	}
	other := w.browser()
	other.identify(request(), "post", "alice")
	want(t, "another in another browser", w.issuer.codes()[3].SID != g[0].SID, true)
	x, err := w.service.SignedIn(t.Context(), other.header())
	must(t, err)
	sid, err := w.service.SID(t.Context(), x, "library")
	must(t, err)
	want(t, "what a hint is compared with", sid, w.issuer.codes()[3].SID)
}

func TestLogout_thereIsNoSidWhereThereIsNoSession_eidas3(t *testing.T) {
	w := newWorld(t)
	w.tax.acr = protocol.EIDAS3
	b := w.browser()
	b.identify(request(), "tax", "alice")
	b.agree()
	want(t, "sid", w.issuer.codes()[0].SID, "")
	want(t, "participants", len(w.stores.joined), 0)
}

// She reads the question in one tab and logs out in another, or leaves: whoever
// finds the first tab must not finish it with a click.
func TestLogout_aVisitThatRestsOnTheSessionIsNotCompleted(t *testing.T) {
	for _, from := range []string{"a sign-in of its own", "the session"} {
		t.Run("with "+from, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			if from == "the session" {
				b = signedIn(w, "post")
				b.mustStart(cityhall())
				b.get(b.choice())
			} else {
				b.identify(cityhall(), "post", "alice")
			}
			codes := len(w.issuer.codes())
			open := slices.Clone(b.jar) // the cookies of before: the browser itself forgets them
			action := b.get(b.choice() + "/consent").Consent.Action
			_, err := b.logOut("")
			must(t, err)
			want(t, "in this browser", b.post(action, url.Values{"answer": {"agree"}}).Error.Code, web.FlowNotYours)
			b.jar = open
			want(t, "with the old cookies", b.post(action, url.Values{"answer": {"agree"}}).To, b.choice())
			page := b.get(b.choice())
			want(t, "she is told", page.Choose.Notice.Code, web.NoticeSignedOut)
			want(t, "codes", len(w.issuer.codes())-codes, 0)
			want(t, "she can sign in anew", b.signIn("post", b.pick("post"), "alice").To, b.choice()+"/consent")
			want(t, "and agree", b.agree().code() != "", true)
		})
	}
}

func TestLogout_aSilentVisitThatRestsOnTheSessionIsToldLoginRequired(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	req := request()
	req.Prompt.None = true
	b.mustStart(req)
	w.stores.onAdvance = func() { // when the visit has found the session, and before it answers
		for _, x := range w.stores.sessions {
			w.stores.ended[x.ID] = true
		}
	}
	u, err := url.Parse(b.get(b.choice()).To)
	must(t, err)
	want(t, "error", u.Query().Get("error"), "login_required")
	want(t, "codes", len(w.issuer.codes()), 1)
}

// A use of the session at the same time must not bring it back.
func TestLogout_winsOverAUseThatPutsTheSessionBack(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	x, err := w.service.browserSession(t.Context(), b.header())
	must(t, err)
	_, err = b.logOut("")
	must(t, err)
	if err := w.service.slide(t.Context(), x); !errors.Is(err, ErrNoSession) {
		t.Errorf("slide = %v, want ErrNoSession", err)
	}
	want(t, "sessions", len(w.stores.sessions), 0)
}

// Who joins between the reading of the list and the end is told like the others.
func TestLogout_aServiceThatJoinsAtTheLastMomentIsToldToo(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	late := w.stores.joined[0]
	w.stores.joined = nil
	w.stores.onParticipants = func() { w.stores.joined = append(w.stores.joined, late) }
	_, err := b.logOut("")
	must(t, err)
	want(t, "told", names(w.issuer.told), []string{"library"})
	want(t, "dead grants", w.stores.revoked, []GrantID{late.Grant})
}

// What fails before the end leaves the session alive, so that she tries again; the
// news is then sent again, which does no harm.
func TestLogout_anyStoreCallMayFailBeforeOrAfterItTookEffect(t *testing.T) {
	quiet := newWorld(t)
	b := signedIn(quiet, "post")
	before := quiet.stores.calls
	_, err := b.logOut("")
	must(t, err)
	calls := quiet.stores.calls - before
	for _, after := range []bool{false, true} {
		for n := 1; n <= calls; n++ {
			w := newWorld(t)
			b := signedIn(w, "post")
			w.stores.failAt, w.stores.failAfter = w.stores.calls+n, after
			if _, err := b.logOut(""); err == nil {
				t.Errorf("call %d fails (after: %v) and nobody is told", n, after)
			}
			if x, err := w.service.SignedIn(t.Context(), b.header()); err != nil {
				t.Error(err)
			} else if x != nil {
				_, err := b.logOut("")
				must(t, err)
			}
			want(t, "dead grants", len(w.stores.revoked), 1)
			want(t, "she is out", len(w.stores.sessions), 0)
			want(t, "the service is told", len(w.issuer.told) > 0, true)
		}
	}
}

func TestSession_ofTheSamePersonKeepsItsServicesWhenSheSignsInAgain(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	again := cityhall()
	again.Prompt.Login = true
	b.identify(again, "tax", "alice")
	b.agree()
	g := w.issuer.codes()
	sid, err := w.service.sid(t.Context(), w.sessionID(), "library")
	must(t, err)
	want(t, "the library's sid is good still", sid, g[0].SID)
	_, err = b.logOut("")
	must(t, err)
	want(t, "told", names(w.issuer.told), []string{"cityhall", "library"})
}

// On a shared computer the next person's sign-in is the end of the one before.
func TestSession_ofAnotherPersonIsEndedAsIfSheHadLoggedOut(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	first := w.sessionID()
	req := request()
	req.Prompt.SelectAccount = true
	b.identify(req, "post", "bob")
	want(t, "another session", w.sessionID() != first, true)
	want(t, "told", names(w.issuer.told), []string{"library"})
	want(t, "dead grants", w.stores.revoked, []GrantID{w.issuer.codes()[0].ID})
	want(t, "trail", slices.Contains(w.stores.trail(t), "session.ended ok"), true)
}

// sessionID is that of the only session.
func (w *world) sessionID() SessionID {
	w.t.Helper()
	if len(w.stores.sessions) != 1 {
		w.t.Fatalf("%d sessions, want 1", len(w.stores.sessions))
	}
	for _, x := range w.stores.sessions {
		return x.ID
	}
	return ""
}

func TestLogout_theProviderIsLeftTooWhereItOffersThat(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	x, err := w.service.SignedIn(t.Context(), b.header())
	must(t, err)
	leave := func() string { return w.service.Leave(t.Context(), x, "https://broker.test/logout/return", "st") }
	want(t, "it does not", leave(), "")
	w.post.relays = true
	want(t, "it does", leave(), "https://post.test/logout?id_token_hint=hint-alice&post_logout_redirect_uri=https%3A%2F%2Fbroker.test%2Flogout%2Freturn&state=st")
	w.post.down.Store(true)
	want(t, "it is down", leave(), "")
	want(t, "its name", w.service.ProviderName(x)["en"], "POST")
}

// The provider's ID token names the person: it is in the sealed session, and neither
// in a visit nor in a grant.
func TestLogout_theHintForTheProviderIsInTheSessionOnly(t *testing.T) {
	w := newWorld(t)
	signedIn(w, "post")
	for _, f := range w.stores.flows {
		want(t, "in a visit", strings.Contains(string(f.Sealed), "hint-alice"), false)
	}
	for _, x := range w.stores.sessions {
		want(t, "in the session", strings.Contains(string(x.Sealed), "hint-alice"), true)
	}
}
