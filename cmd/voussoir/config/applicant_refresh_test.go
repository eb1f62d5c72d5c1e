package config

import (
	"strings"
	"testing"
	"time"
)

func TestAdmit_RefreshTokensWhereTheTokenAndTheServiceSaySo(t *testing.T) {
	const both = `{"grant_types":["authorization_code","refresh_token"],"scope":"openid offline_access"}`
	for _, tt := range []struct {
		name, token, members string
		grants, scope        string
		max                  time.Duration
		keep                 bool
	}{
		{"both say so", "      refresh_tokens: { max: P2D, idle: P1D }\n", both, `["authorization_code","refresh_token"]`, `"openid offline_access"`, 48 * time.Hour, false},
		{"no rotation, with a reason", "      refresh_tokens: { max: P2D, rotation: false, reason: FAPI }\n", both, `["authorization_code","refresh_token"]`, `"openid offline_access"`, 48 * time.Hour, true},
		{"a public client, which has no such exception", "      refresh_tokens: { max: P2D, rotation: false, reason: FAPI }\n      public_clients: true\n", strings.Replace(both, "{", `{"token_endpoint_auth_method":"none",`, 1), `["authorization_code","refresh_token"]`, `"openid offline_access"`, 48 * time.Hour, false},
		{"the token does not", "", both, `["authorization_code"]`, `"openid"`, 0, false},
		{"the service does not", "      refresh_tokens: { max: P2D }\n", `{"grant_types":["authorization_code"],"scope":"openid offline_access"}`, `["authorization_code"]`, `"openid"`, 0, false},
	} {
		c, m, err := withTokens(t, tt.token).Admit(applicant(t, tt.members))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if string(m["grant_types"]) != tt.grants || string(m["scope"]) != tt.scope || c.RefreshMax != tt.max || c.KeepRefreshToken != tt.keep || c.MayRefresh() != (tt.max > 0) {
			t.Errorf("%s: %s, %s, %s, keeps its token: %v", tt.name, m["grant_types"], m["scope"], c.RefreshMax, c.KeepRefreshToken)
		}
	}
}
