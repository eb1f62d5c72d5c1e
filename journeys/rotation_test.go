package journeys

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// TestRotation_UnderLoad: sign-ins without a pause while the key in use is rotated
// and, later, revoked. A service that fetched our keys before and keeps them
// (for an hour, say) verifies all that the rotation touches; after a revocation on
// top of it one that fetches for an unknown key id, as go-oidc does, still does.
func TestRotation_UnderLoad(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	w.underLoad()
}

// TestHSM_RotationUnderLoad is the same with the keys in a token, where the command
// destroys the key that the broker is signing with.
func TestHSM_RotationUnderLoad(t *testing.T) {
	h := newHSM(t)
	h.start()
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	h.behind(w, "")
	eventually(t, "ready", func() bool { status, _ := w.readyz(); return status == http.StatusOK })
	w.underLoad()
	w.tokenAgrees(h)
}

func (w *faultWorld) underLoad() {
	w.t.Helper()
	first, err := w.signed(w.library, w.published(), "ES256") // from now on she is not asked any more
	if err != nil {
		w.t.Fatal(err)
	}
	kept := []byte(w.jwks())
	cache := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(kept) }))
	w.t.Cleanup(cache.Close)
	caching := func() oidc.KeySet { return oidc.NewRemoteKeySet(context.Background(), cache.URL) }

	second := w.during(caching, first, func() (string, error) { return w.voussoir("", nil, "keys", "rotate", "--early") })
	third := w.during(w.published, second, func() (string, error) { return w.voussoir("", nil, "keys", "revoke", second) })
	if _, err := w.signed(w.library, caching(), "ES256"); err == nil {
		w.t.Errorf("a service that never fetches again knows key %s, which is newer than what it has", third)
	}
}

// during signs people in while the keys change, until tokens come from another key
// than was; every one of them must verify. It returns the new key.
func (w *faultWorld) during(keys func() oidc.KeySet, was string, change func() (string, error)) string {
	w.t.Helper()
	var done atomic.Bool
	var after atomic.Value
	var verified atomic.Int32
	var load sync.WaitGroup
	for range 3 {
		load.Go(func() {
			set := keys()
			pace := time.NewTicker(100 * time.Millisecond) // the log of thousands takes minutes to search
			defer pace.Stop()
			for last := false; !last; <-pace.C {
				last = done.Load()
				kid, err := w.signed(w.library, set, "ES256")
				if err != nil {
					w.t.Errorf("a sign-in failed while the keys changed: %v", err)
					return
				}
				verified.Add(1)
				if kid != was {
					after.Store(kid)
				}
			}
		})
	}
	eventually(w.t, "a few sign-ins before the change", func() bool { return verified.Load() > 5 || w.t.Failed() })
	if out, err := change(); err != nil {
		w.t.Errorf("%v: %s", err, out)
	}
	eventually(w.t, "the broker signs with another key", func() bool { return after.Load() != nil || w.t.Failed() })
	done.Store(true)
	load.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
	w.t.Logf("%d sign-ins, none failed", verified.Load())
	return after.Load().(string)
}

// TestProviderKeys_AnIndependentProviderVerifiesOurAssertions: npm's oidc-provider
// reads /jwks/providers, before and after those keys rotate, and would not find
// them at /jwks.
func TestProviderKeys_AnIndependentProviderVerifiesOurAssertions(t *testing.T) {
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	idp := ports(t)
	w := newFaultWorld(t, func(redirect string) string {
		broker, _, _ := strings.Cut(redirect, "/callback/")
		env := []string{fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "JWKS_URI=" + broker + "/jwks/providers", "REDIRECT_URI=" + redirect}
		issuer := fmt.Sprintf("http://127.0.0.1:%d", idp)
		launch(t, env, issuer+"/.well-known/openid-configuration", node(t), "counterparts/oidc-provider.mjs")
		return issuer
	}, sandboxed(t, linteau()))
	text := strings.Replace(w.config(), "client_secret: "+upstreamSecret, "private_key_jwt: true", 1)
	w.write(strings.NewReplacer("version: 1\n", "version: 2\n", "consent_validity: P1Y", "consent_validity: PT0S").Replace(text)) // asked each time
	w.reload("configuration reloaded")
	signIn := func(when string) {
		c, r := newCitizen(t), w.library.start("openid given_name", nil)
		p := c.press(c.visit(http.MethodGet, r.URL, nil, "", w.library.back), "provider-one", nil)
		p = c.submit(p, url.Values{"login": {"camille"}, "password": {"any"}})
		for range 3 {
			if strings.Contains(p.URL.Path, "/interaction/") {
				p = c.submit(p, nil)
			}
		}
		p = c.pressUntil(p, "consent-agree", nil, w.library.back)
		if tk, err := w.library.redeem(t.Context(), p.URL.Query().Get("code"), r.Verifier); err != nil || tk.Status != http.StatusOK {
			t.Fatalf("%s: token answer %d %s, %v", when, tk.Status, tk.Error, err)
		}
	}
	signIn("at first")
	if out, err := w.voussoir("", nil, "keys", "rotate", "--for", "providers", "--early"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	signIn("while the broker has not heard of the rotation")
	active := ""
	for _, k := range w.keyLines() {
		if k.For == "providers" && k.State == "active" {
			active = k.KID
		}
		if strings.Contains(w.jwks(), k.KID) != (k.For == "services") {
			t.Errorf("key %+v at /jwks", k)
		}
	}
	eventually(t, "the broker takes the rotation over", func() bool {
		resp, err := w.library.http.Get(w.broker + "/jwks/providers")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(body), active) && strings.Count(string(body), `"kid"`) == 3
	})
	signIn("after the rotation")
}
