package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/protocol"
)

func (b *broker) status(t *testing.T, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", b.started.Issuer+"/status", nil)
	r.Host = strings.TrimPrefix(b.started.Issuer, "http://")
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// states is what /status says to a program, by provider.
func (b *broker) states(t *testing.T) map[string]string {
	t.Helper()
	var got struct {
		Providers []struct{ ID, State string }
	}
	w := b.status(t, "application/json")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Header().Get("Cache-Control") != "public, max-age=5" {
		t.Fatalf("/status: %v, %v", err, w.Header())
	}
	out := map[string]string{}
	for _, p := range got.Providers {
		out[p.ID] = p.State
	}
	return out
}

func TestKill_TakesOutOfServiceUntilRestore(t *testing.T) {
	file, _ := writeConfig(t)
	var events journal
	b := newBroker(t, file, &events)
	follow := func() {
		t.Helper()
		if err := b.takeOverStops(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	provider := func() bool { _, ok := b.current.Load().directory.Get("tax"); return ok }
	client := func() bool { _, ok := b.client("city-library"); return ok }

	for _, tt := range []struct {
		name             string
		args             []string
		code             int
		says             string
		provider, client bool
	}{
		{"without a reason", []string{"kill", "provider", "tax"}, exitUsage, "--reason", true, true},
		{"a slip of the pen", []string{"kill", "provider", "taxx", "--reason", "x"}, exitFailure, "no provider of the configuration", true, true},
		{"an unknown client", []string{"kill", "client", "nobody", "--reason", "x"}, exitFailure, "no client of the configuration", true, true},
		{"a provider", []string{"kill", "provider", "tax", "--reason", "its key was stolen"}, exitOK, "provider tax is killed", false, true},
		{"twice", []string{"kill", "provider", "tax", "--reason", "again"}, exitFailure, "out of service already", false, true},
		{"a client, for a script", []string{"kill", "client", "city-library", "--reason", "spam", "--json"}, exitOK, `"state": "killed"`, false, false},
		{"the list", []string{"kill", "list"}, exitOK, "its key was stolen", false, false},
		{"the client again", []string{"restore", "client", "city-library"}, exitOK, "client city-library is restored", false, true},
		{"the provider again", []string{"restore", "provider", "tax", "--json"}, exitOK, `"state": "restored"`, true, true},
		{"what is in service", []string{"restore", "provider", "tax"}, exitFailure, "not out of service", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := tt.args
			args = append(args, "--config", file)
			code, out, errs := say(t, args...)
			if code != tt.code || !strings.Contains(out+errs, tt.says) {
				t.Errorf("%v = %d %s%s, want %d %q", tt.args, code, out, errs, tt.code, tt.says)
			}
			follow()
			if provider() != tt.provider || client() != tt.client {
				t.Errorf("provider in service %t, client %t; want %t, %t", provider(), client(), tt.provider, tt.client)
			}
			if want := map[bool]string{true: "works", false: "switched_off"}[tt.provider]; b.states(t)["tax"] != want {
				t.Errorf("/status says %q, want %q", b.states(t)["tax"], want)
			}
		})
	}
}

func TestKill_HoldsAcrossAReload(t *testing.T) {
	file, _ := writeConfig(t)
	b := newBroker(t, file, io.Discard)
	if code, _, errs := say(t, "kill", "provider", "tax", "--reason", "x", "--config", file); code != exitOK {
		t.Fatal(errs)
	}
	p := &program{getenv: os.Getenv}
	b.reloadFile(t.Context(), func() (*config.Loaded, error) { return p.load(file) })
	if _, ok := b.current.Load().directory.Get("tax"); ok {
		t.Error("a reload put it back into service")
	}
}

func TestDisabled_ByTheConfiguration(t *testing.T) {
	file, _ := writeConfig(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "  - id: tax\n", "  - id: tax\n    disabled: true\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, file, io.Discard)
	if got := b.states(t); got["tax"] != "switched_off" || got["post"] != "works" {
		t.Errorf("/status = %v", got)
	}
	if page := b.status(t, "text/html").Body.String(); !strings.Contains(page, `id="status-tax" data-state="switched_off"`) {
		t.Errorf("the page: %s", page)
	}
}

func TestLogo_IsServedByUsUnderItsHash(t *testing.T) {
	file, _ := writeConfig(t)
	picture := "\x89PNG\r\n\x1a\n and what follows"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	logo := filepath.Join(filepath.Dir(file), "tax.png")
	for name, content := range map[string]string{logo: picture, file: strings.Replace(string(text), "  - id: tax\n", "  - id: tax\n    logo_file: tax.png\n", 1)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBroker(t, file, io.Discard)
	e, _ := b.current.Load().directory.Get("tax")
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "GET", b.started.Issuer+path, nil)
		r.Host = strings.TrimPrefix(b.started.Issuer, "http://")
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		return w
	}
	w := get(e.Logo)
	if w.Code != 200 || w.Body.String() != picture || w.Header().Get("Content-Type") != "image/png" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("GET %s = %d %v", e.Logo, w.Code, w.Header())
	}
	for _, path := range []string{"/static/logo/tax", e.Logo + "x", "/static/logo/..%2f..%2fvoussoir.yaml", "/static/logo/"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("GET %s = %d", path, w.Code)
		}
	}
}

// thousand is a configuration with so many providers.
func thousand(t testing.TB) *config.Loaded {
	t.Helper()
	var text strings.Builder
	text.WriteString("issuer: https://id.example.org\nlisten: 127.0.0.1:8080\nproviders:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "  - { id: p%d, name: { fr: \"Mairie %[1]d\" }, keywords: [\"Ville %[1]d\"], issuer: \"https://login%[1]d.example\", client_id: voussoir, private_key_jwt: true, id_token_signed_response_alg: ES256, acr: { max: eidas1 } }\n", i)
	}
	text.WriteString("clients:\n  - { id: c, name: { fr: C }, redirect_uris: [https://c.example/cb], client_secret_sha256: \"" + strings.Repeat("0f1e2d3c", 8) + "\", policy: p }\n" +
		"policies:\n  - { id: p, version: 1, purpose: { fr: P }, legal_basis: consent }\n")
	c, err := config.Parse(filepath.Join(t.TempDir(), "x.yaml"), []byte(text.String()), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSnapshot_AThousandProviders(t *testing.T) {
	s, err := newSnapshot(thousand(t), outside{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.directory.All()); n != 1000 || !s.directory.Matches(protocol.ProviderID("p77"), "ville 77") {
		t.Errorf("%d providers, or not found by its town", n)
	}
}

// The part of a start that grows with the providers: under 2 s (docs/performance.md).
func BenchmarkStart_AThousandProviders(b *testing.B) {
	for b.Loop() {
		if _, err := newSnapshot(thousand(b), outside{Now: time.Now}); err != nil {
			b.Fatal(err)
		}
	}
}
