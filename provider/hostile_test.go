package provider

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// An operator takes a scope, a resource or a type of details from a client: a sign-in
// of last month is no way around that.
func TestRefresh_WhatIsTakenFromAClientEndsForItsFamiliesToo(t *testing.T) {
	w := newWorld(t)
	resources := []string{"https://api.example/v1", "https://tax.example/"}
	tk := w.tokens(w.redeem(tokenForm(w.code(offline("constant", w.p.Now().Add(10*day)), func(g *login.Grant) {
		g.Audience = resources
		g.Details = []protocol.Detail{{Type: "booking", Object: []byte(`{"type":"booking"}`)}}
	})), "constant"))
	w.change("constant", func(c *clients.Client) {
		c.Scopes, c.Resources = []protocol.Scope{"openid", "given_name"}, resources[:1]
	})
	again := w.tokens(w.refresh("constant", tk.Refresh))
	var a access
	_, err := loadGrant(t.Context(), w.codes, AccessGrant, again.Access, &a)
	if again.Scope != "openid given_name offline_access" || err != nil || fmt.Sprint(a.Audience) != "[https://api.example/v1]" || len(a.Details) != 0 {
		t.Errorf("scope %q, audience %v, details %v, %v", again.Scope, a.Audience, a.Details, err)
	}
	w.wantError(w.refresh("constant", tk.Refresh, "scope", "openid email"), 400, "invalid_scope")
	w.wantError(w.refresh("constant", tk.Refresh, "resource", "https://tax.example/"), 400, "invalid_target")
	w.change("constant", func(c *clients.Client) { c.Resources = nil })
	w.wantError(w.refresh("constant", tk.Refresh), 400, "invalid_target") // a token without an audience would be for more
	w.change("constant", func(*clients.Client) {})
	if whole := w.tokens(w.refresh("constant", tk.Refresh)); whole.Scope != tk.Scope {
		t.Errorf("after the operator's mistake: scope %q, want %q", whole.Scope, tk.Scope)
	}
}

// A refresh token that was worth nothing without the client's secret does not become
// worth something for whoever has found it.
func TestRefresh_AFoundTokenOfAClientThatHasBecomePublic(t *testing.T) {
	w := newWorld(t)
	tk := w.signIn("keeper")
	w.change("keeper", func(c *clients.Client) { c.AuthMethod, c.SecretSHA256 = clients.Public, nil })
	found := refreshForm(tk.Refresh)
	found.Set("client_id", "keeper")
	w.wantError(w.do(post(PathToken, found)), 400, "invalid_grant")
	got := w.do(post(PathIntrospect, url.Values{"token": {tk.Refresh}, "client_id": {"keeper"}}))
	if got.status != 401 {
		t.Errorf("introspection by a public client: %d %s", got.status, got.body)
	}
	w.change("keeper", func(*clients.Client) {})
	w.tokens(w.refresh("keeper", tk.Refresh)) // the family goes on: nobody has shown to be a thief
}

// The code of a client without a challenge, redeemed after it has become public.
func TestToken_AFoundCodeOfAClientThatHasBecomePublic_RFC9700_2_1_1(t *testing.T) {
	w := newWorld(t)
	code := w.code(func(g *login.Grant) { g.Client, g.CodeChallenge, g.RedirectURI = "relaxed", "", redirect })
	w.change("relaxed", func(c *clients.Client) { c.AuthMethod, c.SecretSHA256 = clients.Public, nil })
	form := tokenForm(code)
	form.Del("code_verifier")
	form.Set("client_id", "relaxed")
	w.wantError(w.do(post(PathToken, form)), 400, "invalid_grant")
}

// A service is deleted while a code, a pushed request, a family and an access token of
// it are out.
func TestDeletedClient_NothingOfItWorksAnyMore(t *testing.T) {
	w := newWorld(t)
	tk, code := w.signIn("keeper"), w.code(offline("keeper", w.p.Now().Add(day)), func(g *login.Grant) { g.ID = "another" })
	w.mu.Lock()
	w.set = clients.NewSet()
	w.mu.Unlock()
	w.wantError(w.refresh("keeper", tk.Refresh), 401, "invalid_client")
	w.wantError(w.redeem(tokenForm(code), "keeper"), 401, "invalid_client")
	if r := w.userinfo(tk.Access); r.status != 401 {
		t.Errorf("userinfo: %d %s", r.status, r.body)
	}
	w.advance(time.Second)
	w.change("keeper", func(*clients.Client) {}) // by an operator's mistake
	w.tokens(w.refresh("keeper", tk.Refresh))
}

