package oidc_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

const honestHeader = `{"alg":"ES256","kid":"k1","typ":"JWT"}`

// invalid is one sign-in that must fail because its ID token does not verify, and
// before userinfo is asked.
func invalid(t *testing.T, change func(h *hostile)) {
	t.Helper()
	h := newHostile(t)
	change(h)
	_, err := h.attempt(t)
	wantKind(t, err, federation.Invalid)
	if h.count("/userinfo") != 0 {
		t.Error("userinfo was asked although the ID token does not hold")
	}
}

// withClaim changes claims before they are signed.
func withClaim(name string, value any) func(h *hostile) {
	return func(h *hostile) { h.idToken = func(c members) { c[name] = value } }
}

func withoutClaim(name string) func(h *hostile) {
	return func(h *hostile) { h.idToken = func(c members) { delete(c, name) } }
}

// withToken replaces the ID token.
func withToken(make func(h *hostile, claims string) string) func(h *hostile) {
	return func(h *hostile) { h.sign = func(c members) string { return make(h, marshal(c)) } }
}

func TestUT_02_SymmetricTokensAreRefused(t *testing.T) {
	hs := func(secret func(h *hostile) []byte) func(h *hostile) {
		return withToken(func(h *hostile, claims string) string {
			enc := base64.RawURLEncoding
			input := enc.EncodeToString([]byte(`{"alg":"HS256","kid":"k1"}`)) + "." + enc.EncodeToString([]byte(claims))
			mac := hmac.New(sha256.New, secret(h))
			mac.Write([]byte(input))
			return input + "." + enc.EncodeToString(mac.Sum(nil))
		})
	}
	t.Run("client secret", func(t *testing.T) { invalid(t, hs(func(*hostile) []byte { return []byte("s3cr&t ü") })) })
	t.Run("public key", func(t *testing.T) {
		invalid(t, hs(func(h *hostile) []byte {
			der, err := x509.MarshalPKIXPublicKey(h.key.Public())
			if err != nil {
				t.Fatal(err)
			}
			return der
		}))
	})
	t.Run("none", func(t *testing.T) {
		invalid(t, withToken(func(_ *hostile, claims string) string {
			enc := base64.RawURLEncoding
			return enc.EncodeToString([]byte(`{"alg":"none"}`)) + "." + enc.EncodeToString([]byte(claims)) + "."
		}))
	})
}

func TestUT_03_AnAlgorithmThatIsNotPinnedIsRefused(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	invalid(t, func(h *hostile) {
		h.jwks = func(w http.ResponseWriter) bool {
			writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}}})
			return true
		}
		h.sign = func(c members) string {
			s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
			if err != nil {
				panic(err)
			}
			j, err := s.Sign([]byte(marshal(c)))
			if err != nil {
				panic(err)
			}
			out, _ := j.CompactSerialize()
			return out
		}
	})
}

func TestUT_04_IssuerMustMatchExactly(t *testing.T) {
	for name, change := range map[string]func(string) any{
		"another":            func(string) any { return "https://other.test" },
		"trailing slash":     func(s string) any { return s + "/" },
		"no trailing letter": func(s string) any { return s[:len(s)-1] },
		"upper case":         func(s string) any { return strings.ToUpper(s) },
		"prefix":             func(s string) any { return s + ".evil.test" },
		"space":              func(s string) any { return " " + s },
		"empty":              func(string) any { return "" },
		"a list":             func(s string) any { return []string{s} },
		"null":               func(string) any { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			invalid(t, func(h *hostile) { h.idToken = func(c members) { c["iss"] = change(h.URL) } })
		})
	}
	t.Run("missing", func(t *testing.T) { invalid(t, withoutClaim("iss")) })
}

