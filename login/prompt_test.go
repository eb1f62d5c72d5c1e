package login

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// prompt=none never shows a page: the service gets a code or the reason why not
// (OpenID Connect Core section 3.1.2.6).
func TestPromptNone(t *testing.T) {
	age := time.Minute
	tests := []struct {
		name   string
		before func(w *world) *browser
		req    func() protocol.AuthRequest
		want   string
		rule   string
	}{
		{"nobody is signed in", (*world).browser, request, "error=login_required", rulePromptNone},
		{"she is, and her answer stands", func(w *world) *browser { return signedIn(w, "post") }, request, "code=code-2", "standing"},
		{"she is, and has not been asked", func(w *world) *browser {
			b := w.browser()
			b.identify(request(), "post", "alice")
			return b
		}, request, "error=consent_required", rulePromptNone},
		{"she is, and has not been informed", func(w *world) *browser { return signedIn(w, "post") }, cityhall, "error=interaction_required", rulePromptNone},
		{"she is, and the policy has changed since", func(w *world) *browser {
			b := signedIn(w, "post")
			p := library()
			p.Version++
			w.reload(policies.NewTable(p), nil)
			return b
		}, request, "error=consent_required", rulePromptNone},
		{"she is, but not strongly enough", func(w *world) *browser { return signedIn(w, "post") }, func() protocol.AuthRequest {
			r := request()
			r.MinACR = protocol.EIDAS2
			return r
		}, "error=login_required", rulePromptNone},
		{"she is, but too long ago", func(w *world) *browser {
			b := signedIn(w, "post")
			w.pass(2 * time.Minute)
			return b
		}, func() protocol.AuthRequest {
			r := request()
			r.MaxAge = &age
			return r
		}, "error=login_required", rulePromptNone},
		{"she is, but the service means someone else", func(w *world) *browser { return signedIn(w, "post") }, func() protocol.AuthRequest {
			r := request()
			r.SubHint = "someone"
			return r
		}, "error=login_required", rulePromptNone},
		{"she is, at a provider that lacks a claim", func(w *world) *browser {
			b := w.browser()
			b.identify(request(), "post", "bob")
			p := library()
			p.Claims[2].Required = true
			w.reload(policies.NewTable(p), nil)
			return b
		}, request, "error=interaction_required", rulePromptNone},
		{"no provider may be used any more", func(w *world) *browser {
			b := signedIn(w, "post")
			return b
		}, request, "error=unmet_authentication_requirements", policies.RuleACR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := tt.before(w)
			req := tt.req()
			req.Prompt.None = true
			to := b.mustStart(req)
			want(t, "first redirect", to, b.choice())
			if tt.rule == policies.RuleACR {
				p := library()
				p.AllowProviders = []protocol.ProviderID{"gone"}
				w.reload(policies.NewTable(p), nil)
			}
			r := b.get(to)
			want(t, "answer", r.To, req.RedirectURI+"?"+tt.want+"&state="+req.State)
			want(t, "again", b.get(to).To, r.To)
			trail := w.stores.trail(t)
			if tt.rule == rulePromptNone {
				want(t, "last entry", trail[len(trail)-1], "login.denied "+tt.want[len("error="):]+" prompt-none")
			}
		})
	}
}

func TestPrompt_whatTheProviderIsAskedFor(t *testing.T) {
	zero := time.Duration(0)
	tests := []struct {
		name          string
		ask           func(*protocol.AuthRequest)
		force, choose bool
		maxAge        bool
		acr           protocol.ACR
	}{
		{"nothing", func(*protocol.AuthRequest) {}, false, false, false, protocol.EIDAS1},
		{"prompt=login", func(r *protocol.AuthRequest) { r.Prompt.Login = true }, true, false, false, protocol.EIDAS1},
		{"prompt=select_account", func(r *protocol.AuthRequest) { r.Prompt.SelectAccount = true }, false, true, false, protocol.EIDAS1},
		{"max_age", func(r *protocol.AuthRequest) { r.MaxAge = &zero }, false, false, true, protocol.EIDAS1},
		{"a level", func(r *protocol.AuthRequest) { r.MinACR = protocol.EIDAS2 }, false, false, false, protocol.EIDAS2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			req := request()
			req.LoginHint, req.UILocales = "hint", []string{"en"}
			tt.ask(&req)
			b := w.browser()
			b.mustStart(req)
			if len(w.tax.asked) == 0 { // not sent there directly
				b.pick("tax")
			}
			got := w.tax.asked[0]
			want(t, "asked", []any{got.ForceLogin, got.SelectAccount, got.MaxAge != nil, got.MinACR, got.LoginHint, got.UILocales},
				[]any{tt.force, tt.choose, tt.maxAge, tt.acr, "hint", []string{"en"}})
		})
	}
}

// A provider with a session of its own would else give the same person again:
// "use another account" would lead back to where it came from, and so would the
// notice about a broken identity.
func TestPick_theSameProviderAgainMustLetHerChooseAnotherAccount(t *testing.T) {
	tests := []struct {
		name string
		turn func(b *browser) // how she comes to choose again
		then string
		want bool
	}{
		{"after use another account", func(b *browser) { b.identify(request(), "tax", "alice"); b.post(b.choice(), nil) }, "tax", true},
		{"back from the consent page", func(b *browser) { b.identify(request(), "tax", "alice") }, "tax", true},
		{"after an answer that does not hold", func(b *browser) { b.mustStart(request()); b.signIn("tax", b.pick("tax"), "mallory") }, "tax", true},
		{"not at another provider", func(b *browser) { b.identify(request(), "post", "alice"); b.post(b.choice(), nil) }, "tax", false},
		{"not if she never answered there", func(b *browser) { b.mustStart(request()); b.pick("tax") }, "tax", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			tt.turn(b)
			b.pick(tt.then)
			want(t, "asked to choose an account", w.tax.asked[len(w.tax.asked)-1].SelectAccount, tt.want)
		})
	}
}

func TestPromptConsent_asksAlways(t *testing.T) {
	w := newWorld(t)
	b := signedIn(w, "post")
	req := request()
	req.Prompt.Consent = true
	b.mustStart(req)
	want(t, "asked", b.get(b.choice()).To, b.choice()+"/consent")
	b.agree()
	want(t, "rule", w.stores.record()[1].Rule, "prompt-consent")
	b.mustStart(request())
	b.get(b.choice())
	codes := w.issuer.codes()
	want(t, "the newer answer stands", len(codes[2].Released.Names()), 2)
}

func TestSubHint_anotherPersonThanTheServiceNamedIsRefused_OIDCCore_3_1_2_2(t *testing.T) {
	w := newWorld(t)
	signedIn(w, "post")
	req := request()
	req.SubHint = string(w.issuer.codes()[0].Released.Sub())
	want(t, "herself", w.browser().identify(req, "tax", "alice").code(), "code-2")
	r := w.browser().identify(req, "tax", "bob")
	want(t, "another", r.To, "https://library.test/callback?error=login_required&state=library-state")
	trail := w.stores.trail(t)
	want(t, "last entry", trail[len(trail)-1], "login.denied login_required other-person")
}