// The signer dies between the use of a token and the signature. A service that comes
// again, as it was told to, is no thief; a thief is one all the same.
func TestRefresh_TheSignerDiesAfterTheTokenWasUsed(t *testing.T) {
	w := newWorld(t)
	broken := *w.keys
	broken.fail = true
	tk := w.signIn("keeper")
	w.p.Keys = &broken
	w.wantError(w.refresh("keeper", tk.Refresh), 503, "temporarily_unavailable")
	w.wantError(w.refresh("keeper", tk.Refresh), 503, "temporarily_unavailable")
	w.p.Keys = w.keys
	again := w.tokens(w.refresh("keeper", tk.Refresh))
	w.wantGone("keeper", tk.Refresh, tk.Access, again.Access)
	w.wantGone("keeper", again.Refresh)
	const want = "token.issued token.refreshed token.refreshed token.refreshed token.refreshed token.refreshed refresh.reused"
	if got := w.audit.kinds(); !strings.HasPrefix(got, want) {
		t.Errorf("on record: %s", got)
	}
	if e := w.audit.events[2]; e.Public.Outcome != "temporarily_unavailable" {
		t.Errorf("the use that came to nothing: %+v", e.Public)
	}
}

// Who guesses client ids learns from no answer which of them exist.
func TestClients_UnknownAndUnprovenAreOneAnswer_RFC6749_5_2(t *testing.T) {
	w := newWorld(t)
	w.change("keeper", func(c *clients.Client) { c.AllowedOrigins = []string{"https://keeper.example"} })
	forms := map[string]func(id string) url.Values{
		"a wrong secret": func(id string) url.Values { return url.Values{"client_id": {id}, "client_secret": {"wrong"}} },
		"the id alone":   func(id string) url.Values { return url.Values{"client_id": {id}} },
		"an assertion": func(id string) url.Values {
			return url.Values{"client_id": {id}, "client_assertion_type": {assertionType}, "client_assertion": {"a.b.c"}}
		},
	}
	for _, path := range []string{PathToken, PathPAR, PathRevoke, PathIntrospect} {
		for name, form := range forms {
			answer := func(id string) string {
				f := form(id)
				f.Set("grant_type", "refresh_token")
				f.Set("refresh_token", "none")
				r := post(path, f)
				r.Header.Set("Origin", "https://elsewhere.example")
				got := w.do(r)
				got.header.Del("X-Correlation-Id")
				return fmt.Sprint(got.status, got.body, got.header)
			}
			for _, known := range []string{"keeper", "jwt", "tax-api"} {
				if got, want := answer(known), answer("nobody"); got != want {
					t.Errorf("%s with %s: %s is known\n%s\n%s", path, name, known, got, want)
				}
			}
		}
	}
}

// A refresh for a client that is registered for both bindings proves both each time, and
// what it gets is bound to both.
func TestRefresh_BoundToAKeyAndToACertificate_RFC9449_5_RFC8705_3(t *testing.T) {
	w := newTLSWorld(t)
	old, _ := w.p.Clients().Get("tls-library")
	c := *old
	c.RefreshIdle, c.RefreshMax, c.DPoPBound, c.CertificateBound = day, 10*day, true, true
	all := append(testClients(), &c)
	w.set = clients.NewSet(all...)
	h := holders()[0]
	ask := func(form url.Values, proof bool, cert *certHolder) reply {
		form.Set("client_id", "tls-library")
		r := post(PathToken, form)
		if proof {
			r.Header.Set("DPoP", w.proof(h, "POST", PathToken, ""))
		}
		return w.send(r, cert)
	}
	tk := w.tokens(ask(tokenForm(w.code(offline("tls-library", w.p.Now().Add(day)))), true, w.library))
	w.wantError(ask(refreshForm(tk.Refresh), false, w.library), 400, "invalid_request")
	w.wantError(ask(refreshForm(tk.Refresh), true, nil), 401, "invalid_client")
	again := w.tokens(ask(refreshForm(tk.Refresh), true, w.library))
	var a access
	if _, err := loadGrant(t.Context(), w.codes, AccessGrant, again.Access, &a); err != nil || a.Confirm.JKT != h.jkt() || a.Confirm.X5T != w.library.thumbprint() {
		t.Errorf("bound to %+v, %v", a.Confirm, err)
	}
	wantError(t, w.userinfoAs(again.Access, w.library), 401, "invalid_token")
}

// A program on the person's machine is no website to go back to.
func TestNative_NoLinkLeadsToThePersonsOwnMachine(t *testing.T) {
	for uri, want := range map[string]bool{"http://127.0.0.1:631/cb": false, "com.example.app:/cb": false, "https://app.example/cb": true} {
		if got := frontPage(&clients.Client{Native: true, RedirectURIs: []string{uri}}); (got != nil) != want {
			t.Errorf("%s: %v", uri, got)
		}
	}
}
