package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// decrypting is a ring that providers can encrypt to.
func decrypting(t testing.TB) (*Ring, *clock) {
	t.Helper()
	cfg, clock := shelf(t)
	cfg.ProviderAlgs, cfg.DecryptionAlgs = []string{"ES256"}, []string{ecdhES, rsaOAEP256}
	return open(t, cfg), clock
}

// recipientOf is what a provider knows of us.
func recipientOf(t testing.TB, r *Ring, alg string) Recipient {
	t.Helper()
	body, _ := r.ForProviders().JWKS()
	set, err := NewStatic(body)
	if err != nil {
		t.Fatal(err)
	}
	to, err := set.Recipient(t.Context(), alg)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func seal(t testing.TB, to Recipient, plain string) string {
	t.Helper()
	jwe, err := to.EncryptJWT(a256GCM, plain)
	if err != nil {
		t.Fatal(err)
	}
	return jwe
}

func TestDecrypt_WhatIsEncryptedToThePublishedKey_RFC7516(t *testing.T) {
	r, _ := decrypting(t)
	for _, alg := range []string{ecdhES, rsaOAEP256} {
		plain, err := r.ForProviders().Decrypt(t.Context(), alg, seal(t, recipientOf(t, r, alg), "a.b.c"))
		if err != nil || string(plain) != "a.b.c" {
			t.Errorf("%s: %q, %v", alg, plain, err)
		}
	}
	if own, _ := r.JWKS(); bytes.Contains(own, []byte(`"enc"`)) {
		t.Error("services are shown an encryption key")
	}
	body, _ := r.ForProviders().JWKS()
	if n := bytes.Count(body, []byte(`"use":"enc"`)); n != 2 {
		t.Errorf("%d encryption keys are published, want the active one of each algorithm", n)
	}
}

func TestDecrypt_AKeyWithoutIdIsFound(t *testing.T) {
	r, _ := decrypting(t)
	to := recipientOf(t, r, ecdhES)
	to.kid = ""
	if plain, err := r.ForProviders().Decrypt(t.Context(), ecdhES, seal(t, to, "x")); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestDecrypt_WhatIsOnItsWaySurvivesARotationAndThenTheKeyIsGone(t *testing.T) {
	r, clock := decrypting(t)
	old := recipientOf(t, r, ecdhES)
	jwe := seal(t, old, "x")
	if err := r.Rotate(t.Context(), ForDecryption, ecdhES); err != nil {
		t.Fatal(err)
	}
	if now := recipientOf(t, r, ecdhES); now.kid == old.kid {
		t.Error("the retired key is still published")
	}
	clock.move(DecryptsFor - time.Second)
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ForProviders().Decrypt(t.Context(), ecdhES, jwe); err != nil {
		t.Errorf("within %v: %v", DecryptsFor, err)
	}
	clock.move(time.Second)
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ForProviders().Decrypt(t.Context(), ecdhES, jwe); !errors.Is(err, errUnreadable) {
		t.Errorf("after %v: %v", DecryptsFor, err)
	}
	plain, err := r.vault.read()
	if err != nil {
		t.Fatal(err)
	}
	// Two of each slot: services, providers, and two for decryption.
	if n := bytes.Count(plain, []byte(`"private"`)); n != 8 {
		t.Errorf("the file has %d private keys, want 8", n)
	}
}

func TestDecrypt_ARevokedKeyOpensNothing(t *testing.T) {
	r, _ := decrypting(t)
	to := recipientOf(t, r, ecdhES)
	jwe := seal(t, to, "x")
	if err := r.Revoke(t.Context(), to.kid); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ForProviders().Decrypt(t.Context(), ecdhES, jwe); !errors.Is(err, errUnreadable) {
		t.Errorf("err = %v", err)
	}
}

func TestUT_14_EncryptedTokensThatDemandWorkAreRefusedBeforeAny(t *testing.T) {
	r, _ := decrypting(t)
	to := recipientOf(t, r, ecdhES)
	honest := seal(t, to, "x")
	header := func(h string) string {
		_, rest, _ := strings.Cut(honest, ".")
		return base64.RawURLEncoding.EncodeToString([]byte(h)) + "." + rest
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := seal(t, Recipient{kid: to.kid, alg: ecdhES, key: &foreign.PublicKey}, "x")
	for name, jwe := range map[string]string{
		"symmetric key wrap":        header(`{"alg":"A256KW","enc":"A256GCM"}`),
		"dir":                       header(`{"alg":"dir","enc":"A256GCM"}`),
		"a password":                header(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2s":"AAAAAAAAAAA","p2c":1000000000}`),
		"a password beside the alg": header(`{"alg":"ECDH-ES","enc":"A256GCM","p2c":1000000000}`),
		"RSA1_5":                    header(`{"alg":"RSA1_5","enc":"A256GCM"}`),
		"RSA-OAEP with SHA-1":       header(`{"alg":"RSA-OAEP","enc":"A256GCM"}`),
		"the other algorithm":       seal(t, recipientOf(t, r, rsaOAEP256), "x"),
		"another enc":               header(`{"alg":"ECDH-ES","enc":"A128CBC-HS256"}`),
		"zip":                       header(`{"alg":"ECDH-ES","enc":"A256GCM","zip":"DEF"}`),
		"crit":                      header(`{"alg":"ECDH-ES","enc":"A256GCM","crit":["x"],"x":1}`),
		"alg twice":                 header(`{"alg":"dir","alg":"ECDH-ES","enc":"A256GCM"}`),
		"epk off its curve":         header(`{"alg":"ECDH-ES","enc":"A256GCM","epk":{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}}`),
		"epk on another curve":      other,
		"no epk":                    header(`{"alg":"ECDH-ES","enc":"A256GCM"}`),
		"an unknown kid":            header(`{"alg":"ECDH-ES","enc":"A256GCM","kid":"../../keys"}`),
		"a kid of 10 KB":            header(`{"alg":"ECDH-ES","enc":"A256GCM","kid":"` + strings.Repeat("k", 10_000) + `"}`),
		"a million dots":            strings.Repeat(".", 1_000_000),
		"dots within the limit":     strings.Repeat(".", 60_000),
		"empty parts":               "....",
		"a signed token":            "a.b.c",
		"65 KiB":                    honest + strings.Repeat("A", 65<<10),
		"another last byte":         honest[:len(honest)-2] + flipped(honest[len(honest)-2:]),
	} {
		t.Run(name, func(t *testing.T) {
			if plain, err := r.ForProviders().Decrypt(t.Context(), ecdhES, jwe); err == nil {
				t.Errorf("opened: %q", plain)
			} else if strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), "../") {
				t.Errorf("error quotes the token: %v", err)
			}
		})
	}
	if _, err := r.ForProviders().Decrypt(t.Context(), "dir", honest); err == nil {
		t.Error("an algorithm that we do not decrypt with was accepted from the caller")
	}
}

func flipped(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func TestDecryption_AKeyNeverHasTwoUses_RFC7517_4_2(t *testing.T) {
	r, _ := decrypting(t)
	for _, k := range r.Keys() {
		if (k.Use == ForDecryption) != encrypts(k.Alg) {
			t.Errorf("key for %q has the use %q", k.Alg, k.Use)
		}
	}
	c := r.held.Load().contents
	c.Signing = append([]signingKey(nil), c.Signing...)
	for i := range c.Signing {
		if c.Signing[i].Use == ForDecryption {
			c.Signing[i].Use = ForProviders
		}
	}
	if _, err := fileRing().newHolding(c, time.Time{}); err == nil {
		t.Error("a decryption key is taken for one that signs")
	}
}

func TestEphemeral_CarriesItsKey_RFC9449_4_2(t *testing.T) {
	e, err := NewEphemeral()
	if err != nil {
		t.Fatal(err)
	}
	jws, err := e.Sign("dpop+jwt", []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	payload, thumb, err := VerifyEmbedded(jws, "ES256")
	if typ, _ := Typ(jws); err != nil || string(payload) != `{"a":1}` || len(thumb) != 43 || typ != "dpop+jwt" {
		t.Errorf("payload %q, thumbprint %q, typ %q, %v", payload, thumb, typ, err)
	}
}

func FuzzDecrypt(f *testing.F) {
	r, _ := decrypting(f)
	f.Add(seal(f, recipientOf(f, r, ecdhES), "x"))
	f.Add("....")
	f.Add("eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0.AA.AA.AA.AA")
	f.Fuzz(func(t *testing.T, compact string) {
		if plain, err := r.ForProviders().Decrypt(t.Context(), ecdhES, compact); err == nil && string(plain) != "x" {
			t.Errorf("opened %q", plain)
		}
	})
}
