package provider

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/login"
)

func TestAccessToken_AsJWT_RFC9068_2(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1) // jti is random
	w := newWorld(t)
	access := w.tokenOf("jwt-tokens")
	jws, err := jose.ParseSignedCompact(access, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != "at+jwt" {
		t.Fatalf("typ = %v, %v", jws.Signatures[0].Protected.ExtraHeaders, err)
	}
	payload, err := verifyOwn(w.keys, access, jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "access_token_jwt.json", indent(t, payload))
	if strings.Contains(string(payload), canary) || strings.Contains(string(payload), testPerson) {
		t.Error("it holds more of the person than her subject")
	}
}

func TestAccessToken_AsJWTOpensWhatAnOpaqueOneDoes(t *testing.T) {
	w := newWorld(t).serve()
	access := w.tokenOf("jwt-tokens")
	if got := w.userinfo(access); got.status != 200 || got.json(t)["sub"] != "pairwise-sub" {
		t.Errorf("userinfo: %d %s", got.status, got.body)
	}
	if m := w.introspect("jwt-tokens", access).json(t); m["active"] != true || m["client_id"] != "jwt-tokens" {
		t.Errorf("introspection: %v", m)
	}
	if m := w.introspect("tax-api", access).json(t); m["sub"] != w.subjectAt("tax.example") {
		t.Errorf("introspection by a data provider: %v", m)
	}
	wantEmpty200(t, w.revoke("other", access))
	wantEmpty200(t, w.revoke("jwt-tokens", access))
	wantError(t, w.userinfo(access), 401, "invalid_token")
	wantInactive(t, w.introspect("jwt-tokens", access))
	again := w.tokenOf("jwt-tokens", func(g *login.Grant) { g.ID = "ffeeddccbbaa99887766554433221100" })
	w.advance(time.Minute)
	wantError(t, w.userinfo(again), 401, "invalid_token")
}

// What is signed by us and not stored is nothing, and so is any other spelling of
// what is stored.
func TestRS_02_AJWTThatWasNotIssuedAsAccessToken(t *testing.T) {
	w := newWorld(t).serve()
	access := w.tokenOf("jwt-tokens")
	payload := claimsOf(t, access)
	resigned, err := w.keys.Sign(t.Context(), "ES256", "at+jwt", payload)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Jti string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(access, ".")
	for name, token := range map[string]string{
		"the same claims signed again": resigned, "its jti": claims.Jti, "without a signature": parts[0] + "." + parts[1] + ".",
		"padded": access + "=", "with a line end": access + "\n", "four parts": access + ".x", "too long": access + strings.Repeat("A", maxAccessJWT),
	} {
		t.Run(name, func(t *testing.T) {
			wantInactive(t, w.introspect("jwt-tokens", token))
			if got := w.userinfo(strings.TrimSpace(token)); name != "with a line end" && got.status != 401 {
				t.Errorf("userinfo: %d", got.status)
			}
		})
	}
	if _, ok := w.p.hintedSubject("jwt-tokens", access); ok {
		t.Error("it passes for an id_token_hint")
	}
	if !slices.ContainsFunc([]string{access}, isToken) || isToken("a.b") || isToken("a..b+") {
		t.Error("isToken")
	}
}

func TestAccessToken_AsJWTWithoutAKeyIs503(t *testing.T) {
	w := newWorld(t)
	code := w.code(func(g *login.Grant) { g.Client = "jwt-tokens" })
	broken := *w.keys
	broken.fail = true
	w.p.Keys = &broken
	wantUnavailable(t, w.redeem(tokenForm(code), "jwt-tokens"))
}
