package journeys

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
)

// TestBrowser_AProgramCallsFromItsOwnOriginOnly signs a person in at a program that
// runs in a browser, and lets Chromium decide what such a program may read.
func TestBrowser_AProgramCallsFromItsOwnOriginOnly(t *testing.T) {
	need(t, chromium, "Chromium")
	need(t, "node_modules/playwright-core/package.json", "playwright-core")
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>A program</title>")
	})
	own, other := httptest.NewServer(empty), httptest.NewServer(empty)
	t.Cleanup(own.Close)
	t.Cleanup(other.Close)
	redirect := own.URL + "/callback"
	broker := upstream(t, redirect, "    token_endpoint_auth_method: none\n    allowed_origins: ["+own.URL+"]")
	s := newService(t, broker, "library")
	s.redirect = redirect
	r := s.start("openid given_name age_over_16", nil)
	code := passThrough(newCitizen(t), r.URL, nil).URL.Query().Get("code")
	if code == "" {
		t.Fatal("no code")
	}
	cmd := exec.CommandContext(t.Context(), node(t), "browser/app.mjs")
	cmd.Env = append(os.Environ(), "BROKER="+broker, "OWN="+own.URL, "OTHER="+other.URL, "CODE="+code, "VERIFIER="+r.Verifier,
		"REDIRECT="+redirect, "CLIENT_ID=library", "CHROMIUM="+chromium)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, tail(string(out), 3000))
	}
}
