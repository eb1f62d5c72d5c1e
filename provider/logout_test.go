package provider

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// liveSessions is Sessions with at most one session.
type liveSessions struct {
	id    login.SessionID
	fail  bool
	asked []protocol.ClientID
	gone  []login.Departure
	leave string // where the provider logs out
	state string // that went there
}

func (s *liveSessions) SignedIn(context.Context, http.Header) (*login.SignedIn, error) {
	switch {
	case s.fail:
		return nil, errStore
	case s.id == "":
		return nil, nil
	}
	return &login.SignedIn{ID: s.id, Provider: "tax"}, nil
}

func (*liveSessions) SID(_ context.Context, x *login.SignedIn, c protocol.ClientID) (string, error) {
	return "sid-" + string(x.ID) + "-" + string(c), nil
}

func (s *liveSessions) EndSession(_ context.Context, _ *login.SignedIn, asked protocol.ClientID, _ http.Header) ([]login.Departure, []*http.Cookie, error) {
	s.id, s.asked = "", append(s.asked, asked)
	return s.gone, []*http.Cookie{{Name: "__Host-voussoir-session", Path: "/", MaxAge: -1, Secure: true, HttpOnly: true}}, nil
}

func (*liveSessions) ProviderName(*login.SignedIn) protocol.Text {
	return protocol.Text{"en": "Tax office"}
}

func (s *liveSessions) Leave(_ context.Context, _ *login.SignedIn, returnTo, state string) string {
	if s.leave == "" {
		return ""
	}
	s.state = state
	return s.leave + "?" + url.Values{"post_logout_redirect_uri": {returnTo}, "state": {state}}.Encode()
}

const after = "https://rp.example/logged-out?from=broker"

// leaving is a world where library and other have logout addresses, she is signed in
// with session x, and library has its ID token as hint.
func leaving(t *testing.T) (*world, string) {
	w := newWorld(t)
	var set []*clients.Client
	for _, c := range testClients() {
		if c.ID == "library" || c.ID == "other" {
			c.PostLogoutURIs = []string{after}
			c.BackChannelLogoutURI = "https://" + string(c.ID) + ".example/out"
		}
		set = append(set, c)
	}
	w.set = clients.NewSet(set...)
	w.live.id = "x"
	return w, w.hint("library", "sid-x-library")
}

// hint is an ID token of a client.
func (w *world) hint(client protocol.ClientID, sid string) string {
	w.t.Helper()
	code := w.code(func(g *login.Grant) { g.Client, g.SID = client, sid })
	return w.redeem(tokenForm(code), string(client)).json(w.t)["id_token"].(string)
}

func (w *world) logout(pairs ...string) reply {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return w.do(get(PathLogout, q))
}

func wantShown(t *testing.T, r reply, status int, mark string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.body, mark) || r.header.Get("Location") != "" {
		t.Errorf("got %d to %q, want %d with %s; body %s", r.status, r.header.Get("Location"), status, mark, r.body)
	}
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// answer posts the form of a page.
func (w *world) answer(page reply, answer string) reply {
	w.t.Helper()
	m := formField.FindStringSubmatch(page.body)
	if m == nil {
		w.t.Fatalf("no form in %s", page.body)
	}
	return w.do(post(pathLogoutAnswer, url.Values{"form": {m[1]}, "answer": {answer}}))
}