func TestUT_05_TheAudienceIsUsAlone(t *testing.T) {
	for name, value := range map[string]any{
		"another": "other", "a list of another": []string{"other"}, "a stranger beside us": []string{"voussoir", "other"}, "empty": "", "empty list": []string{},
		"null": nil, "a list with null": []any{"voussoir", nil}, "a number": 1, "an object": members{"aud": "voussoir"}, "another case": "Voussoir",
		"longer": "voussoir2", "nested": []any{[]string{"voussoir"}},
	} {
		t.Run(name, func(t *testing.T) { invalid(t, withClaim("aud", value)) })
	}
	t.Run("missing", func(t *testing.T) { invalid(t, withoutClaim("aud")) })
	t.Run("a stranger, but azp names us", func(t *testing.T) {
		invalid(t, func(h *hostile) {
			h.idToken = func(c members) { c["aud"], c["azp"] = []string{"voussoir", "other"}, "voussoir" }
		})
	})
	for name, value := range map[string]any{"another": "other", "null": nil, "a list": []string{"voussoir"}, "empty": ""} {
		t.Run("azp: "+name, func(t *testing.T) { invalid(t, withClaim("azp", value)) })
	}
	for name, change := range map[string]func(members){
		"a list of us alone": func(c members) { c["aud"] = []string{"voussoir"} },
		"azp is us":          func(c members) { c["azp"] = "voussoir" },
	} {
		t.Run("accepted: "+name, func(t *testing.T) {
			h := newHostile(t)
			h.idToken = change
			if _, err := h.attempt(t); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUT_06_TimesMustBeOfNow(t *testing.T) {
	at := func(d time.Duration) any { return now.Add(d).Unix() }
	raw := func(s string) any { return json.RawMessage(s) }
	for _, tt := range []struct {
		name  string
		claim string
		value any
		ok    bool
	}{
		{"exp past", "exp", at(-10 * time.Second), false},
		{"exp past within the skew", "exp", at(-9 * time.Second), true},
		{"exp in ten years", "exp", at(10 * 365 * 24 * time.Hour), false},
		{"exp in a day", "exp", at(24 * time.Hour), true},
		{"exp in a day and a minute", "exp", at(24*time.Hour + time.Minute), false},
		{"nbf in the future", "nbf", at(11 * time.Second), false},
		{"nbf within the skew", "nbf", at(10 * time.Second), true},
		{"nbf as text", "nbf", fmt.Sprint(at(0)), false},
		{"iat in the future", "iat", at(11 * time.Second), false},
		{"iat within the skew", "iat", at(10 * time.Second), true},
		{"iat ten minutes ago", "iat", at(-10 * time.Minute), true},
		{"iat longer ago", "iat", at(-10*time.Minute - time.Second), false},
		{"exp as text", "exp", fmt.Sprint(at(time.Minute)), false},
		{"exp with a fraction", "exp", raw(fmt.Sprint(at(time.Minute)) + ".0"), false},
		{"exp with an exponent", "exp", raw("1.8e9"), false},
		{"exp 1e309", "exp", raw("1e309"), false},
		{"exp of 30 digits", "exp", raw(strings.Repeat("9", 30)), false},
		{"exp negative", "exp", raw("-1"), false},
		{"exp null", "exp", nil, false},
		{"exp true", "exp", true, false},
		{"exp a list", "exp", []any{at(time.Minute)}, false},
		{"iat as text", "iat", fmt.Sprint(at(0)), false},
		{"iat null", "iat", nil, false},
		{"iat 0", "iat", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.ok {
				invalid(t, withClaim(tt.claim, tt.value))
				return
			}
			h := newHostile(t)
			withClaim(tt.claim, tt.value)(h)
			if _, err := h.attempt(t); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("exp missing", func(t *testing.T) { invalid(t, withoutClaim("exp")) })
	t.Run("iat missing", func(t *testing.T) { invalid(t, withoutClaim("iat")) })
}

func TestNonceMustBeTheOneWeSent_OIDCCore_3_1_3_7(t *testing.T) {
	for name, value := range map[string]any{"another": strings.Repeat("n", 43), "empty": "", "null": nil, "a list": []string{}} {
		t.Run(name, func(t *testing.T) { invalid(t, withClaim("nonce", value)) })
	}
	t.Run("missing", func(t *testing.T) { invalid(t, withoutClaim("nonce")) })
	t.Run("of an earlier sign-in", func(t *testing.T) {
		h := newHostile(t)
		p := newProvider(t, h.config())
		var first any
		h.idToken = func(c members) { first = c["nonce"] }
		if _, err := h.signIn(t, p, request); err != nil {
			t.Fatal(err)
		}
		h.idToken = func(c members) { c["nonce"] = first }
		_, err := h.signIn(t, p, request)
		wantKind(t, err, federation.Invalid)
	})
}

func TestMX_06_AKeyOfAnotherProviderProvesNothingHere(t *testing.T) {
	invalid(t, withToken(func(h *hostile, claims string) string { return signed(h.stranger, honestHeader, claims) }))
}

func TestUT_08_AFloodOfUnknownKeyIdsCostsFewFetches(t *testing.T) {
	h := newHostile(t)
	p := newProvider(t, h.config())
	n := 0
	h.sign = func(c members) string {
		n++
		return signed(h.key, fmt.Sprintf(`{"alg":"ES256","kid":"../../%d' OR 1=1"}`, n), marshal(c))
	}
	for range 50 {
		_, err := h.signIn(t, p, request)
		wantKind(t, err, federation.Invalid)
	}
	if got := h.count("/jwks"); got != 4 {
		t.Errorf("%d fetches of keys, want the first one and 3", got)
	}
}

func TestUT_10_11_12_14_TokensOfStrangeForm(t *testing.T) {
	header := func(header string) func(h *hostile) {
		return withToken(func(h *hostile, claims string) string { return signed(h.key, header, claims) })
	}
	payload := func(change func(claims string) string) func(h *hostile) {
		return withToken(func(h *hostile, claims string) string { return signed(h.key, honestHeader, change(claims)) })
	}
	for name, change := range map[string]func(h *hostile){
		"UT-10 crit":            header(`{"alg":"ES256","kid":"k1","crit":["x"],"x":1}`),
		"UT-10 b64":             header(`{"alg":"ES256","kid":"k1","b64":false}`),
		"UT-11 sub twice":       payload(func(c string) string { return `{"sub":"other",` + c[1:] }),
		"UT-11 Sub for sub":     payload(func(c string) string { return strings.Replace(c, `"sub"`, `"Sub"`, 1) }),
		"UT-11 byte order mark": payload(func(c string) string { return "\ufeff" + c }),
		"UT-11 trailing bytes":  payload(func(c string) string { return c + "x" }),
		"UT-11 trailing object": payload(func(c string) string { return c + "{}" }),
		"UT-11 deep nesting": payload(func(c string) string {
			return `{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "," + c[1:]
		}),
		"UT-11 a list":           payload(func(c string) string { return "[" + c + "]" }),
		"UT-11 empty":            payload(func(string) string { return "" }),
		"UT-12 tampered payload": withToken(func(h *hostile, claims string) string { return swapped(signed(h.key, honestHeader, claims), claims) }),
		"UT-14 JWE":              withToken(func(*hostile, string) string { return "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0.AA.AA.AA.AA" }),
		"UT-14 a flood of dots":  withToken(func(*hostile, string) string { return strings.Repeat(".", 60_000) }),
		"RFC 8725 access token":  header(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`),
		"RFC 8725 logout token":  header(`{"alg":"ES256","kid":"k1","typ":"application/logout+jwt"}`),
		"RFC 8725 typ is a list": header(`{"alg":"ES256","kid":"k1","typ":["JWT"]}`),
		"UT-17 at_hash wrong":    withClaim("at_hash", half("access-2")),
		"UT-17 at_hash is null":  withClaim("at_hash", nil),
		"UT-17 at_hash is cut":   withClaim("at_hash", half("access-1")[:10]),
		"UT-17 c_hash wrong":     withClaim("c_hash", half("code-2")),
		"sub missing":            withoutClaim("sub"),
		"sub empty":              withClaim("sub", ""),
		"sub of 256 bytes":       withClaim("sub", strings.Repeat("s", 256)),
		"sub a number":           withClaim("sub", 1),
		"sub with a line break":  withClaim("sub", "a\nb"),
		"sub not ASCII":          withClaim("sub", "é"),
	} {
		t.Run(name, func(t *testing.T) { invalid(t, change) })
	}
}

// swapped puts another payload under an honest signature.
func swapped(token, claims string) string {
	parts := strings.Split(token, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(claims, "subject-1", "subject-2", 1)))
	return strings.Join(parts, ".")
}

func TestUT_17_HashesThatAreRightAreAccepted(t *testing.T) {
	for name, change := range map[string]func(members){
		"both":     func(c members) { c["c_hash"] = half("code-1") },
		"no hash":  func(c members) { delete(c, "at_hash") },
		"at alone": func(members) {},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.idToken = change
			if _, err := h.attempt(t); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEveryAlgorithmSignsIn(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sum256 := func(s string) string { return half(s) }
	sum512 := func(s string) string {
		d := sha512.Sum512([]byte(s))
		return base64.RawURLEncoding.EncodeToString(d[:32])
	}
	_, ed, err := ed25519Key()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		alg  jose.SignatureAlgorithm
		key  any
		pub  any
		hash func(string) string
	}{
		{jose.RS256, rsaKey, rsaKey.Public(), sum256}, {jose.PS256, rsaKey, rsaKey.Public(), sum256}, {jose.EdDSA, ed, ed.Public(), sum512},
	} {
		t.Run(string(tt.alg), func(t *testing.T) {
			h := newHostile(t)
			h.jwks = func(w http.ResponseWriter) bool {
				writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: tt.pub, KeyID: "k2"}, {Key: h.key.Public(), KeyID: "k1"}}})
				return true
			}
			s, err := jose.NewSigner(jose.SigningKey{Algorithm: tt.alg, Key: tt.key}, (&jose.SignerOptions{}).WithHeader("kid", "k2"))
			if err != nil {
				t.Fatal(err)
			}
			h.sign = func(c members) string {
				c["at_hash"] = tt.hash("access-1")
				j, err := s.Sign([]byte(marshal(c)))
				if err != nil {
					panic(err)
				}
				out, _ := j.CompactSerialize()
				return out
			}
			c := h.config()
			c.IDTokenSigningAlg = string(tt.alg)
			if _, err := h.signIn(t, newProvider(t, c), request); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUT_08_KeysThatCannotBeHadAreAnOutageAndNoVerdict(t *testing.T) {
	h := newHostile(t)
	h.jwks = func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true }
	_, err := h.attempt(t)
	wantKind(t, err, federation.Unavailable)
}

func TestKeysAreKeptWhenMetadataIsFetchedAgain(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	clock := now
	c.Now = func() time.Time { return clock }
	p := newProvider(t, c)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.jwks = func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true }
	h.idToken = func(c members) { c["iat"], c["exp"] = clock.Unix(), clock.Add(time.Minute).Unix() }
	clock = clock.Add(2 * time.Hour)
	if _, err := h.signIn(t, p, request); err != nil {
		t.Errorf("the last good keys were lost: %v", err)
	}
	if n := h.count("/.well-known/openid-configuration"); n != 2 {
		t.Errorf("%d fetches of metadata, want 2", n)
	}
}

func TestKeyRotationAtTheProviderIsFollowed(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	clock := now
	c.Now = func() time.Time { return clock }
	c.ACR.Map = map[string]protocol.ACR{"urn:x:low": protocol.EIDAS1}
	p := newProvider(t, c)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	both := func(ks ...*ecdsa.PrivateKey) func(w http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool {
			var set jose.JSONWebKeySet
			for i, k := range ks {
				set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: fmt.Sprintf("k%d", i+1)})
			}
			writeJSON(w, set)
			return true
		}
	}
	h.jwks = both(h.key, h.stranger)
	h.sign = func(c members) string {
		c["iat"], c["exp"] = clock.Unix(), clock.Add(time.Minute).Unix()
		return signed(h.stranger, `{"alg":"ES256","kid":"k2"}`, marshal(c))
	}
	clock = clock.Add(61 * time.Second)
	if _, err := h.signIn(t, p, request); err != nil {
		t.Error(err)
	}
}
