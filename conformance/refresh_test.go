package conformance

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// offline is a request for a refresh token. The suite adds prompt=consent, as
// OpenID Connect Core section 11 wants.
func (s *suite) offline(c *client) *request {
	return s.request(c).with("scope", "openid offline_access").with("prompt", "consent")
}

// refresh asks for new tokens.
func (c *client) refresh(t *testing.T, token string) reply {
	t.Helper()
	return c.send(t, http.MethodPost, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// refreshed checks what came of a refresh (OpenID Connect Core section 12.2) and
// returns it as a session: the same person and the same sign-in, for the same client.
func (s *suite) refreshed(t *testing.T, r *request, before session, tokens reply) session {
	t.Helper()
	after := session{tokens: tokens, access: tokens.str("access_token")}
	if tokens.status != http.StatusOK || after.access == "" || after.access == before.access || tokens.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("refresh: %d %v", tokens.status, tokens.body)
	}
	again := *r
	again.Values = maps.Clone(r.Values)
	after.id = s.idToken(t, again.without("nonce"), after)
	if after.sub() != before.sub() || after.authTime() != before.authTime() || after.id["acr"] != before.id["acr"] {
		t.Errorf("the ID token has %v, before it was %v", after.id, before.id)
	}
	iat, _ := after.id["iat"].(float64)
	if old, _ := before.id["iat"].(float64); iat <= old {
		t.Errorf("iat is %v, before it was %v", iat, old)
	}
	if info := s.claims(t, r.client, after); info["sub"] != before.sub() {
		t.Errorf("userinfo is of %v", info["sub"])
	}
	return after
}

// A refresh token is bound to its client (RFC 6749 section 6).
func refreshToken(t *testing.T, s *suite) {
	r := s.offline(s.first)
	before := s.signIn(t, s.browser(t), r)
	token := before.tokens.str("refresh_token")
	if token == "" {
		t.Fatalf("no refresh token: %v", before.tokens.body)
	}
	s.pass(t, 2*time.Second)
	after := s.refreshed(t, r, before, s.first.refresh(t, token))
	if next := after.tokens.str("refresh_token"); next != "" {
		token = next
	}
	s.pass(t, 2*time.Second)
	after = s.refreshed(t, r, after, s.first.refresh(t, token))
	if next := after.tokens.str("refresh_token"); next != "" {
		token = next
	}
	s.second.refresh(t, token).says(t, http.StatusBadRequest, "invalid_grant")
}

// FAPI 2.0 section 5.3.2.1: the token is not replaced, what it buys is bound as
// before, and whoever does not prove both the client and a key gets nothing, and
// costs the client nothing.
func fapiRefreshToken(t *testing.T, s *suite) {
	r := s.offline(s.first)
	before := s.signIn(t, s.browser(t), r)
	token := before.tokens.str("refresh_token")
	if token == "" {
		t.Fatalf("no refresh token: %v", before.tokens.body)
	}
	s.pass(t, 2*time.Second)
	s.first.unproved(t, s.first.unbound(t).refresh(t, token))
	silent := *s.first
	silent.mute = true
	silent.refresh(t, token).says(t, http.StatusUnauthorized, "invalid_client")
	after := s.refreshed(t, r, before, s.first.refresh(t, token))
	if next := after.tokens.str("refresh_token"); next != "" && next != token {
		t.Error("the refresh token was replaced")
	}
	if got := s.first.unbound(t).userinfo(t, http.MethodGet, after.scheme(), after.access); got.status != http.StatusUnauthorized {
		t.Errorf("the new access token without a proof: %d", got.status)
	}
	s.pass(t, 2*time.Second)
	s.refreshed(t, r, after, s.first.refresh(t, token))
	s.second.refresh(t, token).says(t, http.StatusBadRequest, "invalid_grant")
}
