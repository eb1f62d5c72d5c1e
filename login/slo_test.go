package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
)

// Logout reads "subject session id" from SAMLRequest, in query or form; what a real
// message may be is for the room of the protocol to say.
func (p *idp) Logout(ctx context.Context, query string, form url.Values) (federation.LogoutMessage, error) {
	if form == nil {
		form, _ = url.ParseQuery(query)
	}
	m := federation.LogoutMessage{Relay: form.Get("RelayState")}
	switch {
	case form.Get("SAMLResponse") == "good":
		return m, nil
	case form.Get("SAMLRequest") == "":
		return m, &federation.Error{Provider: p.id, Kind: federation.Invalid, Err: errors.New("no message")}
	}
	e, err := p.Told(ctx, form.Get("SAMLRequest"))
	m.Ended = &e
	return m, err
}

func (p *idp) Answer(_ context.Context, e federation.Ended, relay string, done bool) (string, error) {
	if p.silent {
		return "", nil
	}
	status := map[bool]string{true: "Success", false: "Responder"}[done]
	return "https://" + string(p.id) + ".test/slo?" + url.Values{"to": {e.ID}, "RelayState": {relay}, "status": {status}}.Encode(), nil
}

func theirRequest(message string) url.Values {
	return url.Values{"SAMLRequest": {message}, "RelayState": {"theirs"}}
}

func TestPartnerLogout_theProvidersRequestEndsTheSessionAndIsAnswered_SAMLProfiles_4_4(t *testing.T) {
	const answer = "https://post.test/slo?RelayState=theirs&status=Success&to=j"
	w := newWorld(t)
	w.post.sid = "_s"
	b := signedIn(w, "post")
	r := b.get("/saml/post/slo?" + theirRequest("alice _s j").Encode())
	want(t, "status", r.Status, http.StatusSeeOther)
	want(t, "answer", r.To, answer)
	want(t, "sessions", len(w.stores.sessions), 0)
	want(t, "cookie", b.cookie(sessionCookie), "")
	want(t, "services told", len(w.issuer.told), 1)

	b = onceMore(w, "post")
	w.post.sid = ""
	r = w.posts("/saml/post/slo", theirRequest("alice _s j-2")) // from another site, without a cookie
	want(t, "posted", r.To, strings.Replace(answer, "=j", "=j-2", 1))
	want(t, "sessions", len(w.stores.sessions), 0)
	x, err := w.service.SignedIn(t.Context(), b.header())
	want(t, "still signed in", x != nil || err != nil, false)
}

// The cookies of a browser are for its own session: somebody else's logout that passes
// through it ends nothing of hers.
func TestPartnerLogout_anotherPersonsLogoutLeavesThisBrowserAlone(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	handle := b.cookie(sessionCookie)
	r := b.get("/saml/post/slo?" + theirRequest("bob - j").Encode())
	want(t, "status", r.Status, http.StatusSeeOther)
	want(t, "cookie", b.cookie(sessionCookie), handle)
	want(t, "sessions", len(w.stores.sessions), 1)
}

func TestPartnerLogout_theAnswerToOurRequestLeadsToTheWayBack(t *testing.T) {
	w := newWorld(t)
	for name, r := range map[string]reply{
		"by redirect": w.browser().get("/saml/post/slo?SAMLResponse=good&RelayState=st~ate"),
		"posted":      w.posts("/saml/post/slo", url.Values{"SAMLResponse": {"good"}, "RelayState": {"st~ate"}}),
	} {
		want(t, name, r.To, "/logout/return?state=st~ate")
	}
}

func TestSA_09_aReplayedLogoutRequestIsRefused(t *testing.T) {
	w := newWorld(t)
	target := "/saml/post/slo?" + theirRequest("alice - j").Encode()
	want(t, "first", w.browser().get(target).Status, http.StatusSeeOther)
	want(t, "again", w.browser().get(target).Status, http.StatusBadRequest)
	want(t, "by another binding", w.posts("/saml/post/slo", theirRequest("alice - j")).Status, http.StatusBadRequest)
	want(t, "at another provider it is another", w.browser().get(strings.Replace(target, "/post/", "/tax/", 1)).Status, http.StatusSeeOther)
}

func TestPartnerLogout_messagesThatAreNotBelievedEndNothing(t *testing.T) {
	w := newWorld(t)
	signedIn(w, "post")
	entry := federation.Entry{Provider: struct{ federation.Provider }{w.tax}, Description: federation.Description{ID: "mute"}}
	w.reload(nil, federation.NewDirectory(append(w.dir.All(), entry)...))
	good := theirRequest("alice - j").Encode()
	for name, target := range map[string]string{
		"nothing": "/saml/post/slo", "a forged one": "/saml/post/slo?SAMLRequest=forged", "another provider's path": "/saml/tax/slo?" + good,
		"no such provider": "/saml/none/slo?" + good, "one without logout": "/saml/mute/slo?" + good,
		"a RelayState without end": "/saml/post/slo?SAMLRequest=alice+-+j&RelayState=" + strings.Repeat("x", maxTheirState+1),
	} {
		r := w.browser().get(target)
		want(t, name, r.Status == http.StatusSeeOther && !strings.Contains(target, "/tax/"), false)
		want(t, name+": sessions", len(w.stores.sessions), 1)
	}
	want(t, "a form and a query", w.posts("/saml/post/slo?"+good, theirRequest("alice - j")).Status, http.StatusBadRequest)
	body := "SAMLRequest=" + strings.Repeat("a", maxLogoutForm)
	want(t, "too large", w.calls("/saml/post/slo", body, "application/x-www-form-urlencoded") >= 400, true)
	want(t, "sessions", len(w.stores.sessions), 1)
}

// The provider's other services wait for our answer: they get one also where we do not
// know, and it does not say that she is logged out.
func TestPartnerLogout_aStoreThatFailsIsAnsweredAsAFailure(t *testing.T) {
	for step := 1; step <= 5; step++ {
		w := newWorld(t)
		signedIn(w, "post")
		w.stores.calls, w.stores.failAt = 0, step
		r := w.posts("/saml/post/slo", theirRequest("alice - j"))
		want(t, "status", strings.Contains(r.To, "status=Responder"), true)
		r = w.posts("/saml/post/slo", theirRequest("alice - j"))
		want(t, "the same once more", strings.Contains(r.To, "status=Success"), true)
		want(t, "sessions", len(w.stores.sessions), 0)
	}
	w := newWorld(t)
	w.post.down.Store(true)
	want(t, "metadata that cannot be had", w.posts("/saml/post/slo", theirRequest("alice - j")).Status, http.StatusBadRequest)
	w.post.down.Store(false)
	w.post.silent = true
	want(t, "a provider that wants no answer", w.posts("/saml/post/slo", theirRequest("alice - j")).To, "/logout")
}
