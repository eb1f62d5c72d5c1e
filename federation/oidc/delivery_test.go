package oidc_test

import (
	"slices"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/protocol"
)

func names(cs []protocol.Claim) []string {
	out := make([]string, 0, len(cs))
	for _, c := range cs {
		out = append(out, string(c))
	}
	slices.Sort(out)
	return out
}

func TestDelivered_WhatIsPromisedAndWhatIsSent(t *testing.T) {
	civil := []string{"acr", "birthcountry", "birthdate", "birthplace", "family_name", "gender", "given_name"}
	with := func(more ...string) []string {
		return slices.Sorted(slices.Values(append(slices.Clone(civil), more...)))
	}
	for _, tt := range []struct {
		name     string
		hostile  func(h *hostile)
		config   func(c *oidc.Config)
		promised []string
		missing  []string // of what an honest one sends
	}{
		{"a civil identity is a promise of six facts", nil, func(c *oidc.Config) { c.Scopes = []string{"openid"} }, civil, nil},
		{"so is a scope that we ask for", nil, func(c *oidc.Config) { c.Scopes = []string{"openid", "email"} }, with("email", "email_verified"), nil},
		{"what claims_supported leaves out is not promised", func(h *hostile) {
			h.discovery = func(d members) { d["claims_supported"] = []string{"email"} }
		}, func(c *oidc.Config) { c.Scopes = []string{"openid", "email", "profile"} }, with("email"), nil},
		{"a claim that the configuration names", func(h *hostile) { h.person["nick"] = "M" },
			func(c *oidc.Config) {
				c.Scopes = []string{"openid"}
				c.Claims = map[string]string{"nick": "preferred_username"}
			}, with("preferred_username"), nil},
		{"null is not sent", func(h *hostile) { h.person["email"] = nil }, func(c *oidc.Config) { c.Scopes = []string{"openid", "email"} },
			with("email", "email_verified"), []string{"email"}},
		{"with a level by default no acr is promised", func(h *hostile) { h.idToken = func(c members) { delete(c, "acr") } },
			func(c *oidc.Config) { c.Scopes = []string{"openid"}; c.ACR.Default = protocol.EIDAS1 }, civil[1:], []string{"acr"}},
		{"it is told even when the sign-in is refused for it", func(h *hostile) { delete(h.person, "birthdate") },
			func(c *oidc.Config) { c.Scopes = []string{"openid"} }, civil, []string{"birthdate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHostile(t)
			if tt.hostile != nil {
				tt.hostile(h)
			}
			var heard []federation.Delivery
			c := h.config()
			c.Claims, c.Delivered = nil, func(d federation.Delivery) { heard = append(heard, d) }
			tt.config(&c)
			_, _ = h.signIn(t, newProvider(t, c), request)
			if len(heard) != 1 {
				t.Fatalf("told %d times, want once", len(heard))
			}
			sent := slices.DeleteFunc(with("email", "email_verified", "preferred_username"), func(c string) bool { return slices.Contains(tt.missing, c) })
			if got := names(heard[0].Promised); !slices.Equal(got, tt.promised) {
				t.Errorf("promised %q, want %q", got, tt.promised)
			}
			if got := names(heard[0].Sent); !slices.Equal(got, sent) {
				t.Errorf("sent %q, want %q", got, sent)
			}
		})
	}
}

func TestDelivered_NothingOfAnAnswerThatDoesNotVerify(t *testing.T) {
	h := newHostile(t)
	h.idToken = func(c members) { c["aud"] = "somebody else" }
	c := h.config()
	c.Delivered = func(federation.Delivery) { t.Error("a forged answer is counted as the provider's") }
	if _, err := h.signIn(t, newProvider(t, c), request); err == nil {
		t.Error("it was believed")
	}
}
