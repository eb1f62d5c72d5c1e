package provider

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// tokenOf is an access token of any client that proves itself by Basic.
func (w *world) tokenOf(client protocol.ClientID, changes ...func(*login.Grant)) string {
	w.t.Helper()
	changes = append(changes, func(g *login.Grant) { g.Client = client })
	return w.redeem(tokenForm(w.code(changes...)), string(client)).json(w.t)["access_token"].(string)
}

func TestUserInfo_SignedAsRegistered_OIDCCore_5_3_2(t *testing.T) {
	for client, alg := range map[protocol.ClientID]jose.SignatureAlgorithm{"signed": jose.ES256, "signed-eddsa": jose.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			w := newWorld(t).serve()
			got := w.userinfo(w.tokenOf(client))
			if got.status != 200 || got.header.Get("Content-Type") != "application/jwt" || got.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("got %d %v", got.status, got.header)
			}
			payload, err := verifyOwn(w.keys, got.body, alg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := protocol.Object(payload); err != nil {
				t.Error(err)
			}
			if client == "signed" {
				golden(t, "userinfo_signed.json", indent(t, payload))
			}
			var m map[string]any
			if err := json.Unmarshal(payload, &m); err != nil {
				t.Fatal(err)
			}
			now := float64(w.p.Now().Unix())
			want := map[string]any{
				"iss": issuer, "aud": string(client), "iat": now, "exp": now + 60,
				"sub": "pairwise-sub", "given_name": canary, "email": "elodie@example.org", "email_verified": true,
			}
			if !reflect.DeepEqual(m, want) {
				t.Errorf("got %v, want %v", m, want)
			}
			if want := "token.issued userinfo.served"; w.audit.kinds() != want {
				t.Errorf("on record: %s", w.audit.kinds())
			}
		})
	}
}

// Signed userinfo has the signature, issuer, audience and subject of an ID token,
// and is neither one nor an access token (RFC 8725 section 3.12).
func TestUserInfo_SignedIsNoOtherToken_RS02(t *testing.T) {
	w := newWorld(t).serve()
	m := w.redeem(tokenForm(w.code(func(g *login.Grant) { g.Client = "signed" })), "signed").json(t)
	signed := w.userinfo(m["access_token"].(string)).body
	wantError(t, w.userinfo(signed), 401, "invalid_token")
	if _, ok := w.p.hintedSubject("signed", signed); ok {
		t.Error("it passes for an id_token_hint")
	}
	if sub, ok := w.p.hintedSubject("signed", m["id_token"].(string)); !ok || sub != "pairwise-sub" {
		t.Errorf("the ID token does not: %q", sub)
	}
}

func TestUserInfo_SignedOrNotAtAll(t *testing.T) {
	w := newWorld(t)
	access := w.tokenOf("signed")
	t.Run("errors stay JSON", func(t *testing.T) {
		got := w.userinfo(newHandle())
		wantError(t, got, 401, "invalid_token")
		if got.header.Get("Content-Type") != "application/json" {
			t.Errorf("Content-Type = %q", got.header.Get("Content-Type"))
		}
	})
	t.Run("RS-07 no key is 503 and no claim in clear", func(t *testing.T) {
		broken := *w.keys
		broken.fail = true
		w.p.Keys = &broken
		got := w.userinfo(access)
		wantUnavailable(t, got)
		if strings.Contains(got.body, "elodie") {
			t.Error("the claims are in the answer")
		}
		w.p.Keys = w.keys
	})
	t.Run("nothing is disclosed that is not on record", func(t *testing.T) {
		w.audit.fail = audit.UserInfoServed
		wantUnavailable(t, w.userinfo(access))
	})
	t.Run("a service that changes to JSON gets JSON", func(t *testing.T) {
		w.audit.fail = ""
		c, _ := w.set.Get("signed")
		plain := *c
		plain.UserInfoSigningAlg = ""
		w.set = clients.NewSet(&plain)
		if got := w.userinfo(access); got.json(t)["sub"] != "pairwise-sub" {
			t.Errorf("got %s", got.body)
		}
	})
}
