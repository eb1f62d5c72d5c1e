package journeys

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"golang.org/x/net/html"
)

// triedLogout are the members of the discovery document that logout tries.
func triedLogout() []string {
	return []string{
		"end_session_endpoint", "frontchannel_logout_supported", "frontchannel_logout_session_supported",
		"backchannel_logout_supported", "backchannel_logout_session_supported",
	}
}

// leaver adds a client that wants to be told in every way.
func (w *truthWorld) leaver(t *testing.T, client func(id, more string)) {
	t.Helper()
	w.told = make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { w.told <- r.PostFormValue("logout_token") }))
	t.Cleanup(receiver.Close)
	client("leaver", secretAuth("client_secret_basic")+"\n    frontchannel_logout_uri: http://127.0.0.1:1/out\n    backchannel_logout_uri: "+receiver.URL+
		"/out\n    backchannel_logout_session_required: true\n")
}

// logout takes the members about logging out at their word: a hidden frame and a
// logout token both come, with the sid of the ID token, and the session is over.
func (w *truthWorld) logout(t *testing.T, basic func(*service) func(http.Header, url.Values)) {
	t.Helper()
	for _, member := range triedLogout()[1:] {
		if w.doc[member] != true {
			t.Errorf("%s = %v", member, w.doc[member])
		}
	}
	s := newService(t, w.broker, "leaver")
	r, c := s.start("openid", nil), newCitizen(t)
	back := c.pressUntil(s.question(c, r, "upstream", "camille"), "consent-agree", nil, s.back)
	sid, _ := payload(t, w.token(t, s, r, back.URL.Query().Get("code"), basic(s)).IDToken)["sid"].(string)
	out := c.press(c.get(w.doc["end_session_endpoint"].(string)), "logout-confirm", nil)
	frame := out.find(func(n *html.Node) bool { return n.Data == "iframe" })
	if sid == "" || frame == nil {
		t.Fatalf("sid %q, frame %v", sid, frame)
	}
	u, err := url.Parse(attr(frame, "src"))
	if err != nil || u.Query().Get("sid") != sid || u.Query().Get("iss") != w.broker {
		t.Errorf("frame %s, want sid %s", u, sid)
	}
	if told := payload(t, <-w.told); told["sid"] != sid {
		t.Errorf("told %v, want sid %s", told, sid)
	}
	if again := c.visit(http.MethodGet, s.start("openid", url.Values{"prompt": {"none"}}).URL, nil, "", s.back); again.URL.Query().Get("error") != "login_required" {
		t.Errorf("after it: %s", again.URL.RawQuery)
	}
}
