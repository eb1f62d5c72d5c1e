package provider

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestDPoP_Nonces_RFC9449_8(t *testing.T) {
	h := holders()[0]
	nonce := func(value any) spoil { return spoil{claims: map[string]any{"nonce": value}} }
	redeem := func(w *world, change spoil) reply {
		return w.redeemBy(w.proof(h, "POST", PathToken, "", change), tokenForm(w.code()), "library")
	}
	t.Run("a client learns the nonce and comes again", func(t *testing.T) {
		w := newProofWorld(t)
		code := w.code()
		for _, wrong := range []any{nil, "guessed", strings.Repeat("A", 22)} {
			got := w.redeemBy(w.proof(h, "POST", PathToken, "", nonce(wrong)), tokenForm(code), "library")
			wantError(t, got, 400, "use_dpop_nonce")
			given := got.header["Dpop-Nonce"]
			if len(given) != 1 || len(given[0]) != 22 || !isBase64URL(given[0]) {
				t.Fatalf("DPoP-Nonce: %v", given)
			}
		}
		given := redeem(w, nonce(nil)).header.Get("DPoP-Nonce")
		if got := w.redeemBy(w.proof(h, "POST", PathToken, "", nonce(given)), tokenForm(code), "library"); got.status != 200 || got.header.Get("DPoP-Nonce") != "" {
			t.Errorf("got %d %v %s", got.status, got.header, got.body)
		}
	})
	t.Run("it holds for this window and the next, and a fresh one comes along", func(t *testing.T) {
		w := newProofWorld(t)
		given := redeem(w, nonce(nil)).header.Get("DPoP-Nonce")
		w.advance(nonceWindow)
		got := redeem(w, nonce(given))
		fresh := got.header.Get("DPoP-Nonce")
		if got.status != 200 || fresh == "" || fresh == given {
			t.Fatalf("got %d %v", got.status, got.header)
		}
		w.advance(nonceWindow)
		wantError(t, redeem(w, nonce(given)), 400, "use_dpop_nonce")
		if got := redeem(w, nonce(fresh)); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
	t.Run("every replica and a restarted broker accept it, another issuer does not", func(t *testing.T) {
		one, two := newProofWorld(t), newProofWorld(t)
		if got := redeem(two, nonce(redeem(one, nonce(nil)).header.Get("DPoP-Nonce"))); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
		here, err := one.p.nonceAt(t.Context(), one.p.Now())
		if err != nil {
			t.Fatal(err)
		}
		foreign := &Provider{Config: one.p.Config}
		foreign.Issuer = "https://other.example"
		if there, err := foreign.nonceAt(t.Context(), one.p.Now()); err != nil || there == here {
			t.Errorf("%q, %v", there, err)
		}
	})
	t.Run("the challenge comes before anything is used up, a client assertion too", func(t *testing.T) {
		w := newProofWorld(t)
		form := assertionForm(w, assert(t, w, nil, jose.ES256, clientKey()))
		wantError(t, w.do(with(post(PathToken, form), w.proof(h, "POST", PathToken, "", nonce(nil)))), 400, "use_dpop_nonce")
		if len(w.store.once) != 0 {
			t.Errorf("used up: %v", w.store.once)
		}
		if got := w.do(with(post(PathToken, form), w.proof(h, "POST", PathToken, ""))); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
	t.Run("at /par too", func(t *testing.T) {
		w := newProofWorld(t)
		r := post(PathPAR, request())
		basic(r, "library", secret)
		got := w.do(with(r, w.proof(h, "POST", PathPAR, "", nonce(nil))))
		wantError(t, got, 400, "use_dpop_nonce")
		if got.header.Get("DPoP-Nonce") == "" {
			t.Error("no nonce")
		}
	})
	t.Run("at userinfo none is needed, and one that is there must hold", func(t *testing.T) {
		w := newProofWorld(t)
		access := w.boundToken(h)
		read := func(value any) reply { return w.readBy(access, w.proof(h, "GET", PathUserInfo, access, nonce(value))) }
		got := read("guessed")
		wantError(t, got, 401, "use_dpop_nonce")
		given := got.header.Get("DPoP-Nonce")
		if !strings.HasPrefix(got.challenges(), `DPoP realm="userinfo", error="use_dpop_nonce"`) || given == "" {
			t.Errorf("got %v", got.header)
		}
		for _, value := range []any{given, nil} {
			if got := read(value); got.status != 200 {
				t.Errorf("got %d %s", got.status, got.body)
			}
		}
	})
	t.Run("without the key nobody can tell", func(t *testing.T) {
		w := newProofWorld(t)
		p := w.proof(h, "POST", PathToken, "")
		w.p.Deriver = noDeriver{}
		wantUnavailable(t, w.redeemBy(p, tokenForm(w.code()), "library"))
	})
}

type noDeriver struct{}

func (noDeriver) Derive(context.Context, string, []byte) ([32]byte, error) {
	return [32]byte{}, errors.New("no such key")
}
