package journeys

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
)

// heard is what the counterpart says that it got.
type heard struct {
	Claims  map[string]any    `json:"claims"`
	Told    []map[string]any  `json:"told"`
	Refused []string          `json:"refused"`
	Left    map[string]string `json:"left"`
	Error   string            `json:"error"`
}

func hear(t *testing.T, p *page) (h heard) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.Body), &h); err != nil {
		t.Fatalf("%s (status %d) is no JSON: %s", p.URL.Path, p.Status, tail(p.Body, 2000))
	}
	return h
}

// TestInterop_LogoutByOpenIDClientAndOIDCProvider: a person logs out of a service on
// openid-client. The broker ends its session, sends her by her provider (npm's
// oidc-provider, which asks) and back to the service, and tells the service by a
// logout token that jose verifies.
func TestInterop_LogoutByOpenIDClientAndOIDCProvider(t *testing.T) {
	need(t, "node_modules/openid-client/package.json", "openid-client")
	port := ports(t)
	service := fmt.Sprintf("http://127.0.0.1:%d", port)
	broker := upstream(t, service+"/callback", secretAuth("client_secret_basic")+
		fmt.Sprintf("\n    post_logout_redirect_uris: [%q]\n    backchannel_logout_uri: %q", service+"/left", service+"/told"))
	env := []string{fmt.Sprintf("PORT=%d", port), "ISSUER=" + broker, "CLIENT_ID=library", "CLIENT_SECRET=" + serviceSecret}
	launch(t, env, service+"/ready", node(t), "counterparts/logout.mjs")

	c := newCitizen(t)
	in := hear(t, passThrough(c, service+"/start", nil))
	if sid, _ := in.Claims["sid"].(string); sid == "" {
		t.Fatalf("no sid in the ID token: %v %s", in.Claims, in.Error)
	}
	asks := c.get(service + "/leave")
	if !strings.Contains(asks.Body, "op.logoutForm") {
		t.Fatalf("not at the provider's page but on %s (status %d):\n%s", asks.URL, asks.Status, tail(asks.Body, 2000))
	}
	silent := hear(t, c.get(service+"/start?prompt=none")) // our session is over before the provider's
	if silent.Error != "login_required" {
		t.Errorf("prompt=none while she is at the provider: %+v", silent)
	}
	left := hear(t, c.submit(asks, url.Values{"logout": {"yes"}}))
	if left.Left["state"] != "st~ate" || len(left.Left) != 1 {
		t.Errorf("back at the service with %v", left.Left)
	}
	var after heard
	eventually(t, "a logout token", func() bool {
		after = hear(t, newCitizen(t).get(service+"/heard"))
		return len(after.Told)+len(after.Refused) > 0
	})
	if len(after.Refused) > 0 || len(after.Told) != 1 || after.Told[0]["sid"] != in.Claims["sid"] || after.Told[0]["sub"] != in.Claims["sub"] {
		t.Errorf("told %v, refused %v; the ID token said %v", after.Told, after.Refused, in.Claims)
	}
}

// TestCrash_ALogoutIsDeliveredAfterARestart_BackChannelSection2_5 kills the broker
// between the end of a session and the news of it. The service hears of it after the
// restart, at least once and always by the same jti; and whoever was told that she is
// logged out is.
func TestCrash_ALogoutIsDeliveredAfterARestart_BackChannelSection2_5(t *testing.T) {
	whole(t)
	binary(t, "failpoints")
	for _, place := range []string{"logout.after-queue", "logout.after-end", "notices.before-call", "notices.after-call"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t, 1)
			told := make(chan string, 100)
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.PostFormValue("logout_token") }))
			t.Cleanup(receiver.Close)
			text, err := os.ReadFile(w.config)
			if err != nil {
				t.Fatal(err)
			}
			with := strings.Replace(string(text), "    policy: library\n", "    policy: library\n    backchannel_logout_uri: "+receiver.URL+"/out\n", 1)
			if err := os.WriteFile(w.config, []byte(with), 0o600); err != nil {
				t.Fatal(err)
			}
			p := w.start(place)
			c := newCitizen(t)
			if o := w.visit(c, "person-0"); o.tokens != 1 {
				t.Fatal("she cannot sign in")
			}
			asks := c.get(w.broker + "/logout")
			out := attempt(func() *page { return c.press(asks, "logout-confirm", nil) })
			eventually(t, "the death at "+place, p.ended)
			p.stop()
			p = w.start("")
			defer p.stop()
			first := payload(t, <-told)
			if first["sid"] == "" || first["aud"] != "library" {
				t.Errorf("told %v", first)
			}
			if place == "notices.after-call" {
				if again := payload(t, <-told); again["jti"] != first["jti"] {
					t.Errorf("the same news by another jti: %v, %v", first["jti"], again["jti"])
				}
			}
			// The queue is at work before the session is ended; until then nothing has told
			// her that it is.
			if alive := c.get(w.broker+"/logout").byID("logout-confirm") != nil; alive && (out != nil || place == "logout.after-end") {
				t.Error("the session is alive")
			}
		})
	}
}
