package keys

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestSign_EveryAlgorithmVerifies_RFC7515_7_1(t *testing.T) {
	cfg, _ := shelf(t, "ES256", "EdDSA", "PS256", "RS256")
	r := open(t, cfg)
	payload := []byte(`{"sub":"é"}`)
	for _, alg := range cfg.Algs {
		jws, err := r.Sign(t.Context(), alg, "JWT", payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := verify(t, r, alg, jws); !bytes.Equal(got, payload) {
			t.Errorf("%s: payload %s", alg, got)
		}
		header, _ := base64.RawURLEncoding.DecodeString(jws[:strings.Index(jws, ".")])
		if want := `{"alg":"` + alg + `","kid":"` + kid(t, r, alg, Active) + `","typ":"JWT"}`; string(header) != want {
			t.Errorf("header %s, want %s", header, want)
		}
	}

	set, _ := published(t, r)
	for _, k := range set.Keys {
		sum, err := k.Thumbprint(crypto.SHA256)
		if err != nil || k.KeyID != base64.RawURLEncoding.EncodeToString(sum) {
			t.Errorf("key id %s is not the RFC 7638 thumbprint: %v", k.KeyID, err)
		}
	}
}

func TestSign_Refuses(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	for _, alg := range []string{"", "none", "HS256", "es256", "RS256"} {
		if jws, err := r.Sign(t.Context(), alg, "JWT", nil); !errors.Is(err, ErrNoKey) || jws != "" {
			t.Errorf("alg %q: %q, %v", alg, jws, err)
		}
	}
	for _, typ := range []string{"", `a"b`, `a\b`, "a b", "é", strings.Repeat("a", 65)} {
		if jws, err := r.Sign(t.Context(), "ES256", typ, nil); err == nil || jws != "" {
			t.Errorf("typ %q: %q, %v", typ, jws, err)
		}
	}
}

// The shape of what services fetch: no private member, use and alg on each key.
func TestJWKS_Members_RFC7517(t *testing.T) {
	cfg, _ := shelf(t, "ES256", "EdDSA", "RS256")
	body, etag := open(t, cfg).JWKS()
	if len(etag) != 24 || etag[0] != '"' || etag[23] != '"' {
		t.Errorf("ETag %s", etag)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ES256": "alg crv kid kty use x y", "EdDSA": "alg crv kid kty use x", "RS256": "alg e kid kty n use"}
	for _, k := range set.Keys {
		var members []string
		for _, m := range []string{"alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"} {
			if _, ok := k[m]; ok {
				members = append(members, m)
			}
		}
		if got := strings.Join(members, " "); got != want[k["alg"].(string)] || len(members) != len(k) {
			t.Errorf("key %v has the members %s and %d in all", k["alg"], got, len(k))
		}
	}
}

func BenchmarkSign(b *testing.B) {
	cfg, _ := shelf(b, "ES256", "EdDSA")
	r := open(b, cfg)
	payload := []byte(`{"iss":"https://broker.example","aud":"city-library","sub":"bQn8eT9joLo5PspiXwX28XU-N6W9nI9bqIUGSqOElf8",` +
		`"exp":1772373660,"iat":1772373600,"auth_time":1772373590,"nonce":"n-0S6_WzA2Mj","acr":"eidas1","at_hash":"77QmUPtjPfzWtF2AnpK9RQ"}`)
	for _, alg := range cfg.Algs {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Sign(b.Context(), alg, "JWT", payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDeriveAndSeal(b *testing.B) {
	r := fixedRing(b)
	msg, aad := make([]byte, 64), make([]byte, 32)
	wrapped, _ := r.NewWrappedKey()
	sealed, _ := r.Seal("flow", aad, make([]byte, 1024))
	for name, call := range map[string]func() error{
		"Derive":        func() error { _, err := r.Derive(b.Context(), "person", msg); return err },
		"Seal 1 KiB":    func() error { _, err := r.Seal("flow", aad, make([]byte, 1024)); return err },
		"Open 1 KiB":    func() error { _, err := r.Open("flow", aad, sealed); return err },
		"NewWrappedKey": func() error { _, err := r.NewWrappedKey(); return err },
		"SealUnder":     func() error { _, err := r.SealUnder(wrapped, aad, msg); return err },
		"JWKS":          func() error { r.JWKS(); return nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
