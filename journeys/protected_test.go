package journeys

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestInterop_AProviderThatEncryptsPushesAndBinds: npm's oidc-provider encrypts ID
// token and userinfo to the key that it reads at /jwks/providers, takes pushed
// requests only, binds its tokens by DPoP with nonces, and verifies our assertions;
// and goes on when the encryption key has been rotated under it.
func TestInterop_AProviderThatEncryptsPushesAndBinds(t *testing.T) {
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	idp := ports(t)
	w := newFaultWorld(t, func(redirect string) string {
		broker, _, _ := strings.Cut(redirect, "/callback/")
		env := []string{fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "JWKS_URI=" + broker + "/jwks/providers", "REDIRECT_URI=" + redirect, "PROTECTED=1"}
		issuer := fmt.Sprintf("http://127.0.0.1:%d", idp)
		launch(t, env, issuer+"/.well-known/openid-configuration", node(t), "counterparts/oidc-provider.mjs")
		return issuer
	}, sandboxed(t, linteau()))
	text := strings.Replace(w.config(), "client_secret: "+upstreamSecret,
		"private_key_jwt: true\n    par: require\n    dpop: require\n    id_token_encrypted_response_alg: ECDH-ES", 1)
	text = strings.Replace(text, "userinfo: { fetch: true }", "userinfo: { fetch: true, signed_response_alg: ES256, encrypted_response_alg: ECDH-ES }", 1)
	w.write(strings.Replace(text, "consent_validity: P1Y", "consent_validity: PT0S", 1)) // asked each time
	w.proc.stop()                                                                        // there are no keys for decryption yet
	w.proc = launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", w.file)
	signIn := func(when string) {
		c, r := newCitizen(t), w.library.start("openid given_name", nil)
		p := c.press(c.visit(http.MethodGet, r.URL, nil, "", w.library.back), "provider-one", nil)
		if q := p.URL.Query(); q.Has("state") || q.Has("scope") {
			t.Errorf("%s: the browser carries the request itself", when)
		}
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
	if out, err := w.voussoir("", nil, "keys", "rotate", "--for", "decryption", "--alg", "ECDH-ES"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	signIn("after a rotation of the encryption key")
}
