package journeys

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// intoMe signs a person in to her own space.
func (w *world) intoMe(c *citizen, name string) *page {
	c.t.Helper()
	p := c.press(c.get(w.Broker+"/me"), "me-sign-in", nil)
	if p.byID("provider-"+lowProvider) != nil {
		p = c.press(p, "provider-"+lowProvider, nil)
	}
	p = c.press(p, "identity-"+name, nil)
	if p.byID("consent-agree") != nil {
		p = c.press(p, "consent-agree", nil)
	}
	return p
}

// TestMe_SignInHistoryBlockClose: a person signs in to her space as anywhere, sees what
// happened, blocks a provider, and closes her record.
func TestMe_SignInHistoryBlockClose(t *testing.T) {
	w := demo(t)
	c := newCitizen(t)
	p := w.intoMe(c, "camille")
	if p.byID("history") == nil || !strings.Contains(p.Body, "You signed in") {
		t.Fatalf("her space shows no history (%s, status %d):\n%s", p.URL.Path, p.Status, tail(p.Body, 3000))
	}
	if p.URL.RawQuery != "" {
		t.Errorf("the address of her space still has a query")
	}

	// The session is this browser's alone.
	if other := newCitizen(t).get(w.Broker + "/me"); other.byID("me-sign-in") == nil {
		t.Error("another browser is shown a space")
	}
	// A form of another site changes nothing (CSRF).
	if p := c.visit(http.MethodPost, w.Broker+"/me/block", url.Values{"provider": {lowProvider}}, "https://evil.example", nil); p.Status != http.StatusForbidden {
		t.Errorf("a form of another site: status %d, want 403", p.Status)
	}

	if p = c.press(p, "block-"+highProvider, nil); p.byID("said") == nil || !strings.Contains(p.Body, "You blocked an account") {
		t.Errorf("blocking shows neither a word nor an entry")
	}
	if p = c.press(p, "block-"+highProvider, nil); !strings.Contains(p.Body, "You allowed an account again") {
		t.Errorf("allowing again is not in her history")
	}
	if p = c.press(p, "block-future", nil); p.byID("said") == nil {
		t.Errorf("blocking future providers shows no word")
	}

	// Sign-out ends the session on the server: the cookie kept aside is worth nothing.
	kept := map[string]string{}
	at, _ := url.Parse(w.Broker)
	for k, v := range c.jar[at.Hostname()] {
		kept[k] = v
	}
	c.press(p, "me-sign-out", nil)
	stale := newCitizen(t)
	stale.jar[at.Hostname()] = kept
	if stale.get(w.Broker+"/me").byID("me-sign-in") == nil {
		t.Error("a session that was ended still opens her space")
	}

	w.intoMe(c, "camille")
	twin := newCitizen(t)
	w.intoMe(twin, "camille")
	p = c.press(c.get(w.Broker+"/me/close"), "close-confirm", nil)
	if p.Status != http.StatusOK || !strings.Contains(p.Body, "Your record is closed") {
		t.Fatalf("closing: status %d\n%s", p.Status, tail(p.Body, 2000))
	}
	eventually(t, "the end of her other session", func() bool { return twin.get(w.Broker+"/me").byID("me-sign-in") != nil })
	if p = w.intoMe(c, "camille"); strings.Contains(p.Body, "You blocked an account") || p.byID("history") == nil {
		t.Errorf("after closing she is not somebody new (%s, status %d)", p.URL.Path, p.Status)
	}
}

// TestMe_CodeOfAnotherBrowserIsRefused: whoever sends somebody the end of a sign-in of his
// own gets nobody into his space (login CSRF), and a code counts once.
func TestMe_CodeOfAnotherBrowserIsRefused(t *testing.T) {
	w := demo(t)
	c, back := newCitizen(t), func(u *url.URL) bool { return u.Path == "/me/return" }
	p := c.press(c.get(w.Broker+"/me"), "me-sign-in", nil)
	p = c.press(p, "provider-"+lowProvider, nil)
	p = c.press(p, "identity-camille", nil)
	p = c.pressUntil(p, "consent-agree", nil, back)
	if !back(p.URL) {
		t.Fatalf("she is at %s", p.URL.Path)
	}
	if got := newCitizen(t).get(p.URL.String()); got.Status != http.StatusBadRequest {
		t.Errorf("in another browser: status %d, want 400", got.Status)
	}
	if got := c.get(p.URL.String()); got.byID("history") == nil {
		t.Errorf("in her own: status %d", got.Status)
	}
	if got := c.get(p.URL.String()); got.Status != http.StatusBadRequest {
		t.Errorf("a second time: status %d, want 400", got.Status)
	}
	asked, _ := url.Parse(w.Broker + "/authorize?client_id=voussoir:me&response_type=code&scope=openid&redirect_uri=" + url.QueryEscape(w.Broker+"/me/return"))
	if got := c.get(asked.String()); strings.Contains(got.URL.Path, "/login/") {
		t.Error("somebody else began a visit of the broker itself")
	}
}
