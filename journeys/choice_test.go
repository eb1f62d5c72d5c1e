package journeys

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// extra is one more provider for faultConfig.
func extra(id, issuer, members string) string {
	return fmt.Sprintf("  - { id: %s, name: { en: \"Provider %[1]s\", fr: \"Compte %[1]s\" }, issuer: %q, client_id: voussoir, client_secret: %s, id_token_signed_response_alg: ES256%s }\n",
		id, issuer, upstreamSecret, members)
}

// with adds providers and reloads.
func (w *faultWorld) with(providers ...string) {
	w.t.Helper()
	w.write(strings.Replace(w.config(), "clients:\n", strings.Join(providers, "")+"clients:\n", 1))
	w.reload("configuration reloaded")
}

// blackHole takes connections and never answers.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String() // the kernel accepts, nobody reads
}

func answering(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// states is what /status says, by provider.
func (w *faultWorld) states() map[string]string {
	w.t.Helper()
	return states(w.t, http.DefaultTransport, w.broker)
}

// found waits until a broker that was there before its providers has found them.
func found(t *testing.T, calls http.RoundTripper, broker string) {
	t.Helper()
	eventually(t, "the broker has found its providers", func() bool {
		for _, state := range states(t, calls, broker) {
			if state != "works" {
				return false
			}
		}
		return true
	})
}

func states(t *testing.T, calls http.RoundTripper, broker string) map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, broker+"/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := calls.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Providers []struct{ ID, State string } `json:"providers"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range doc.Providers {
		out[p.ID] = p.State
	}
	return out
}

// TestBulkheads_ThreeBrokenProvidersAndTheFourthWorks: one is a black hole, one
// answers 503 and one serves garbage. They are in grey within five seconds and can
// still be tried; whoever signs in elsewhere does not notice.
func TestBulkheads_ThreeBrokenProvidersAndTheFourthWorks(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	level := ", acr: { max: eidas2, default: eidas1 }"
	w.with(extra("hole", blackHole(t), level), extra("five", answering(t, 503, `{}`), level), extra("rubbish", answering(t, 200, `{"issuer": 7`), level))
	end := time.Now().Add(5 * time.Second)
	choice := func() *page {
		return newCitizen(t).visit(http.MethodGet, w.library.start("openid given_name", nil).URL, nil, "", w.library.back)
	}
	grey := func(p *page, id string) bool { return strings.Contains(attr(p.byID("provider-"+id), "class"), "down") }
	w.signIn(w.library, "two", "camille") // while nobody knows yet
	for p := choice(); !grey(p, "hole") || !grey(p, "five") || !grey(p, "rubbish"); p = choice() {
		if time.Now().After(end) {
			t.Fatalf("not in grey within 5 s; /status says %v", w.states())
		}
	}
	p := choice()
	if grey(p, "one") || grey(p, "two") || !strings.Contains(p.Body, "Not available at the moment") {
		t.Error("the wrong ones are in grey, or the page does not say why")
	}
	for id, want := range map[string]string{"one": "works", "two": "works", "hole": "unavailable", "five": "unavailable", "rubbish": "unavailable"} {
		if got := w.states()[id]; got != want {
			t.Errorf("/status says that %s %s, want %s", id, got, want)
		}
	}
	for range 5 {
		w.signIn(w.court, "two", "camille")
	}
	if _, _, p := w.upTo(w.library, "five", "camille", nil); p.byID("provider-one") == nil || !strings.Contains(p.Body, `role="alert"`) {
		t.Error("one who tries a provider in grey is not told what became of it")
	}
}

// TestKill_EndsSignInsUnderWay: a command takes a provider out of a running broker;
// people who are there come back to a page that says so, and restore brings it back.
func TestKill_EndsSignInsUnderWay(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	c := newCitizen(t)
	there := c.pressUntil(c.visit(http.MethodGet, w.library.start("openid given_name", nil).URL, nil, "", w.library.back), "provider-one", nil, w.library.back)
	if there.byID("identity-camille") == nil {
		t.Fatalf("not at the provider but at %s", there.URL.Path)
	}
	if out, err := w.voussoir("", nil, "kill", "provider", "one", "--reason", "a test"); err != nil {
		t.Fatalf("kill: %v %s", err, out)
	}
	end := time.Now().Add(5 * time.Second)
	for w.states()["one"] != "switched_off" {
		if time.Now().After(end) {
			t.Fatal("the running broker does not follow within 5 s")
		}
	}
	back := c.pressUntil(there, "identity-camille", nil, w.library.back)
	if back.errorCode() != "provider_unknown" {
		t.Errorf("back from a provider that was killed: %s, code %q", back.URL.Path, back.errorCode())
	}
	if out, err := w.voussoir("", nil, "restore", "provider", "one"); err != nil {
		t.Fatalf("restore: %v %s", err, out)
	}
	eventually(t, "in service again", func() bool { return w.states()["one"] == "works" })
	w.signIn(w.court, "one", "camille")
}

// dot is a PNG of one pixel.
const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=="

// TestBrowser_Choice looks at every face of the choice page with a real browser; see
// browser/choice.mjs.
func TestBrowser_Choice(t *testing.T) {
	need(t, chromium, "Chromium")
	need(t, "node_modules/playwright-core/package.json", "playwright-core")
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	picture, err := base64.StdEncoding.DecodeString(dot)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.file), "dot.png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
	level, hole := ", acr: { max: eidas2, default: eidas1 }", answering(t, 503, `{}`)
	many := []string{
		extra("weak", hole, ", acr: { max: eidas1 }"), extra("beta", hole, level+", beta: true, logo_file: dot.png"),
		extra("card", hole, level+", notice: { fr: \"Munissez-vous de votre carte.\", en: \"Have your card at hand.\" }"),
	}
	for i := range 60 {
		many = append(many, extra(fmt.Sprintf("town-%d", i), hole, level+fmt.Sprintf(", keywords: [\"Saint-Étienne-%d\"]", i)))
	}
	w.write(strings.Replace(w.config(), "    version: 1\n", "    version: 2\n    min_acr: eidas2\n", 1))
	w.with(many...)
	eventually(t, "the broker has looked at all of them", func() bool {
		working := 0
		for _, state := range w.states() {
			if state == "works" {
				working++
			}
		}
		return working == 2
	})
	shots := os.Getenv("VOUSSOIR_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	cmd := exec.Command(node(t), "browser/choice.mjs")
	cmd.Env = append(os.Environ(), "BROKER="+w.broker, "START="+w.library.start("openid given_name", nil).URL, "SHOTS="+shots, "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimSpace(line))
	}
	if err != nil {
		t.Fatalf("the visits: %v", err)
	}
}
