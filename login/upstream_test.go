package login

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// Told reads "subject session id", where "-" is none; what else a token may be is
// for the room of the protocol to say.
func (p *idp) Told(_ context.Context, token string) (federation.Ended, error) {
	parts := strings.Split(token, " ")
	switch {
	case p.down.Load():
		return federation.Ended{}, &federation.Error{Provider: p.id, Kind: federation.Unavailable, Err: errors.New("down")}
	case len(parts) != 3:
		return federation.Ended{}, &federation.Error{Provider: p.id, Kind: federation.Invalid, Err: errors.New("forged")}
	}
	e := federation.Ended{Subject: strings.Trim(parts[0], "-"), At: p.w.now(), ID: parts[2], Until: p.w.now().Add(2 * time.Minute)}
	if parts[1] != "-" {
		e.Sessions = []string{parts[1]}
	}
	return e, nil
}

func (*site) API(_ string, h web.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		err := h(w, r)
		var e *protocol.Error
		var p *web.Problem
		switch {
		case errors.As(err, &e) && e.Status != 0:
			w.WriteHeader(e.Status)
		case errors.As(err, &e):
			w.WriteHeader(http.StatusBadRequest)
		case errors.As(err, &p):
			w.WriteHeader(p.Code.Status())
		case err != nil:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
}

// onceMore is another browser of alice's, whom nobody asks a second time.
func onceMore(w *world, provider string) *browser {
	b := w.browser()
	b.mustStart(request())
	b.signIn(provider, b.pick(provider), "alice")
	b.get(b.choice())
	return b
}

// tells is the provider's call: no cookie, no browser.
func (w *world) tells(provider, token string) int {
	return w.calls("/callback/"+provider+"/logout", url.Values{"logout_token": {token}}.Encode(), "application/x-www-form-urlencoded")
}

func (w *world) calls(target, body, kind string) int {
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", target, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	out := httptest.NewRecorder()
	w.mux.ServeHTTP(out, r)
	return out.Code
}

func TestTold_theProvidersLogoutEndsTheSessionsThatCameThroughIt_BackChannelLogout_2_7(t *testing.T) {
	for name, tt := range map[string]struct {
		token string
		left  []string // of phone and desk, both Alice's
	}{
		"by sid":                    {"- sid-phone j", []string{"desk"}},
		"by sid and sub":            {"alice sid-phone j", []string{"desk"}},
		"by sub":                    {"alice - j", nil},
		"a sid of somebody else":    {"bob sid-phone j", []string{"phone", "desk"}},
		"a sid that we do not know": {"- sid-x j", []string{"phone", "desk"}},
		"a sub that we do not know": {"carol - j", []string{"phone", "desk"}},
		"a sid given as a sub":      {"sid-phone - j", []string{"phone", "desk"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.post.sid = "sid-phone"
			browsers := map[string]*browser{"phone": signedIn(w, "post")}
			w.post.sid = "sid-desk"
			browsers["desk"] = onceMore(w, "post")
			want(t, "status", w.tells("post", tt.token), http.StatusOK)
			var left []string
			for _, b := range []string{"phone", "desk"} {
				if x, err := w.service.SignedIn(t.Context(), browsers[b].header()); err == nil && x != nil {
					left = append(left, b)
				}
			}
			want(t, "still signed in", left, tt.left)
			want(t, "services told", len(w.issuer.told), 2-len(tt.left))
			want(t, "on record", strings.Count(strings.Join(w.stores.trail(t), "\n"), "session.ended ok"), 2-len(tt.left))
		})
	}
}

// Another provider has the same names for other people.
func TestTold_oneProviderNeverEndsTheSessionsOfAnother_MX(t *testing.T) {
	w := newWorld(t)
	w.post.sid, w.tax.sid = "sid-1", "sid-1"
	signedIn(w, "post")
	want(t, "status", w.tells("tax", "alice - j-1"), http.StatusOK)
	want(t, "status", w.tells("tax", "- sid-1 j-2"), http.StatusOK)
	want(t, "sessions", len(w.stores.sessions), 1)
}

func TestLO_05_aReplayedLogoutTokenEndsNothing(t *testing.T) {
	w := newWorld(t)
	signedIn(w, "post")
	want(t, "first", w.tells("post", "alice - j"), http.StatusOK)
	w.pass(upstreamSkew + time.Second)
	onceMore(w, "post")
	w.post.w = &world{clock: w.now().Add(-upstreamSkew - time.Second)} // it is still the old message
	want(t, "again", w.tells("post", "alice - j"), http.StatusBadRequest)
	want(t, "sessions", len(w.stores.sessions), 1)
}

// The provider asks again with the same token when it got no answer, and must then be
// heard: what is remembered is what was done.
func TestTold_aStoreThatFailsIsAnOutageAndTheProviderMayRepeatItself(t *testing.T) {
	w := newWorld(t)
	signedIn(w, "post")
	for step := range 12 {
		w.stores.calls, w.stores.failAt = 0, step+1
		status := w.tells("post", "alice - j")
		if status == http.StatusOK {
			want(t, "failures that were seen", step, 5) // find, record, who takes part, end, remember
			want(t, "sessions", len(w.stores.sessions), 0)
			return
		}
		want(t, "status", status, http.StatusServiceUnavailable)
	}
	t.Error("never ended")
}

func TestTold_calls_BackChannelLogout_2_5_2_8(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for name, tt := range map[string]struct {
		target, body, kind string
		status             int
	}{
		"other fields are ignored":     {"/callback/post/logout", "logout_token=alice+-+j&x=y", form, 200},
		"a forged token":               {"/callback/post/logout", "logout_token=forged", form, 400},
		"no token":                     {"/callback/post/logout", "x=y", form, 400},
		"two tokens":                   {"/callback/post/logout", "logout_token=alice+-+j&logout_token=bob+-+j", form, 400},
		"the token in the query":       {"/callback/post/logout?logout_token=alice+-+j", "", form, 400},
		"a query beside the form":      {"/callback/post/logout?x=y", "logout_token=alice+-+j", form, 400},
		"JSON":                         {"/callback/post/logout", `{"logout_token":"alice - j"}`, "application/json", 400},
		"a provider that is not ours":  {"/callback/none/logout", "logout_token=alice+-+j", form, 404},
		"one that has no such message": {"/callback/mute/logout", "logout_token=alice+-+j", form, 501},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			mute := federation.Entry{Provider: struct{ federation.Provider }{w.tax}, Description: federation.Description{ID: "mute"}}
			w.reload(nil, federation.NewDirectory(append(slices.Clone(w.dir.All()), mute)...))
			signedIn(w, "post")
			want(t, "status", w.calls(tt.target, tt.body, tt.kind), tt.status)
			want(t, "ended", len(w.stores.sessions) == 0, tt.status == 200)
		})
	}
	w := newWorld(t)
	w.post.down.Store(true)
	want(t, "a provider whose keys cannot be had", w.tells("post", "alice - j"), http.StatusServiceUnavailable)
}

func TestTold_aSessionThatWasMadeUnderALostKeyDoesNotStandInTheWay(t *testing.T) {
	w := newWorld(t)
	signedIn(w, "post")
	for d, x := range w.stores.sessions {
		x.Sealed = []byte("of another key")
		w.stores.sessions[d] = x
	}
	want(t, "status", w.tells("post", "alice - j"), http.StatusOK)
	want(t, "sessions", len(w.stores.sessions), 0)
}
