package journeys

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
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
	if strings.Contains(p.Body, "What was passed on") {
		t.Error("something was passed on to her own space")
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

// TestMe_ReceiptsAndWithdrawal: what she agreed to at a service is there with a receipt
// that verifies without the broker, and is over when she takes it back.
func TestMe_ReceiptsAndWithdrawal(t *testing.T) {
	w := demo(t)
	s := w.sample(t, "city-library")
	c, r := newCitizen(t), s.start("openid given_name email", nil)
	p := c.press(c.visit(http.MethodGet, r.URL, nil, "", s.back), "provider-"+lowProvider, nil)
	p = c.press(p, "identity-camille", nil)
	p = c.pressUntil(p, "consent-agree", nil, s.back)
	tokens, err := s.redeem(t.Context(), p.URL.Query().Get("code"), r.Verifier)
	if err != nil || tokens.Status != http.StatusOK {
		t.Fatalf("the service got no tokens: %v %+v", err, tokens)
	}
	p = w.intoMe(c, "camille")
	receipt := regexp.MustCompile(`/me/receipts/[0-9a-f]{32}`).FindString(p.Body)
	if receipt == "" || p.byID("answers") == nil {
		t.Fatalf("her space shows no receipt, or no answer:\n%s", tail(p.Body, 3000))
	}
	var page *page
	eventually(t, "the receipt has a proof", func() bool {
		page = c.get(w.Broker + receipt)
		return strings.Contains(page.Body, "c2sp.org/tlog-proof")
	})
	if got := newCitizen(t).get(w.Broker + receipt); got.byID("me-sign-in") == nil || strings.Contains(got.Body, "tlog-proof") {
		t.Error("somebody else sees her receipt")
	}
	other := newCitizen(t)
	w.intoMe(other, "zoe")
	if got := other.get(w.Broker + receipt); got.Status != http.StatusNotFound {
		t.Errorf("another person's space: her receipt answers %d, want 404", got.Status)
	}
	key := ""
	for line := range strings.Lines(c.get(w.Broker + "/audit/keys").Body) {
		if words := strings.Fields(line); len(words) == 3 && words[2] == "active" {
			key = words[0]
		}
	}
	for _, form := range []string{".json", ".jwt"} {
		file := filepath.Join(t.TempDir(), "receipt"+form)
		if err := os.WriteFile(file, []byte(c.get(w.Broker+receipt+form).Body), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(binary(t, ""), "audit", "verify-receipt", "--log", audit.Origin(w.Broker), "--key", key, file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "holds") {
			t.Errorf("verify-receipt of the %s: %v, %s", form, err, out)
		}
	}

	withdraw := regexp.MustCompile(`id="(withdraw-city-library-[^"]+)"`).FindStringSubmatch(p.Body)
	if withdraw == nil {
		t.Fatal("no answer to the library can be taken back")
	}
	p = c.press(p, withdraw[1], nil)
	if p = c.press(p, "withdraw-confirm", nil); p.byID("said") == nil || !strings.Contains(p.Body, "You took an answer back") || strings.Contains(p.Body, withdraw[1]) {
		t.Errorf("after taking it back her space says:\n%s", tail(p.Body, 3000))
	}
	if got, _, err := s.userinfo(t.Context(), tokens.AccessToken); err != nil || got != http.StatusUnauthorized {
		t.Errorf("the service's access token: %d, %v, want 401", got, err)
	}
	again := s.start("openid given_name email", nil)
	p = c.visit(http.MethodGet, again.URL, nil, "", s.back) // her session still stands
	if p.byID("consent-agree") == nil {
		t.Errorf("she is not asked again but at %s", p.URL.Path)
	}
}
