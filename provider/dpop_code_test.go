package provider

import (
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/login"
)

// TestDPoP_TheCodeIsForOneKey_RFC9449_10 has what the modules on the binding of codes
// ask for.
func TestDPoP_TheCodeIsForOneKey_RFC9449_10(t *testing.T) {
	h, thief := holders()[0], holders()[1]
	pushBy := func(w *world, proof string, form url.Values) reply {
		r := post(PathPAR, form)
		basic(r, form.Get("client_id"), secret)
		return w.do(with(r, proof))
	}
	t.Run("the request names it, in all its forms", func(t *testing.T) {
		w := newProofWorld(t)
		jkt := h.jkt()
		w.do(get(PathAuthorize, request("dpop_jkt", jkt)))
		w.do(visit(w.pushedURI(request("dpop_jkt", jkt))))
		w.do(visit(pushBy(w, w.proof(h, "POST", PathPAR, ""), request()).json(t)["request_uri"].(string)))
		w.do(visit(pushBy(w, w.proof(h, "POST", PathPAR, ""), request("dpop_jkt", jkt)).json(t)["request_uri"].(string)))
		object := objectOf(w, map[string]any{"iss": "caller", "client_id": "caller", "dpop_jkt": jkt})
		w.do(get(PathAuthorize, url.Values{"client_id": {"caller"}, "request": {object}}))
		if len(w.started) != 5 {
			t.Fatalf("%d visits", len(w.started))
		}
		for i, req := range w.started {
			if req.DPoPKey != jkt {
				t.Errorf("visit %d: bound to %q", i, req.DPoPKey)
			}
		}
	})
	t.Run("ensure-mismatched-dpop-jkt-fails", func(t *testing.T) {
		w := newProofWorld(t)
		wantError(t, pushBy(w, w.proof(h, "POST", PathPAR, ""), request("dpop_jkt", thief.jkt())), 400, "invalid_dpop_proof")
		if len(w.store.grants) != 0 {
			t.Error("the request is stored")
		}
	})
	t.Run("a thumbprint that is none", func(t *testing.T) {
		w := newProofWorld(t)
		for _, bad := range []string{"x", h.jkt() + "A", strings.Repeat("+", 43)} {
			if q := w.do(get(PathAuthorize, request("dpop_jkt", bad))).location(t, redirect); q.Get("error") != "invalid_request" {
				t.Errorf("%q: %v", bad, q)
			}
		}
	})
	for name, prove := range map[string]func(w *world) []string{
		"ensure-token-endpoint-fails-with-mismatched-dpop-jkt": func(w *world) []string { return []string{w.proof(thief, "POST", PathToken, "")} },
		"no proof at the token endpoint":                       func(*world) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newProofWorld(t)
			code := w.code(func(g *login.Grant) { g.DPoPKey = h.jkt() })
			r := post(PathToken, tokenForm(code))
			basic(r, "library", secret)
			wantError(t, w.do(with(r, prove(w)...)), 400, "invalid_grant")
			if k := w.audit.kinds(); k != "code.misused:dpop_jkt" {
				t.Errorf("on record: %s", k)
			}
			wantError(t, w.redeemBy(w.proof(h, "POST", PathToken, ""), tokenForm(code), "library"), 400, "invalid_grant") // burnt
		})
	}
	t.Run("ensure-dpop-auth-code-binding-success", func(t *testing.T) {
		w := newProofWorld(t)
		code := w.code(func(g *login.Grant) { g.DPoPKey = h.jkt() })
		if got := w.redeemBy(w.proof(h, "POST", PathToken, ""), tokenForm(code), "library"); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}
