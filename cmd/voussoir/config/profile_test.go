package config

import (
	"bytes"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/deploy"
)

// rulesOf is what of a client a profile decides.
type rulesOf struct {
	Method                                   clients.AuthMethod
	PKCE, Nonce, State, ACRValues, PAR, DPoP bool
	IssuerOnly, KeepRefresh                  bool
	IDToken, UserInfo                        string
}

func rulesFor(c *clients.Client) rulesOf {
	return rulesOf{
		c.AuthMethod, c.RequirePKCE, c.RequireNonce, c.RequireState, c.RequireACRValues, c.RequirePAR, c.DPoPBound,
		c.AssertionForIssuerOnly, c.KeepRefreshToken, c.IDTokenSigningAlg, c.UserInfoSigningAlg,
	}
}

// library loads the example with the client city-library written anew.
func library(t *testing.T, lines ...string) (*clients.Client, Problems) {
	t.Helper()
	text := deploy.Example
	from, to := bytes.Index(text, []byte("    # Where a person may go after")), bytes.Index(text, []byte("  - id: tax-appeals"))
	if from < 0 || to < from {
		t.Fatal("the example has no city-library")
	}
	own := "    sector: library.example\n    policy: library\n    " + strings.Join(lines, "\n    ") + "\n"
	got, err := Parse("/etc/voussoir/example.yaml", append(append(bytes.Clone(text[:from]), own...), text[to:]...), environment)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := got.Clients.Get("city-library")
	return c, got.Warnings
}

func TestProfile_StandsForItsRules(t *testing.T) {
	const secret = `client_secret_sha256: "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"`
	const jwks = "jwks_uri: https://library.example/jwks"
	tests := []struct {
		name  string
		lines []string
		want  rulesOf
	}{
		{"none is standard", []string{secret}, rulesOf{clients.SecretBasic, true, true, true, false, false, false, false, false, "ES256", ""}},
		{"standard", []string{"profile: standard", secret}, rulesOf{clients.SecretBasic, true, true, true, false, false, false, false, false, "ES256", ""}},
		{"franceconnect, with a secret and nothing else", []string{"profile: franceconnect", secret}, rulesOf{clients.SecretPost, false, true, true, true, false, false, false, false, "ES256", "ES256"}},
		{"franceconnect with what such a service may have registered", []string{"profile: franceconnect", "token_endpoint_auth_method: private_key_jwt", jwks, "id_token_signed_response_alg: RS256", "userinfo_signed_response_alg: RS256"},
			rulesOf{clients.PrivateKeyJWT, false, true, true, true, false, false, false, false, "RS256", "RS256"}},
		{"franceconnect, for one that has learnt PKCE", []string{"profile: franceconnect", secret, "require_pkce: true"}, rulesOf{clients.SecretPost, true, true, true, true, false, false, false, false, "ES256", "ES256"}},
		{"fapi2, with keys and nothing else", []string{"profile: fapi2", jwks}, rulesOf{clients.PrivateKeyJWT, true, false, false, false, true, true, true, true, "ES256", ""}},
		{"fapi2, stricter", []string{"profile: fapi2", jwks, "require_nonce: true", "require_state: true", "require_par: true", "id_token_signed_response_alg: PS256"},
			rulesOf{clients.PrivateKeyJWT, true, true, true, false, true, true, true, true, "PS256", ""}},
		{"fapi2 with an exception that it implies", []string{"profile: fapi2", jwks, "require_nonce: false"}, rulesOf{clients.PrivateKeyJWT, true, false, false, false, true, true, true, true, "ES256", ""}},
		{"a public client", []string{"token_endpoint_auth_method: none"}, rulesOf{clients.Public, true, true, true, false, false, false, false, false, "ES256", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, warnings := library(t, tt.lines...)
			if got := rulesFor(c); got != tt.want || len(warnings) > 0 {
				t.Errorf("rules = %+v\nwant    %+v\n%v", got, tt.want, warnings)
			}
		})
	}
}

func TestLoad_NativeAndOrigins(t *testing.T) {
	c, warnings := library(t, "application_type: native", "token_endpoint_auth_method: none", "allowed_origins: [https://app.library.example, https://library.example:8443]")
	if !c.Native || len(c.AllowedOrigins) != 2 || len(warnings) > 0 {
		t.Errorf("client = %+v, %v", c, warnings)
	}
	_, warnings = library(t, `client_secret_sha256: "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"`, "allowed_origins: [https://app.library.example]")
	if len(warnings) != 1 || !strings.Contains(warnings[0].What, "everyone can read its secret") {
		t.Errorf("a secret in a browser: %v", warnings)
	}
}