func TestLogout_goesBackAtOnceWhenAHintProvesIntent_RPInitiatedSection2(t *testing.T) {
	w, hint := leaving(t)
	w.advance(100 * time.Hour) // an old hint is as good
	r := w.logout("id_token_hint", hint, "post_logout_redirect_uri", after, "state", "st~ate&x=1\r\n<b>")
	if want := after + "&state=st~ate%26x%3D1%0D%0A%3Cb%3E"; r.status != 303 || r.header.Get("Location") != want {
		t.Errorf("got %d to %s, want 303 to %s", r.status, r.header.Get("Location"), want)
	}
	if w.live.id != "" || !slices.Equal(w.live.asked, []protocol.ClientID{"library"}) {
		t.Errorf("session %q, asked %v", w.live.id, w.live.asked)
	}
	if c := r.header.Get("Set-Cookie"); !strings.Contains(c, "__Host-voussoir-session=; Path=/; Max-Age=0") {
		t.Errorf("cookie %q", c)
	}
	r = w.logout("id_token_hint", hint, "post_logout_redirect_uri", after) // pressed back, or twice
	if r.status != 303 || r.header.Get("Location") != after {
		t.Errorf("without a session: got %d to %s", r.status, r.header.Get("Location"))
	}
}

// The names are those of the modules of the certification plan.
func TestLogout_neverRedirects_RPInitiatedSection3_LO02(t *testing.T) {
	w, hint := leaving(t)
	unsigned := "eyJhbGciOiJub25lIn0." + strings.Split(hint, ".")[1] + "."
	foreign := strings.TrimSuffix(hint, hint[len(hint)-20:]) + "AAAAAAAAAAAAAAAAAAAA"
	tests := map[string]struct {
		ask    []string
		status int
		mark   string
	}{
		"bad-post-logout-redirect-uri":              {[]string{"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/"}, 400, `data-code="logout_redirect_invalid"`},
		"query-added-to-post-logout-redirect-uri":   {[]string{"id_token_hint", hint, "post_logout_redirect_uri", after + "&x=1"}, 400, `data-code="logout_redirect_invalid"`},
		"no-id-token-hint":                          {[]string{"post_logout_redirect_uri", after, "state", "s"}, 200, `id="logout-confirm"`},
		"modified-id-token-hint":                    {[]string{"id_token_hint", unsigned, "post_logout_redirect_uri", after}, 400, `data-code="logout_invalid"`},
		"bad-id-token-hint, of somebody else's key": {[]string{"id_token_hint", foreign, "post_logout_redirect_uri", after}, 400, `data-code="logout_invalid"`},
		"no-params":                             {nil, 200, `id="logout-confirm"`},
		"no-post-logout-redirect-uri":           {[]string{"client_id", "library"}, 200, `id="logout-confirm"`},
		"only-state":                            {[]string{"state", "s"}, 200, `id="logout-confirm"`},
		"a hint of one client, sent by another": {[]string{"id_token_hint", hint, "client_id", "other", "post_logout_redirect_uri", after}, 400, `data-code="logout_invalid"`},
		"a hint of another session":             {[]string{"id_token_hint", w.hint("library", "sid-y-library"), "post_logout_redirect_uri", after}, 200, `id="logout-confirm"`},
		"a hint without a session":              {[]string{"id_token_hint", w.hint("library", ""), "post_logout_redirect_uri", after}, 200, `id="logout-confirm"`},
		"an unknown client":                     {[]string{"client_id", "nobody", "post_logout_redirect_uri", after}, 400, `data-code="client_unknown"`},
		"a client without the address":          {[]string{"client_id", "narrow", "post_logout_redirect_uri", after}, 400, `data-code="logout_redirect_invalid"`},
		"a javascript address":                  {[]string{"client_id", "library", "post_logout_redirect_uri", "javascript:alert(1)"}, 400, `data-code="logout_redirect_invalid"`},
		"a sealed request of our own making":    {[]string{"request", strings.Repeat("A", 80)}, 400, `data-code="logout_invalid"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantShown(t, w.logout(tt.ask...), tt.status, tt.mark)
			if w.live.id != "x" {
				t.Fatal("the session is gone")
			}
		})
	}
	r := w.do(httptest.NewRequest("GET", PathLogout+"?client_id=library&client_id=other", nil))
	wantShown(t, r, 400, `data-code="request_invalid"`)
}

func TestLogout_asksWhereNothingProvesIntent_LO01(t *testing.T) {
	w, _ := leaving(t)
	page := w.logout("client_id", "library", "post_logout_redirect_uri", after, "state", "s", "ui_locales", "en")
	wantShown(t, page, 200, "Library asks you to log out.")
	wantShown(t, page, 200, "Tax office")
	if to := w.answer(page, "stay").header.Get("Location"); to != "https://rp.example/" || w.live.id != "x" {
		t.Errorf("stay: to %q, session %q", to, w.live.id)
	}
	for range 2 { // a double click
		if r := w.answer(page, "logout"); r.status != 303 || r.header.Get("Location") != after+"&state=s" {
			t.Errorf("logout: got %d to %q", r.status, r.header.Get("Location"))
		}
	}
	if len(w.live.asked) != 1 {
		t.Errorf("ended %d times", len(w.live.asked))
	}
}

func TestLogout_theFormIsOfThisSessionAndThisSite_FB12(t *testing.T) {
	w, _ := leaving(t)
	page := w.logout()
	m := formField.FindStringSubmatch(page.body)
	w.live.id = "y" // somebody else's session, in a browser that was handed the form
	wantShown(t, w.answer(page, "logout"), 400, `data-code="logout_invalid"`)
	w.live.id = "x"
	wantShown(t, w.answer(page, "perhaps"), 400, `data-code="request_invalid"`)
	wantShown(t, w.do(post(pathLogoutAnswer, url.Values{"answer": {"logout"}})), 400, `data-code="logout_invalid"`)
	cross := post(pathLogoutAnswer, url.Values{"form": {m[1]}, "answer": {"logout"}})
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	wantShown(t, w.do(cross), 403, `data-code="cross_site"`)
	wantShown(t, w.do(get(pathLogoutAnswer, url.Values{"form": {m[1]}, "answer": {"logout"}})), 405, `data-code="method_not_allowed"`)
	w.advance(logoutPatience)
	wantShown(t, w.answer(page, "logout"), 400, `data-code="logout_invalid"`)
	if w.live.id != "x" {
		t.Error("the session is gone")
	}
}

// A POST from another site brings no cookie: it comes back as a GET.
func TestLogout_takesAPostAndSendsItRound_RPInitiatedSection2(t *testing.T) {
	w, hint := leaving(t)
	r := w.do(post(PathLogout, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {after}, "state": {"s"}}))
	to := r.header.Get("Location")
	if r.status != 303 || !strings.HasPrefix(to, PathLogout+"?request=") || strings.Contains(to, "eyJ") || w.live.id != "x" {
		t.Fatalf("got %d to %q, session %q", r.status, to, w.live.id)
	}
	if r = w.do(httptest.NewRequest("GET", to, nil)); r.header.Get("Location") != after+"&state=s" || w.live.id != "" {
		t.Errorf("got %d to %q, session %q", r.status, r.header.Get("Location"), w.live.id)
	}
	wantShown(t, w.do(post(PathLogout, url.Values{"id_token_hint": {"x"}})), 400, `data-code="logout_invalid"`)
}

func TestLogout_withoutASessionThereIsNothingToEnd(t *testing.T) {
	w, _ := leaving(t)
	w.live.id = ""
	wantShown(t, w.logout(), 200, `id="logged-out" data-code="nothing"`)
	page := w.logout("client_id", "library", "post_logout_redirect_uri", after)
	wantShown(t, page, 200, `id="logout-continue" href="https://rp.example/logged-out?from=broker"`)
	wantShown(t, w.logout("client_id", "library", "post_logout_redirect_uri", "https://evil.example/"), 400, `data-code="logout_redirect_invalid"`)
}

func TestLogout_whoCannotTellAnswers503(t *testing.T) {
	w, hint := leaving(t)
	w.live.fail = true
	wantShown(t, w.logout("id_token_hint", hint, "post_logout_redirect_uri", after), 503, `data-code="unavailable"`)
}

func TestLogout_tellsServicesInHiddenFramesAndNoOthers_FrontChannelSection2(t *testing.T) {
	w, hint := leaving(t)
	for _, id := range []protocol.ClientID{"library", "other"} {
		c, _ := w.set.Get(id)
		c.FrontChannelLogoutURI = "https://" + string(id) + ".example/fc?a=1"
	}
	w.live.gone = []login.Departure{{Client: "library", SID: "s1"}, {Client: "library", SID: "s1"}, {Client: "other", SID: "s2"}, {Client: "narrow", SID: "s3"}}
	r := w.logout("id_token_hint", hint, "post_logout_redirect_uri", after)
	wantShown(t, r, 200, `<iframe src="https://library.example/fc?a=1&amp;iss=https%3A%2F%2Fbroker.example&amp;sid=s1" hidden`)
	wantShown(t, r, 200, `<iframe src="https://other.example/fc?a=1&amp;iss=https%3A%2F%2Fbroker.example&amp;sid=s2" hidden`)
	if n := strings.Count(r.body, "<iframe"); n != 2 {
		t.Errorf("%d frames", n)
	}
	if csp := r.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "; frame-src https://library.example https://other.example") || strings.Contains(csp, "script-src") {
		t.Errorf("policy %q", csp)
	}
	if got := r.header.Get("Refresh"); got != "5; url="+after {
		t.Errorf("Refresh %q", got)
	}
	wantShown(t, r, 200, `id="logout-continue"`)
}

func TestLogout_goesByTheProviderAndBackToTheService(t *testing.T) {
	w, hint := leaving(t)
	w.live.leave = "https://tax.example/logout"
	r := w.logout("id_token_hint", hint, "post_logout_redirect_uri", after, "state", "s")
	q := r.location(t, "https://tax.example/logout")
	if w.live.id != "" || q.Get("post_logout_redirect_uri") != issuer+pathLogoutReturn {
		t.Fatalf("session %q, %v", w.live.id, q)
	}
	var back *http.Cookie
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.Name == returnCookie {
			back = c
		}
	}
	come := func(state string, with *http.Cookie) reply {
		req := get(pathLogoutReturn, url.Values{"state": {state}})
		if with != nil {
			req.AddCookie(with)
		}
		return w.do(req)
	}
	wantShown(t, come(w.live.state, nil), 200, `data-code="nothing"`)
	wantShown(t, come("another", back), 200, `data-code="nothing"`)
	if r := come(w.live.state, back); r.header.Get("Location") != after+"&state=s" {
		t.Errorf("got %d to %q", r.status, r.header.Get("Location"))
	}
	c, _ := w.set.Get("library")
	c.PostLogoutURIs = nil // no longer registered
	wantShown(t, come(w.live.state, back), 200, `id="not-ended-provider"`)
}

func TestLogout_aWayBackThatNoCookieHoldsLeavesTheProviderOut(t *testing.T) {
	w, hint := leaving(t)
	w.live.leave = "https://tax.example/logout"
	state := strings.Repeat("&", maxLogoutState)
	r := w.logout("id_token_hint", hint, "post_logout_redirect_uri", after, "state", state)
	if got := r.location(t, after).Get("state"); got != state {
		t.Errorf("state of %d bytes", len(got))
	}
	wantShown(t, w.logout("state", state+"x"), 413, `data-code="too_large"`)
}

func TestMetadata_saysHowToLogOut_FrontAndBackChannelLogout(t *testing.T) {
	w := newWorld(t)
	m := w.do(httptest.NewRequest("GET", PathDiscovery, nil)).json(t)
	for name, want := range map[string]any{
		"end_session_endpoint": issuer + "/logout", "frontchannel_logout_supported": true, "frontchannel_logout_session_supported": true,
		"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
	} {
		if m[name] != want {
			t.Errorf("%s = %v, want %v", name, m[name], want)
		}
	}
}
