package provider

import (
	"testing"

	"github.com/voussoir-id/voussoir/login"
)

// A proof may name either address of an endpoint, and no third one.
func TestDPoP_AtTheAddressForCertificates_RFC9449_4_3_RFC8705_5(t *testing.T) {
	w := newTLSWorld(t)
	const alias = "https://mtls.broker.example"
	for at, want := range map[string]int{issuer: 200, alias: 200, "https://mtls.evil.example": 400} {
		for _, configured := range []string{alias, ""} {
			w.p.Certificates.Address = configured
			status := want
			if at == alias && configured == "" {
				status = 400
			}
			h := holders()[0]
			r := post(PathToken, tokenForm(w.code(func(g *login.Grant) { g.Client = "tls-library" }), "client_id", "tls-library"))
			header, claims := w.parts(h, "POST", PathToken, "", spoil{claims: map[string]any{"htu": at + PathToken}})
			r.Header.Set("DPoP", h.sign(header, claims))
			got := w.send(r, w.library)
			if got.status != status {
				t.Errorf("htu at %s, alias %q: got %d %s, want %d", at, configured, got.status, got.body, status)
			}
			if got.status != 200 {
				continue
			}
			// The token is bound to both: either alone is not enough.
			token := got.json(t)["access_token"].(string)
			cert := w.userinfoAs(token, w.library)
			wantError(t, cert, 401, "invalid_token")
		}
	}
}
