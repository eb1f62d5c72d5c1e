package oidc_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
)

func TestLeave_sendsHerWhereTheMetadataSaysWithTheIDToken_RPInitiatedLogout_2(t *testing.T) {
	for name, tt := range map[string]struct {
		relay    bool
		endpoint func(h *hostile) string
		leaves   bool
	}{
		"offered":                    {true, func(h *hostile) string { return h.URL + "/logout?tenant=1" }, true},
		"offered, and switched off":  {false, func(h *hostile) string { return h.URL + "/logout?tenant=1" }, false},
		"not offered":                {true, func(*hostile) string { return "" }, false},
		"on somebody else's host":    {true, func(*hostile) string { return "http://foreign.test/logout" }, false},
		"an address that runs":       {true, func(*hostile) string { return "javascript:alert(1)" }, false},
		"an address with a password": {true, func(h *hostile) string { return strings.Replace(h.URL, "//", "//user:pw@", 1) + "/logout" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.discovery = func(d members) {
				if e := tt.endpoint(h); e != "" {
					d["end_session_endpoint"] = e
				}
			}
			c := h.config()
			c.Relay, c.ForeignHosts = tt.relay, append(c.ForeignHosts, "foreign.test")
			p := newProvider(t, c)
			login, err := h.signIn(t, p, request)
			if err != nil {
				t.Fatal(err) // nobody's sign-in depends on it
			}
			if (login.LogoutHint != "") != tt.leaves {
				t.Errorf("hint kept: %v", login.LogoutHint != "")
			}
			to, err := p.Leave(t.Context(), "the-hint", "https://broker.example/logout/return", "st")
			if err != nil || (to != "") != tt.leaves {
				t.Fatalf("Leave = %q, %v", to, err)
			}
			if !tt.leaves {
				return
			}
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			want := url.Values{
				"tenant": {"1"}, "id_token_hint": {"the-hint"}, "client_id": {"voussoir"},
				"post_logout_redirect_uri": {"https://broker.example/logout/return"}, "state": {"st"},
			}
			if u.Path != "/logout" || u.Query().Encode() != want.Encode() {
				t.Errorf("Leave = %s", to)
			}
		})
	}
}

func TestLeave_aProviderThatIsDownIsUnavailable(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	c.Relay = true
	h.Close()
	_, err := newProvider(t, c).Leave(t.Context(), "the-hint", "https://broker.example/logout/return", "st")
	wantKind(t, err, federation.Unavailable)
}
