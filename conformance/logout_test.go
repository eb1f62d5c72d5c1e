package conformance

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOidccRPInitiatedLogout(t *testing.T) { runPlan(t, "TestOidccRPInitiatedLogout") }

func TestOidccFrontChannelLogout(t *testing.T) { runPlan(t, "TestOidccFrontChannelLogout") }

func TestOidccBackChannelLogout(t *testing.T) { runPlan(t, "TestOidccBackChannelLogout") }

// afterLogout is where the clients of docs/certification.md want people back.
const afterLogout = suiteHost + "post_logout_redirect"

// logoutSuite is basicSuite with more lines for each client; "": the block of these
// lines is as the page has it.
func logoutSuite(t *testing.T, block string, change *strings.Replacer) *suite {
	t.Helper()
	more := ""
	if block != "" {
		more = change.Replace(documented(t, block))
	}
	return basicSuiteWith(t, "", more)
}

func frontChannelSuite(t *testing.T) *suite {
	t.Helper()
	return logoutSuite(t, "front-channel lines", strings.NewReplacer())
}

// backChannelSuite is a broker and a place where its notices arrive.
func backChannelSuite(t *testing.T) *suite {
	t.Helper()
	notices := make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // one that is none has no token
		notices <- r
	}))
	t.Cleanup(server.Close)
	s := logoutSuite(t, "back-channel lines", strings.NewReplacer(suiteHost, server.URL+"/"))
	s.notices = notices
	return s
}

// leave sends the browser to the end of its session.
func (s *suite) leave(t *testing.T, b *browser, params url.Values) outcome {
	t.Helper()
	endpoint, _ := s.metadata["end_session_endpoint"].(string)
	if !strings.HasPrefix(endpoint, s.issuer+"/") {
		t.Fatalf("end_session_endpoint is %q", endpoint)
	}
	b.press = append(slices.Clone(agree), "logout-confirm")
	return b.visit(endpoint+"?"+params.Encode(), nil)
}

// goodbye is a request to log out as the suite sends it.
func goodbye(x session) url.Values {
	return url.Values{"id_token_hint": {x.tokens.str("id_token")}, "post_logout_redirect_uri": {afterLogout}, "state": {random()}}
}

// over checks that the browser has no session any more, or still has one.
func (s *suite) over(t *testing.T, b *browser, want bool) {
	t.Helper()
	o := s.ask(t, b, s.request(s.first).with("prompt", "none"))
	if want {
		o.returned(t, "login_required")
	} else if o.params.Get("code") == "" {
		t.Errorf("the session is over: %v", o.params)
	}
}

// farewell is one module: a sign-in, a request that differs from the usual one, and
// what comes of it.
func farewell(change func(t *testing.T, s *suite, params url.Values), want func(t *testing.T, s *suite, b *browser, o outcome, params url.Values)) test {
	return func(t *testing.T, s *suite) {
		b := s.browser(t)
		params := goodbye(s.signIn(t, b, s.request(s.first)))
		change(t, s, params)
		want(t, s, b, s.leave(t, b, maps.Clone(params)), params)
	}
}

// back: she is at the service again, with the state of the request and nothing else,
// and the session is over.
func back(t *testing.T, s *suite, b *browser, o outcome, params url.Values) {
	t.Helper()
	want := url.Values{}
	if params.Has("state") {
		want["state"] = params["state"]
	}
	if o.callback != afterLogout || o.params.Encode() != want.Encode() {
		t.Errorf("page %q, called %q with %v, want %q with %v", o.page, o.callback, o.params, afterLogout, want)
	}
	s.over(t, b, true)
}

// here: she was logged out, and reads so on our page.
func here(t *testing.T, s *suite, b *browser, o outcome, _ url.Values) {
	t.Helper()
	if o.callback != "" || o.ended != "ended" {
		t.Errorf("called %q; the page says %q (%s)", o.callback, o.ended, o.page)
	}
	s.over(t, b, true)
}

// stays: an error page, no redirect, and nothing has happened.
func stays(page string) func(t *testing.T, s *suite, b *browser, o outcome, _ url.Values) {
	return func(t *testing.T, s *suite, b *browser, o outcome, _ url.Values) {
		t.Helper()
		o.stopped(t, page)
		b.press = agree
		s.over(t, b, false)
	}
}

func set(name, value string) func(*testing.T, *suite, url.Values) {
	return func(_ *testing.T, _ *suite, params url.Values) { params.Set(name, value) }
}

func unset(names ...string) func(*testing.T, *suite, url.Values) {
	return func(_ *testing.T, _ *suite, params url.Values) {
		for _, name := range names {
			params.Del(name)
		}
	}
}

