package login

import (
	"net/http"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

// signedIn is a browser with a session: alice was at the library through a provider.
func signedIn(w *world, provider string) *browser {
	b := w.browser()
	b.identify(request(), provider, "alice")
	b.agree("email")
	return b
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

func TestSession_takesThePlaceOfASignIn(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	b.mustStart(request())
	want(t, "the same service, at once", b.get(b.choice()).code(), "code-2")
	b.mustStart(cityhall())
	want(t, "another service asks all the same", b.get(b.choice()).To, b.choice()+"/consent")
	want(t, "exchanges", w.post.exchanges.Load(), int64(1))
}

func TestSession_doesNotCountWhere(t *testing.T) {
	zero, hour := time.Duration(0), time.Hour
	tests := []struct {
		name     string
		provider string
		wait     time.Duration
		ask      func(*protocol.AuthRequest)
		counts   bool
	}{
		{"the same again", "post", 0, func(*protocol.AuthRequest) {}, true},
		{"prompt=login", "post", 0, func(r *protocol.AuthRequest) { r.Prompt.Login = true }, false},
		{"prompt=select_account", "post", 0, func(r *protocol.AuthRequest) { r.Prompt.SelectAccount = true }, false},
		{"max_age=0 is prompt=login", "post", 0, func(r *protocol.AuthRequest) { r.MaxAge = &zero }, false},
		{"max_age that it meets", "post", minutes(5), func(r *protocol.AuthRequest) { r.MaxAge = &hour }, true},
		{"max_age that it exceeds", "post", minutes(5), func(r *protocol.AuthRequest) { m := minutes(4); r.MaxAge = &m }, false},
		{"a level that it does not reach", "post", 0, func(r *protocol.AuthRequest) { r.MinACR = protocol.EIDAS2 }, false},
		{"a level that it reaches", "tax", 0, func(r *protocol.AuthRequest) { r.MinACR = protocol.EIDAS2 }, true},
		{"another provider is named", "post", 0, func(r *protocol.AuthRequest) { r.IdPHint = "tax" }, false},
		{"its own provider is named", "post", 0, func(r *protocol.AuthRequest) { r.IdPHint = "post" }, true},
		{"another person is named", "post", 0, func(r *protocol.AuthRequest) { r.SubHint = "someone" }, false},
		{"eidas1 after 29 minutes", "post", minutes(29), func(*protocol.AuthRequest) {}, true},
		{"eidas1 after 30 minutes", "post", minutes(30), func(*protocol.AuthRequest) {}, false},
		{"eidas2 after 9 minutes", "tax", minutes(9), func(*protocol.AuthRequest) {}, true},
		{"eidas2 after 10 minutes", "tax", minutes(10), func(*protocol.AuthRequest) {}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := signedIn(w, tt.provider)
			w.pass(tt.wait)
			req := request()
			tt.ask(&req)
			to := b.mustStart(req)
			counted := to == b.choice() && b.get(to).code() == "code-2"
			want(t, "the session counts", counted, tt.counts)
		})
	}
}

// With a silent request and each provider in turn as hint, a service could
// otherwise find out which one a person uses.
func TestSession_aSilentRequestDoesNotTellWhichProviderItIsOf(t *testing.T) {
	for _, hint := range []protocol.ProviderID{"", "tax", "post"} {
		w := newWorld(t)
		b := signedIn(w, "post")
		req := request()
		req.Prompt.None, req.IdPHint = true, hint
		b.mustStart(req)
		want(t, "hint "+string(hint), b.get(b.choice()).code(), "code-2")
	}
}

func TestSession_slidesAtTheLowestLevelButNotForEver(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	uses := 0
	for b.mustStart(request()); b.get(b.choice()).code() != ""; b.mustStart(request()) {
		uses++
		w.pass(minutes(20))
	}
	want(t, "uses, every 20 minutes for 12 hours", uses, 36)

	b = w.browser()
	b.identify(request(), "tax", "alice")
	w.pass(minutes(6))
	b.mustStart(request())
	want(t, "eidas2 used after 6 minutes", b.get(b.choice()).code() != "", true)
	w.pass(minutes(6))
	b.mustStart(request())
	want(t, "and after 12", b.get(b.choice()).Choose != nil, true)
}

func TestSession_isNeverKeptForEidas3(t *testing.T) {
	w := newWorld(t)
	w.tax.acr = protocol.EIDAS3
	b := w.browser()
	b.identify(request(), "tax", "alice")
	want(t, "cookie", b.cookie(sessionCookie), "")
	want(t, "sessions", len(w.stores.sessions), 0)
}

// She shows herself once more for one service. The others are hers still, and hear
// of her logout: without a session nobody could tell them.
func TestSession_ofBeforeGoesOnUnderANewHandleAfterASignInAtEidas3(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	old, id := b.cookie(sessionCookie), w.sessionID()
	w.tax.acr = protocol.EIDAS3
	req := cityhall()
	req.Prompt.Login = true
	b.identify(req, "tax", "alice")
	b.agree()
	want(t, "another handle", b.cookie(sessionCookie) != old && b.cookie(sessionCookie) != "", true)
	want(t, "the same session", w.sessionID(), id)
	want(t, "sid of the sign-in at eidas3", w.issuer.codes()[1].SID, "")
	x, err := w.service.SignedIn(t.Context(), b.header())
	must(t, err)
	want(t, "where", string(x.Provider), "post")
	_, err = b.logOut("")
	must(t, err)
	want(t, "told", names(w.issuer.told), []string{"library"})
}

func TestSession_hasANewHandleAtEachSignInAndTheOldOneIsDead_FB08(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	old := b.cookie(sessionCookie)
	req := request()
	req.Prompt.Login = true
	b.identify(req, "post", "alice")
	if now := b.cookie(sessionCookie); now == old || len(now) != handleLen {
		t.Errorf("the handle after a second sign-in: %q, before: %q", now, old)
	}
	want(t, "sessions", len(w.stores.sessions), 1)
	thief := w.browser()
	thief.keep([]*http.Cookie{cookie(sessionCookie, old, 0)})
	thief.mustStart(request())
	want(t, "the old handle", thief.get(thief.choice()).Choose != nil, true)
}

func TestSession_aHandleSetBeforeTheSignInIsNotTakenOver_FB08(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	planted, _ := newHandle()
	b.keep([]*http.Cookie{cookie(sessionCookie, planted, 0)})
	b.identify(request(), "post", "alice")
	if b.cookie(sessionCookie) == planted {
		t.Error("the planted handle became a session")
	}
}

func TestSession_aMalformedCookieIsNone_FB11(t *testing.T) {
	w := newWorld(t)
	for _, value := range []string{"", "x", "not/base64url+not/base64url+not/base64url+0", string(make([]byte, 0, 1)), longValue()} {
		b := w.browser()
		b.keep([]*http.Cookie{cookie(sessionCookie, value, 0)})
		b.mustStart(request())
		want(t, "choice", b.get(b.choice()).Choose != nil, true)
	}
	calls := w.stores.calls
	b := w.browser()
	b.keep([]*http.Cookie{cookie(sessionCookie, "x", 0)})
	b.mustStart(request())
	want(t, "store calls for a visit: audit and flow", w.stores.calls-calls, 2)
}

func longValue() string {
	b := make([]byte, 4000)
	for i := range b {
		b[i] = 'A'
	}
	return string(b)
}

func TestSession_sealedUnderAnotherKeyIsNone(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	for d, x := range w.stores.sessions {
		x.Sealed = append([]byte{x.Sealed[0] ^ 1}, x.Sealed[1:]...)
		w.stores.sessions[d] = x
	}
	b.mustStart(request())
	want(t, "choice", b.get(b.choice()).Choose != nil, true)
}

// A service that wants no single sign-on: whoever has been anywhere else a moment
// before signs in all the same, and the provider is told not to spare her.
func TestSession_isOfNoUseForAServiceThatOptedOut(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	b.mustStart(alone())
	want(t, "choice", b.get(b.choice()).Choose != nil, true)
	b.pick("post")
	want(t, "the provider is asked for a new sign-in", w.post.asked[len(w.post.asked)-1].ForceLogin, true)

	silent := alone()
	silent.Prompt.None = true
	b.mustStart(silent)
	want(t, "prompt=none", b.get(b.choice()).To, "https://alone.test/callback?error=login_required&state=alone-state")
}

// What arises there serves nobody else, and it no second time.
func TestSession_doesNotBeginAtAServiceThatOptedOut(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(alone(), "post", "alice")
	b.agree()
	want(t, "a code", len(w.issuer.codes()), 1)
	want(t, "sid", w.issuer.codes()[0].SID, "")
	want(t, "cookie", b.cookie(sessionCookie), "")
	want(t, "sessions", len(w.stores.sessions), 0)
	for name, req := range map[string]protocol.AuthRequest{"another service": request(), "the same again": alone()} {
		b.mustStart(req)
		want(t, name, b.get(b.choice()).Choose != nil, true)
	}
}

func TestSession_ofBeforeGoesOnAfterASignInAtAServiceThatOptedOut(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	id := w.sessionID()
	b.identify(alone(), "tax", "alice")
	b.agree()
	want(t, "the same session", w.sessionID(), id)
	b.mustStart(request())
	want(t, "and where it counted it counts", b.get(b.choice()).code(), "code-3")

	b.identify(alone(), "tax", "bob")
	want(t, "but not another person's", len(w.stores.sessions), 0)
}

// Never for eidas3: neither to begin one, nor in place of such a sign-in, nor by way of
// one that reached less.
func TestSession_isNeverInPlaceOfASignInAtEidas3(t *testing.T) {
	for _, provider := range []string{"post", "tax"} {
		w := newWorld(t)
		w.reload(nil, federation.NewDirectory(w.tax.entry(protocol.EIDAS3), w.post.entry(protocol.EIDAS1)))
		w.tax.acr = protocol.EIDAS2
		b := signedIn(w, provider)
		req := request()
		req.MinACR = protocol.EIDAS3
		b.mustStart(req)
		b.get(b.choice())
		want(t, "codes after a session of "+provider, len(w.issuer.codes()), 1)
	}
}
