package keys_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/keys"
)

func TestVerifyEmbedded_WhatAnotherLibrarySigns_RFC9449_4_2(t *testing.T) {
	o := newRemoteOwner()
	for _, tt := range []struct {
		alg jose.SignatureAlgorithm
		key crypto.Signer
	}{{jose.ES256, o.ec}, {jose.EdDSA, o.ed}, {jose.PS256, o.rsa}} {
		t.Run(string(tt.alg), func(t *testing.T) {
			public := jose.JSONWebKey{Key: tt.key.Public()}
			c := signWith(t, tt.alg, tt.key, map[jose.HeaderKey]any{"jwk": public, "kid": "ignored"}, canaryPayload)
			sum, err := public.Thumbprint(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			payload, thumb, err := keys.VerifyEmbedded(c, "ES256", "EdDSA", "PS256")
			if err != nil || string(payload) != canaryPayload || thumb != base64.RawURLEncoding.EncodeToString(sum) {
				t.Fatalf("VerifyEmbedded = %q, %q, %v", payload, thumb, err)
			}
			if _, _, err := keys.VerifyEmbedded(c, "RS256"); err == nil {
				t.Error("an algorithm that is not accepted is accepted")
			}
			for i := range len(c) { // one character changed anywhere
				b := []byte(c)
				if b[i] ^= 1; b[i] == c[i] {
					continue
				}
				if payload, _, err := keys.VerifyEmbedded(string(b), "ES256", "EdDSA", "PS256"); err == nil {
					t.Fatalf("changed at %d: %q", i, payload)
				}
			}
		})
	}
}

func TestVerifyEmbedded_RefusesOtherKeysAndHeaders_RFC9449_4_3(t *testing.T) {
	o := newRemoteOwner()
	jwk := func(k any) string {
		b, err := json.Marshal(jose.JSONWebKey{Key: k})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	good := jwk(o.ec.Public())
	for name, header := range map[string]string{
		"no key":                  `{"alg":"ES256"}`,
		"no alg":                  `{"jwk":` + good + `}`,
		"alg none":                `{"alg":"none","jwk":` + good + `}`,
		"the private key":         `{"alg":"ES256","jwk":` + jwk(o.ec) + `}`,
		"a key for encryption":    `{"alg":"ES256","jwk":` + strings.Replace(good, `{`, `{"use":"enc",`, 1) + `}`,
		"a key that is a secret":  `{"alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}`,
		"a key of another type":   `{"alg":"ES256","jwk":` + jwk(o.ed.Public()) + `}`,
		"another curve":           `{"alg":"ES256","jwk":` + jwk(o.ec384.Public()) + `}`,
		"another one's key":       `{"alg":"ES256","jwk":` + jwk(newRemoteOwner().rsa.Public()) + `}`,
		"a list":                  `{"alg":"ES256","jwk":[` + good + `]}`,
		"a key twice":             `{"alg":"ES256","jwk":` + good + `,"jwk":` + good + `}`,
		"a demand":                `{"alg":"ES256","crit":["x"],"jwk":` + good + `}`,
		"a payload that is plain": `{"alg":"ES256","b64":false,"jwk":` + good + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			payload, thumb, err := keys.VerifyEmbedded(rawToken(t, o.ec, header, canaryPayload), "ES256", "EdDSA", "PS256")
			if err == nil || payload != nil || thumb != "" {
				t.Fatalf("VerifyEmbedded = %q, %q, %v", payload, thumb, err)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error tells what is in it: %v", err)
			}
		})
	}
}
