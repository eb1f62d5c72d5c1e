package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/keys"
)

// remoteOwner is the other side: it signs with go-jose, so that another hand
// than ours writes the tokens that we must accept.
type remoteOwner struct {
	ec, ec2 *ecdsa.PrivateKey
	ec384   *ecdsa.PrivateKey
	ec521   *ecdsa.PrivateKey
	ed      ed25519.PrivateKey
	rsa     *rsa.PrivateKey
}

var newRemoteOwner = sync.OnceValue(func() *remoteOwner {
	must := func(k *ecdsa.PrivateKey, err error) *ecdsa.PrivateKey {
		if err != nil {
			panic(err)
		}
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return &remoteOwner{
		ec: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), ec2: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		ec384: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), ec521: must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		ed: ed, rsa: r,
	}
})

// public is the set that the owner publishes.
func (o *remoteOwner) public() []jose.JSONWebKey {
	return []jose.JSONWebKey{
		{Key: o.ec.Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
		{Key: o.ec384.Public(), KeyID: "ec384"},
		{Key: o.ec521.Public(), KeyID: "ec521"},
		{Key: o.ed.Public(), KeyID: "ed"},
		{Key: o.rsa.Public(), KeyID: "rsa"},
	}
}

func jwksOf(t testing.TB, ks ...jose.JSONWebKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: ks})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signWith(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, payload string) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	for k, v := range header {
		opts.WithHeader(k, v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	c, err := j.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func kidHeader(kid string) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{"kid": kid} }

// rawToken signs any header with ES256, however wrong the header is.
func rawToken(t testing.TB, key *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	d := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, d[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func staticSet(t testing.TB, ks ...jose.JSONWebKey) *keys.Static {
	t.Helper()
	s, err := keys.NewStatic(jwksOf(t, ks...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const canaryPayload = `{"sub":"canary"}`

// verifier is what Remote and Static have in common.
type verifier interface {
	Verify(ctx context.Context, compact, alg string) ([]byte, error)
}

func refused(t *testing.T, s verifier, compact, alg string) {
	t.Helper()
	payload, err := s.Verify(context.Background(), compact, alg)
	if err == nil || payload != nil {
		t.Fatalf("Verify = %q, %v; want a refusal", payload, err)
	}
	if errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("err = %v: a refusal must not look like an outage", err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("error tells what is in the token: %v", err)
	}
}

func TestVerify_EveryAlgorithmThatAnotherLibrarySigns(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	for _, tt := range []struct {
		alg jose.SignatureAlgorithm
		kid string
		key any
	}{
		{jose.ES256, "ec", o.ec}, {jose.ES384, "ec384", o.ec384}, {jose.ES512, "ec521", o.ec521},
		{jose.EdDSA, "ed", o.ed}, {jose.PS256, "rsa", o.rsa}, {jose.RS256, "rsa", o.rsa},
	} {
		t.Run(string(tt.alg), func(t *testing.T) {
			c := signWith(t, tt.alg, tt.key, kidHeader(tt.kid), canaryPayload)
			if got, err := set.Verify(context.Background(), c, string(tt.alg)); err != nil || string(got) != canaryPayload {
				t.Fatalf("Verify = %q, %v", got, err)
			}
			c = signWith(t, tt.alg, tt.key, nil, canaryPayload)
			if got, err := set.Verify(context.Background(), c, string(tt.alg)); err != nil || string(got) != canaryPayload {
				t.Errorf("without kid, the only key that fits: Verify = %q, %v", got, err)
			}
			for i := range len(c) { // one character changed anywhere
				b := []byte(c)
				if b[i] == 'A' {
					b[i] = 'B'
				} else {
					b[i] = 'A'
				}
				if _, err := set.Verify(context.Background(), string(b), string(tt.alg)); err == nil {
					t.Fatalf("changed at %d: accepted", i)
				}
			}
		})
	}
}

func TestUT_02_PublicKeysAreNoSharedSecrets(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	der, err := x509.MarshalPKIXPublicKey(o.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	jwkText, _ := json.Marshal(o.public()[4])
	for name, secret := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "DER": der, "JWK": jwkText, "empty": {},
	} {
		input := b64(`{"alg":"HS256","kid":"rsa"}`) + "." + b64(canaryPayload)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		c := input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		for _, alg := range []string{"RS256", "ES256", "HS256", "none", "", "None", "nOnE"} {
			t.Run(name+" pinned "+alg, func(t *testing.T) { refused(t, set, c, alg) })
		}
	}
	for _, alg := range []string{"none", "None", "NONE", ""} {
		refused(t, set, b64(`{"alg":"`+alg+`","kid":"ec"}`)+"."+b64(canaryPayload)+".", "ES256")
		refused(t, set, b64(`{"alg":"`+alg+`"}`)+"."+b64(canaryPayload)+".AA", alg)
	}
}

func TestUT_03_OnlyThePinnedAlgorithmIsAccepted(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	rs := signWith(t, jose.RS256, o.rsa, kidHeader("rsa"), canaryPayload)
	refused(t, set, rs, "PS256")
	refused(t, set, rs, "ES256")
	refused(t, set, signWith(t, jose.PS256, o.rsa, kidHeader("rsa"), canaryPayload), "RS256")
	refused(t, set, rawToken(t, o.ec, `{"alg":"es256","kid":"ec"}`, canaryPayload), "ES256")
	refused(t, set, rawToken(t, o.ec, `{"alg":["ES256"],"kid":"ec"}`, canaryPayload), "ES256")
	refused(t, set, rawToken(t, o.ec, `{"kid":"ec"}`, canaryPayload), "ES256")

	ps := staticSet(t, jose.JSONWebKey{Key: o.rsa.Public(), KeyID: "rsa", Algorithm: "PS256"})
	refused(t, ps, rs, "RS256") // the JWK's own alg narrows it
}

func TestUT_06_MX_06_AKeyOfAnotherIssuerProvesNothing(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	refused(t, set, signWith(t, jose.ES256, o.ec2, kidHeader("ec"), canaryPayload), "ES256")
	refused(t, set, signWith(t, jose.ES256, o.ec2, nil, canaryPayload), "ES256")
}

func TestUT_08_StrangeKeyIdsFindNothing(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	for _, kid := range []string{"../../etc/passwd", "' OR 1=1 --", strings.Repeat("k", 10<<10), "EC", "ec ", "ec\x00", "rsa"} {
		h, _ := json.Marshal(map[string]string{"alg": "ES256", "kid": kid})
		refused(t, set, rawToken(t, o.ec, string(h), canaryPayload), "ES256")
	}
	refused(t, set, rawToken(t, o.ec, `{"alg":"ES256","kid":1}`, canaryPayload), "ES256")
	refused(t, set, rawToken(t, o.ec, `{"alg":"ES256","kid":null}`, canaryPayload), "ES256")
}

func TestUT_08_WithoutKeyIdSeveralKeysThatFitAreOneTooMany(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, jose.JSONWebKey{Key: o.ec.Public(), KeyID: "1"}, jose.JSONWebKey{Key: o.ec2.Public(), KeyID: "2"})
	refused(t, set, signWith(t, jose.ES256, o.ec, nil, canaryPayload), "ES256")
	twins := staticSet(t, jose.JSONWebKey{Key: o.ec.Public(), KeyID: "1"}, jose.JSONWebKey{Key: o.ec2.Public(), KeyID: "1"})
	refused(t, twins, signWith(t, jose.ES256, o.ec, kidHeader("1"), canaryPayload), "ES256")
}

func TestUT_09_ATokenDoesNotChooseTheKeyThatProvesIt(t *testing.T) {
	o := newRemoteOwner()
	var hits atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer trap.Close()
	srv, fetches := serveJWKS(t, func() []byte { return jwksOf(t, o.public()...) })
	set, _ := remoteSet(t, srv.URL)
	own, _ := json.Marshal(jose.JSONWebKey{Key: o.ec2.Public(), KeyID: "ec"})
	header := fmt.Sprintf(`{"alg":"ES256","kid":"ec","jku":%q,"x5u":%q,"jwk":%s,"x5c":["AA"]}`, trap.URL, trap.URL, own)
	refused(t, set, rawToken(t, o.ec2, header, canaryPayload), "ES256")
	if got, err := set.Verify(context.Background(), rawToken(t, o.ec, header, canaryPayload), "ES256"); err != nil || string(got) != canaryPayload {
		t.Errorf("the published key with the same header: %q, %v; want these headers ignored", got, err)
	}
	if hits.Load() != 0 || fetches.Load() != 1 {
		t.Errorf("%d requests to the address in the token, %d to the pinned one; want 0 and 1", hits.Load(), fetches.Load())
	}
}

func TestUT_10_ExtensionsAndOtherSerialisationsAreRefused(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	good := signWith(t, jose.ES256, o.ec, kidHeader("ec"), canaryPayload)
	parts := strings.Split(good, ".")
	for name, c := range map[string]string{
		"unknown crit":           rawToken(t, o.ec, `{"alg":"ES256","kid":"ec","crit":["exp"],"exp":1}`, canaryPayload),
		"empty crit":             rawToken(t, o.ec, `{"alg":"ES256","kid":"ec","crit":[]}`, canaryPayload),
		"b64 false":              rawToken(t, o.ec, `{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}`, canaryPayload),
		"b64 without crit":       rawToken(t, o.ec, `{"alg":"ES256","kid":"ec","b64":false}`, canaryPayload),
		"JSON, flattened":        fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
		"JSON, two signatures":   fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2], parts[0], parts[2]),
		"detached payload":       parts[0] + ".." + parts[2],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"four segments":          good + "." + parts[2],
		"two segments":           parts[0] + "." + parts[1],
		"padded":                 parts[0] + "=." + parts[1] + "." + parts[2],
		"padded signature":       good + "==",
		"line break":             parts[0] + "." + parts[1] + "." + parts[2][:10] + "\n" + parts[2][10:],
		"trailing line break":    good + "\n",
		"standard base64":        rawToken(t, o.ec, `{"alg":"ES256","kid":"ec"}`, canaryPayload) + "+",
		"non-zero trailing bits": parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-1] + flipLastBit(parts[2][len(parts[2])-1]),
		"bearer prefix":          "Bearer " + good,
		"empty":                  "",
	} {
		t.Run(name, func(t *testing.T) { refused(t, set, c, "ES256") })
	}
}

// flipLastBit changes a bit that decodes to nothing: 64 bytes leave 4 such bits.
func flipLastBit(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func TestUT_11_AmbiguousHeadersAreRefused(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	for name, h := range map[string]string{
		"alg twice":      `{"alg":"none","alg":"ES256","kid":"ec"}`,
		"other case":     `{"Alg":"ES256","kid":"ec"}`,
		"byte order":     "\ufeff" + `{"alg":"ES256","kid":"ec"}`,
		"trailing bytes": `{"alg":"ES256","kid":"ec"}x`,
		"two objects":    `{"alg":"ES256","kid":"ec"}{}`,
		"nested":         `{"alg":"ES256","kid":"ec","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"not UTF-8":      "{\"alg\":\"ES256\",\"kid\":\"ec\",\"x\":\"\xff\"}",
		"a list":         `["ES256"]`,
		"null":           `null`,
	} {
		t.Run(name, func(t *testing.T) { refused(t, set, rawToken(t, o.ec, h, canaryPayload), "ES256") })
	}
}

func TestUT_12_ATamperedPayloadIsRefused(t *testing.T) {
	o := newRemoteOwner()
	parts := strings.Split(signWith(t, jose.ES256, o.ec, kidHeader("ec"), canaryPayload), ".")
	refused(t, staticSet(t, o.public()...), parts[0]+"."+b64(`{"sub":"other"}`)+"."+parts[2], "ES256")
}

func TestUT_14_EncryptedTokensAndFloodsOfDotsCostNothing(t *testing.T) {
	set := staticSet(t, newRemoteOwner().public()...)
	for name, c := range map[string]string{
		"JWE":            b64(`{"alg":"PBES2-HS256+A128KW","p2c":1000000000,"enc":"A256GCM","zip":"DEF"}`) + ".AA.AA.AA.AA",
		"JWE as JWS":     b64(`{"alg":"A256KW","enc":"A256GCM"}`) + ".AA.AA",
		"a million dots": strings.Repeat(".", 1_000_000),
		"64 KiB of dots": strings.Repeat(".", 64<<10),
		"over 64 KiB":    strings.Repeat("A", 64<<10) + ".A.A",
	} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(5, func() { refused(t, set, c, "ES256") }); n > 100 {
				t.Errorf("%v allocations to refuse it", n)
			}
		})
	}
}

func TestUT_14_ATokenOver64KiBIsRefusedHoweverWellSigned(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	refused(t, set, signWith(t, jose.ES256, o.ec, kidHeader("ec"), strings.Repeat("x", 64<<10)), "ES256")
	if _, err := set.Verify(context.Background(), signWith(t, jose.ES256, o.ec, kidHeader("ec"), strings.Repeat("x", 40<<10)), "ES256"); err != nil {
		t.Errorf("one of 55 KiB: %v", err)
	}
}

func TestUT_22_SignaturesOfTheWrongFormAreRefused(t *testing.T) {
	o := newRemoteOwner()
	set := staticSet(t, o.public()...)
	input := b64(`{"alg":"ES256","kid":"ec"}`) + "." + b64(canaryPayload)
	d := sha256.Sum256([]byte(input))
	der, err := o.ec.Sign(rand.Reader, d[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	good := rawToken(t, o.ec, `{"alg":"ES256","kid":"ec"}`, canaryPayload)
	valid, err := base64.RawURLEncoding.DecodeString(good[strings.LastIndex(good, ".")+1:])
	if err != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	for name, sig := range map[string][]byte{
		"DER": der, "zero": make([]byte, 64), "empty": {}, "short": make([]byte, 63), "long": make([]byte, 65),
		"r is zero": append(make([]byte, 32), bytes.Repeat([]byte{1}, 32)...), "s is zero": append(bytes.Repeat([]byte{1}, 32), make([]byte, 32)...),
		"right, and a byte more": append(valid, 0), "right, after a byte more": append([]byte{0}, valid...),
		"r is the order": append(order, bytes.Repeat([]byte{1}, 32)...), "all ones": bytes.Repeat([]byte{0xff}, 64),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, set, input+"."+base64.RawURLEncoding.EncodeToString(sig), "ES256")
		})
	}
}

func TestTyp_IsReadWithoutItsPrefixAndCase(t *testing.T) {
	o := newRemoteOwner()
	for header, want := range map[string]string{
		`{"alg":"ES256"}`: "", `{"alg":"ES256","typ":"JWT"}`: "jwt", `{"alg":"ES256","typ":"application/at+JWT"}`: "at+jwt",
	} {
		if got, err := keys.Typ(rawToken(t, o.ec, header, "{}")); err != nil || got != want {
			t.Errorf("Typ(%s) = %q, %v; want %q", header, got, err, want)
		}
	}
	for _, header := range []string{`{"typ":1}`, `[]`} {
		if _, err := keys.Typ(rawToken(t, o.ec, header, "{}")); err == nil {
			t.Errorf("Typ(%s) is accepted", header)
		}
	}
}

func FuzzVerify(f *testing.F) {
	o := newRemoteOwner()
	set := staticSet(f, o.public()...)
	good := signWith(f, jose.ES256, o.ec, kidHeader("ec"), canaryPayload)
	for _, seed := range []string{good, rawToken(f, o.ec, `{"alg":"ES256","crit":["x"]}`, "{}"), "..", "a.b.c", b64(`{"alg":"none"}`) + ".."} {
		f.Add(seed, "ES256")
	}
	f.Fuzz(func(t *testing.T, compact, alg string) {
		payload, err := set.Verify(context.Background(), compact, alg)
		if err == nil && (string(payload) != canaryPayload || compact != good) {
			t.Errorf("accepted %q, which nobody signed", compact)
		}
		_, _ = keys.Typ(compact)
	})
}

func BenchmarkVerify(b *testing.B) {
	o := newRemoteOwner()
	srv, _ := serveJWKS(b, func() []byte { return jwksOf(b, o.public()...) })
	set, _ := remoteSet(b, srv.URL)
	payload := `{"iss":"https://op.test","sub":"` + strings.Repeat("s", 60) + `","aud":"voussoir","exp":1800000060,"iat":1800000000,"nonce":"` + strings.Repeat("n", 43) + `","acr":"eidas1"}`
	for _, tt := range []struct {
		alg jose.SignatureAlgorithm
		kid string
		key any
	}{{jose.ES256, "ec", o.ec}, {jose.EdDSA, "ed", o.ed}, {jose.PS256, "rsa", o.rsa}, {jose.RS256, "rsa", o.rsa}} {
		c := signWith(b, tt.alg, tt.key, kidHeader(tt.kid), payload)
		b.Run(string(tt.alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.Verify(context.Background(), c, string(tt.alg)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
