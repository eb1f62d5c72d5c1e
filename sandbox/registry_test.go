package sandbox

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/registry"
)

func newTestRegistry(t *testing.T) http.Handler {
	t.Helper()
	h, err := NewRegistry(RegistryConfig{Token: "hush", Now: func() time.Time { return testDay }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Everybody of the table, as each provider writes her, asked by the broker's own
// adapter: every outcome has somebody, and the others are confirmed.
func TestRegistry_HasEveryOutcome(t *testing.T) {
	srv := httptest.NewServer(newTestRegistry(t))
	defer srv.Close()
	clock := func() time.Time { return testDay }
	breaker, err := outbound.NewBreaker(outbound.BreakerConfig{Failures: 100, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	adapter, err := registry.NewHTTP(registry.HTTPConfig{
		URL: srv.URL + RegistryPath, Token: "hush", AllowHTTP: true, Breaker: breaker, Now: clock, Log: slog.New(slog.DiscardHandler),
		Client: outbound.New(outbound.Config{AllowPrivate: true, AllowHTTP: true}),
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[registry.Outcome]bool{}
	for _, i := range append(Identities(Tax, testDay), Identities(Post, testDay)...) {
		p, err := identity.Pivot{
			GivenName: i.GivenName, FamilyName: i.FamilyName, Birthdate: i.Birthdate, Gender: i.Gender, Birthplace: i.Birthplace, Birthcountry: i.Birthcountry,
		}.Normalise(testDay)
		if err != nil {
			continue // nobody would ask
		}
		want := oddities[i.ID]
		ctx, stop := context.WithCancel(t.Context())
		switch want {
		case "":
			want = registry.Exact
		case slowRegistry:
			stop() // as after the adapter's patience
			want = registry.Unavailable
		}
		got, _ := adapter.Check(ctx, p)
		stop()
		if got.Outcome != want || got.Outcome == registry.Corrected && got.Identity.GivenName == i.GivenName {
			t.Errorf("%s: %s, want %s", i.ID, got.Outcome, want)
		}
		seen[got.Outcome] = true
	}
	for _, o := range []registry.Outcome{registry.Exact, registry.Corrected, registry.Several, registry.None, registry.Refused, registry.Deceased, registry.Unavailable} {
		if !seen[o] {
			t.Errorf("nobody is %s", o)
		}
	}
}

func TestRegistry_TurnsAwayStrangers(t *testing.T) {
	h := newTestRegistry(t)
	for name, tt := range map[string]struct {
		method, path, token, media, body string
		want                             int
	}{
		"without the token": {"POST", RegistryPath, "", "application/json", "{}", 401},
		"a wrong token":     {"POST", RegistryPath, "Bearer loud", "application/json", "{}", 401},
		"a form":            {"POST", RegistryPath, "Bearer hush", "application/x-www-form-urlencoded", "given_name=x", 400},
		"no JSON":           {"POST", RegistryPath, "Bearer hush", "application/json", "x", 400},
		"GET":               {"GET", RegistryPath + "?given_name=x", "Bearer hush", "", "", 405},
		"the front door":    {"GET", "/", "", "", "", 200},
		"an unknown person": {"POST", RegistryPath, "Bearer hush", "application/json", `{"given_name":"Nobody"}`, 200},
	} {
		r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
		r.Header.Set("Authorization", tt.token)
		r.Header.Set("Content-Type", tt.media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
	}
}