func logoutTests() map[string]test {
	const p = "oidcc-rp-initiated-logout"
	return map[string]test{
		p + "-discovery-endpoint-verification": logoutDiscovery("end_session_endpoint"),
		p:                                      farewell(unset(), back),
		p + "-bad-post-logout-redirect-uri":    farewell(set("post_logout_redirect_uri", suiteHost+"other"), stays("logout_redirect_invalid")),
		p + "-query-added-to-post-logout-redirect-uri": farewell(set("post_logout_redirect_uri", afterLogout+"?foo=bar"), stays("logout_redirect_invalid")),
		p + "-modified-id-token-hint":                  farewell(unsignedHint, stays("logout_invalid")),
		p + "-bad-id-token-hint":                       farewell(foreignHint, stays("logout_invalid")),
		p + "-no-id-token-hint":                        farewell(unset("id_token_hint"), here),
		p + "-no-params":                               farewell(unset("id_token_hint", "post_logout_redirect_uri", "state"), here),
		p + "-no-post-logout-redirect-uri":             farewell(unset("post_logout_redirect_uri"), here),
		p + "-no-state":                                farewell(unset("state"), back),
		p + "-only-state":                              farewell(unset("id_token_hint", "post_logout_redirect_uri"), here),
	}
}

// logoutDiscovery wants these members: an address of ours, or true.
func logoutDiscovery(names ...string) test {
	return func(t *testing.T, s *suite) {
		discovery(t, s)
		for _, name := range names {
			address, _ := s.metadata[name].(string)
			if s.metadata[name] != true && !strings.HasPrefix(address, s.issuer+"/") {
				t.Errorf("%s is %v", name, s.metadata[name])
			}
		}
	}
}

// unsignedHint has the claims of the right hint, and nobody's signature.
func unsignedHint(t *testing.T, s *suite, params url.Values) {
	params.Set("id_token_hint", s.first.sign(t, "none", "JWT", part(t, params.Get("id_token_hint"), 1)))
}

// foreignHint has them too, and the signature of somebody else.
func foreignHint(t *testing.T, s *suite, params url.Values) {
	stranger := *s.first
	stranger.ring = newRing(t, time.Now, "RS256")
	params.Set("id_token_hint", stranger.sign(t, "RS256", "JWT", part(t, params.Get("id_token_hint"), 1)))
}

func frontChannelTests() map[string]test {
	return map[string]test{
		"oidcc-frontchannel-logout-discovery-endpoint-verification": logoutDiscovery("end_session_endpoint", "frontchannel_logout_supported", "frontchannel_logout_session_supported"),
		"oidcc-frontchannel-rp-initiated-logout":                    frontChannelLogout,
	}
}

// OpenID Connect Front-Channel Logout section 3: each service of the session is loaded
// in a frame, with the issuer and its sid, and then she goes on.
func frontChannelLogout(t *testing.T, s *suite) {
	b := s.browser(t)
	x := s.signIn(t, b, s.request(s.first))
	s.signIn(t, b, s.request(s.first)) // once more: still one service
	params := goodbye(x)
	o := s.leave(t, b, params)
	back(t, s, b, o, params)
	if len(o.frames) != 1 {
		t.Fatalf("%d frames, want 1", len(o.frames))
	}
	frame, err := url.Parse(o.frames[0])
	if err != nil {
		t.Fatal(err)
	}
	if q := frame.Query(); bare(frame) != suiteHost+"frontchannel_logout" || x.id["sid"] == nil || q.Get("sid") != x.id["sid"] || q.Get("iss") != s.issuer {
		t.Errorf("the frame loads %s with %v, the ID token has sid %v", bare(frame), frame.Query(), x.id["sid"])
	}
}

func backChannelTests() map[string]test {
	return map[string]test{
		"oidcc-backchannel-logout-discovery-endpoint-verification": logoutDiscovery("end_session_endpoint", "backchannel_logout_supported", "backchannel_logout_session_supported"),
		"oidcc-backchannel-rp-initiated-logout":                    backChannelLogout,
	}
}

// OpenID Connect Back-Channel Logout sections 2.4 and 2.6: what the logout token says,
// and that it is no ID token.
func backChannelLogout(t *testing.T, s *suite) {
	b := s.browser(t)
	x := s.signIn(t, b, s.request(s.first))
	params := goodbye(x)
	back(t, s, b, s.leave(t, b, params), params)
	var notice *http.Request
	select {
	case notice = <-s.notices:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody told the service")
	}
	if notice.Method != http.MethodPost || notice.URL.Path != "/backchannel_logout" || notice.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(notice.PostForm) != 1 {
		t.Errorf("%s %s of type %s", notice.Method, notice.URL.Path, notice.Header.Get("Content-Type"))
	}
	compact := notice.PostForm.Get("logout_token")
	head, claims := part(t, compact, 0), part(t, compact, 1)
	if _, err := s.published.Verify(t.Context(), compact, "RS256"); err != nil || head["kid"] == nil { // as its ID tokens are
		t.Errorf("the logout token, %v: %v", head, err)
	}
	if claims["iss"] != s.issuer || claims["aud"] != s.first.id || claims["sid"] == nil || claims["sid"] != x.id["sid"] || claims["sub"] != x.sub() || claims["jti"] == nil || claims["nonce"] != nil {
		t.Errorf("the logout token has %v, the ID token had sid %v", claims, x.id["sid"])
	}
	iat, _ := claims["iat"].(float64)
	exp, _ := claims["exp"].(float64)
	if now := float64(s.now().Unix()); iat > now+1 || iat < now-60 || exp <= now || exp > now+120 {
		t.Errorf("iat %v, exp %v at %v", iat, exp, now)
	}
	if got := string(encode(t, claims["events"])); got != `{"http://schemas.openid.net/event/backchannel-logout":{}}` {
		t.Errorf("events are %s", got)
	}
}
