package journeys

import (
	"context"
	"net/http"
	"net/http/httptest"
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
