package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/keys"
)

// addressee has a key of each kind, of which we see the public half.
type addressee struct {
	ec, signs *ecdsa.PrivateKey
	rsa       *rsa.PrivateKey
}

func newAddressee(t testing.TB) addressee {
	t.Helper()
	var a addressee
	var errs [3]error
	a.ec, errs[0] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.signs, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.rsa, errs[2] = rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a addressee) jwks(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: a.signs.Public(), KeyID: "s"}, // says nothing: for signatures
		{Key: a.ec.Public(), KeyID: "e", Use: "enc"},
		{Key: a.rsa.Public(), KeyID: "r", Algorithm: "RSA-OAEP-256"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecipient_NestedJWTForTheRightKey_RFC7519_11_2(t *testing.T) {
	a := newAddressee(t)
	set, err := keys.NewStatic(a.jwks(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		alg, kid string
		private  any
	}{{"ECDH-ES", "e", a.ec}, {"RSA-OAEP-256", "r", a.rsa}} {
		t.Run(tt.alg, func(t *testing.T) {
			to, err := set.Recipient(t.Context(), tt.alg)
			if err != nil {
				t.Fatal(err)
			}
			compact, err := to.EncryptJWT("A256GCM", "a.signed.jwt")
			if err != nil {
				t.Fatal(err)
			}
			jwe, err := jose.ParseEncryptedCompact(compact, []jose.KeyAlgorithm{jose.KeyAlgorithm(tt.alg)}, []jose.ContentEncryption{jose.A256GCM})
			if err != nil {
				t.Fatal(err)
			}
			if jwe.Header.KeyID != tt.kid || jwe.Header.ExtraHeaders[jose.HeaderContentType] != "JWT" {
				t.Errorf("header = %+v", jwe.Header)
			}
			if plain, err := jwe.Decrypt(tt.private); err != nil || string(plain) != "a.signed.jwt" {
				t.Errorf("decrypted %q, %v", plain, err)
			}
			if again, err := to.EncryptJWT("A256GCM", "a.signed.jwt"); err != nil || again == compact {
				t.Errorf("the same text twice: %v", err)
			}
			if _, err := to.EncryptJWT("A128CBC-HS256", "a.signed.jwt"); err == nil {
				t.Error("another content encryption is taken")
			}
		})
	}
	for _, alg := range []string{"", "RSA1_5", "RSA-OAEP", "dir", "ES256", "ECDH-ES+A256KW"} {
		if _, err := set.Recipient(t.Context(), alg); err == nil {
			t.Errorf("%q: a recipient", alg)
		}
	}
	for alg, want := range map[string]bool{"ES256": true, "ECDH-ES": true, "RSA-OAEP-256": true, "RS256": false, "EdDSA": false} {
		if set.Fits(alg) != want {
			t.Errorf("Fits(%s) = %t", alg, !want)
		}
	}
}

// A key for encryption verifies nothing, and one for signatures gets no secret.
func TestRecipient_UsesAreKeptApart_RFC7517_4_2(t *testing.T) {
	a := newAddressee(t)
	set, err := keys.NewStatic(a.jwks(t))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, set, rawToken(t, a.ec, `{"alg":"ES256","kid":"e"}`, canaryPayload), "ES256")
	refused(t, set, rawToken(t, a.ec, `{"alg":"ES256"}`, canaryPayload), "ES256")
	if _, err := set.Verify(t.Context(), rawToken(t, a.signs, `{"alg":"ES256"}`, canaryPayload), "ES256"); err != nil {
		t.Errorf("the signature key beside it: %v", err)
	}
	one, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: a.signs.Public(), KeyID: "s"}}})
	if err != nil {
		t.Fatal(err)
	}
	signing, err := keys.NewStatic(one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signing.Recipient(t.Context(), "ECDH-ES"); err == nil {
		t.Error("a signature key is a recipient")
	}
}

func TestRecipient_OfARemoteSet(t *testing.T) {
	a := newAddressee(t)
	doc := a.jwks(t)
	srv, fetches := serveJWKS(t, func() []byte { return doc })
	set, clock := remoteSet(t, srv.URL)
	for range 3 {
		if _, err := set.Recipient(t.Context(), "ECDH-ES"); err != nil {
			t.Fatal(err)
		}
	}
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	doc = []byte(`{"keys":[]}`)
	clock.add(11 * 60 * 1e9)
	if _, err := set.Recipient(t.Context(), "ECDH-ES"); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("without a key: %v", err)
	}
}
