package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/login"
)

// private is what the client "sealed" and the data provider "sealed-api" decrypt with.
var private = sync.OnceValue(func() (keys struct {
	ec  *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
}) {
	var err error
	keys.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	keys.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return keys
})

func encryptionJWKS() json.RawMessage {
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: clientKey().Public(), KeyID: "c1", Algorithm: "ES256", Use: "sig"},
		{Key: private().ec.Public(), KeyID: "e1", Use: "enc"},
		{Key: private().rsa.Public(), KeyID: "r1", Use: "enc"},
	}})
	must(err)
	return b
}

// open decrypts a nested JWT and returns the signed one inside.
func open(t testing.TB, compact, alg, kid string, key any) string {
	t.Helper()
	jwe, err := jose.ParseEncryptedCompact(compact, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	if jwe.Header.KeyID != kid || jwe.Header.ExtraHeaders[jose.HeaderContentType] != "JWT" {
		t.Errorf("header = %+v", jwe.Header)
	}
	plain, err := jwe.Decrypt(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

type unreachableKeys struct{ KeySet }

func (unreachableKeys) Recipient(context.Context, string) (keys.Recipient, error) {
	return keys.Recipient{}, keys.ErrUnavailable
}

func ofSealed(g *login.Grant) { g.Client = "sealed" }

func TestEncryption_NestedAndSigned_OIDCCore_10_2(t *testing.T) {
	w := newWorld(t).serve()
	m := w.redeem(tokenForm(w.code(ofSealed)), "sealed").json(t)
	id := open(t, m["id_token"].(string), "ECDH-ES", "e1", private().ec)
	payload, err := verifyOwn(w.keys, id, jose.ES256)
	if err != nil || !strings.Contains(string(payload), `"aud":"sealed"`) || !strings.Contains(string(payload), `"at_hash"`) {
		t.Errorf("id token: %s, %v", payload, err)
	}
	got := w.userinfo(m["access_token"].(string))
	if got.status != 200 || got.header.Get("Content-Type") != "application/jwt" {
		t.Fatalf("got %d %v", got.status, got.header)
	}
	payload, err = verifyOwn(w.keys, open(t, got.body, "RSA-OAEP-256", "r1", private().rsa), jose.ES256)
	if err != nil || !strings.Contains(string(payload), canary) {
		t.Errorf("userinfo: %s, %v", payload, err)
	}
	t.Run("introspection, always for one who is registered for it (RFC 9701 section 5)", func(t *testing.T) {
		for _, accept := range []string{"application/token-introspection+jwt", "application/json", ""} {
			got := w.introspect("sealed-api", m["access_token"].(string), accept)
			if got.header.Get("Content-Type") != "application/token-introspection+jwt" {
				t.Fatalf("got %v %s", got.header, got.body)
			}
			payload, err := verifyOwn(w.keys, open(t, got.body, "ECDH-ES", "e1", private().ec), jose.ES256)
			if err != nil || !strings.Contains(string(payload), `"active":true`) || !strings.Contains(string(payload), `"aud":"sealed-api"`) {
				t.Errorf("introspection: %s, %v", payload, err)
			}
		}
	})
}

// Nothing is sent in clear to one who asked for encryption, and no code is used up
// for a token that cannot be delivered.
func TestEncryption_WithoutAKeyNothingLeaves_RS07(t *testing.T) {
	w := newWorld(t)
	code := w.code(ofSealed)
	access := w.tokenOf("sealed")
	good := w.p.ClientKeys
	for name, broken := range map[string]func(*clients.Client) (KeySet, error){
		"no set":                   func(*clients.Client) (KeySet, error) { return nil, errors.New("no keys are known") },
		"no key for encryption":    func(c *clients.Client) (KeySet, error) { only := *c; only.JWKS = clientJWKS(); return good(&only) },
		"the set can't be fetched": func(*clients.Client) (KeySet, error) { return unreachableKeys{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			w.p.ClientKeys = broken
			for _, got := range []reply{w.redeem(tokenForm(code), "sealed"), w.userinfo(access), w.introspect("sealed-api", access)} {
				wantUnavailable(t, got)
				if strings.Contains(got.body, "eyJ") || strings.Contains(got.body, canary) {
					t.Errorf("got %s", got.body)
				}
			}
		})
	}
	w.p.ClientKeys = good
	if got := w.redeem(tokenForm(code), "sealed"); got.status != 200 {
		t.Errorf("the code is gone: %d %s", got.status, got.body)
	}
}
