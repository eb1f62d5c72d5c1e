package journeys

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// pivotPolicy allows what FranceConnect calls the pivot identity.
func pivotPolicy(config string) string {
	claims := ""
	for _, c := range []string{"given_name", "family_name", "birthdate", "gender", "birthplace", "birthcountry"} {
		claims += "      - { name: " + c + ", required: true }\n"
	}
	return strings.Replace(config, "      - { name: given_name, required: true }\n      - { name: age_over_16, required: true }\n", claims, 1)
}

// TestInterop_FranceConnectStyleService runs a service that was written for
// FranceConnect v2 against profile: franceconnect: two lines of configuration on our
// side, the issuer on its own.
func TestInterop_FranceConnectStyleService(t *testing.T) {
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	secretLine := fmt.Sprintf("    client_secret_sha256: %q", sha256hex(serviceSecret))
	tests := []struct{ name, yaml, alg, prompt, hint, claims string }{
		{name: "as most services are", yaml: secretLine, alg: "ES256", prompt: "login consent"},
		{
			name: "registered for RS256, naming a provider, asking for what we do not know", alg: "RS256", hint: "upstream",
			yaml:   secretLine + "\n    id_token_signed_response_alg: RS256\n    userinfo_signed_response_alg: RS256\n    idp_hints: [upstream]",
			claims: `{"id_token":{"amr":{"essential":true},"rep_scope":{"essential":true}}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const secret = "a-secret-of-the-broker-at-the-provider-01234567"
			idp, port := ports(t), ports(t)
			service := fmt.Sprintf("http://127.0.0.1:%d", port)
			_, broker := serve(t, "", pivotPolicy(interopConfig(t, idp, secret, service+"/callback", "    profile: franceconnect\n"+tt.yaml)))
			env := []string{fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "CLIENT_SECRET=" + secret, "REDIRECT_URI=" + broker + "/callback/upstream"}
			launch(t, env, fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", idp), node(t), "counterparts/oidc-provider.mjs")
			launch(t, []string{
				fmt.Sprintf("PORT=%d", port), "ISSUER=" + broker, "CLIENT_ID=library", "CLIENT_SECRET=" + serviceSecret,
				"SCOPE=openid identite_pivot email rnipp_birthdate", "ALG=" + tt.alg, "PROMPT=" + tt.prompt, "IDP_HINT=" + tt.hint, "CLAIMS=" + tt.claims,
			}, service+"/ready", node(t), "counterparts/franceconnect.mjs")
			r := decode(t, passThrough(newCitizen(t), service+"/start", url.Values{"claim": {"email"}}))
			for claim, want := range map[string]any{
				"given_name": "Camille Jeanne", "email": "camille@example.org", "sub": r.Claims["sub"], "aud": "library", "iss": broker,
			} {
				if r.UserInfo[claim] != want {
					t.Errorf("userinfo: %s = %v, want %v", claim, r.UserInfo[claim], want)
				}
			}
			for _, claim := range []string{"family_name", "birthdate", "gender", "birthplace", "birthcountry", "exp", "iat"} {
				if r.UserInfo[claim] == nil {
					t.Errorf("userinfo has no %s", claim)
				}
			}
			if r.Claims["acr"] != "eidas1" || r.Claims["nonce"] == nil || r.Claims["given_name"] != nil {
				t.Errorf("ID token: %v", r.Claims)
			}
			withoutLevel(t, broker, service+"/callback")
		})
	}
}

// withoutLevel: what FranceConnect requires is required here too, and the answer
// is one that the service can read.
func withoutLevel(t *testing.T, broker, callback string) {
	t.Helper()
	q := url.Values{
		"response_type": {"code"}, "client_id": {"library"}, "redirect_uri": {callback}, "scope": {"openid"},
		"state": {random()}, "nonce": {random()},
	}
	back := func(u *url.URL) bool { return strings.HasPrefix(u.String(), callback) }
	p := newCitizen(t).visit(http.MethodGet, broker+"/authorize?"+q.Encode(), nil, "", back)
	if got := p.URL.Query(); !back(p.URL) || got.Get("error") != "invalid_request" || got.Get("state") != q.Get("state") {
		t.Errorf("without acr_values: %d at %s, %q", p.Status, p.URL.Path, got.Get("error"))
	}
}
