package journeys

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestInterop_BackChannelLogoutFromOIDCProvider: a person logs out at her provider
// (npm's oidc-provider), away from the broker and from every service. The provider
// tells the broker by a logout token; the broker ends its session and tells the service.
func TestInterop_BackChannelLogoutFromOIDCProvider(t *testing.T) {
	need(t, "node_modules/openid-client/package.json", "openid-client")
	port := ports(t)
	service := fmt.Sprintf("http://127.0.0.1:%d", port)
	broker := upstream(t, service+"/callback", secretAuth("client_secret_basic")+
		fmt.Sprintf("\n    post_logout_redirect_uris: [%q]\n    backchannel_logout_uri: %q", service+"/left", service+"/told"))
	env := []string{fmt.Sprintf("PORT=%d", port), "ISSUER=" + broker, "CLIENT_ID=library", "CLIENT_SECRET=" + serviceSecret}
	launch(t, env, service+"/ready", node(t), "counterparts/logout.mjs")

	c := newCitizen(t)
	in := hear(t, passThrough(c, service+"/start", nil))
	if hear(t, c.get(service+"/start?prompt=none")).Error != "" {
		t.Fatal("she has no session here")
	}
	forged := url.Values{"logout_token": {"eyJhbGciOiJub25lIn0.e30."}}
	resp, err := http.PostForm(broker+"/callback/upstream/logout", forged)
	if err != nil || resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("a forged token: %v, %v", resp, err)
	}
	_ = resp.Body.Close()

	provider := newCitizen(t).get(service + "/start").URL // where strangers are sent
	asks := c.get(provider.Scheme + "://" + provider.Host + "/session/end")
	if !strings.Contains(asks.Body, "op.logoutForm") {
		t.Fatalf("not at the provider's page but on %s (status %d):\n%s", asks.URL, asks.Status, tail(asks.Body, 2000))
	}
	c.submit(asks, url.Values{"logout": {"yes"}})
	var after heard
	eventually(t, "the news at the service", func() bool {
		after = hear(t, newCitizen(t).get(service+"/heard"))
		return len(after.Told)+len(after.Refused) > 0
	})
	if len(after.Refused) > 0 || len(after.Told) != 1 || after.Told[0]["sid"] != in.Claims["sid"] || after.Told[0]["sub"] != in.Claims["sub"] {
		t.Errorf("told %v, refused %v; the ID token said %v", after.Told, after.Refused, in.Claims)
	}
	if silent := hear(t, c.get(service+"/start?prompt=none")); silent.Error != "login_required" {
		t.Errorf("prompt=none afterwards: %+v", silent)
	}
}
