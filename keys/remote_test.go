package keys_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
)

func TestUT_15_WeakAndMisplacedKeysAreSkippedAndTheOthersKept(t *testing.T) {
	o := newRemoteOwner()
	good, _ := json.Marshal(o.public()[0])
	pub := o.rsa.PublicKey
	n := base64.RawURLEncoding.EncodeToString(pub.N.Bytes())
	weakN := base64.RawURLEncoding.EncodeToString(new(big.Int).Rsh(pub.N, 1024).SetBit(new(big.Int).Rsh(pub.N, 1024), 0, 1).Bytes())
	evenN := base64.RawURLEncoding.EncodeToString(new(big.Int).SetBit(pub.N, 0, 0).Bytes())
	hugeN := base64.RawURLEncoding.EncodeToString(new(big.Int).SetBit(new(big.Int).Lsh(pub.N, 8192), 0, 1).Bytes())
	x := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	private, _ := json.Marshal(jose.JSONWebKey{Key: o.ec, KeyID: "leaked"})
	enc, _ := json.Marshal(jose.JSONWebKey{Key: o.ec2.Public(), KeyID: "enc", Use: "enc"})
	for name, k := range map[string]string{
		"RSA of 1024 bits":      `{"kty":"RSA","kid":"k","n":"` + weakN + `","e":"AQAB"}`,
		"RSA of 10240 bits":     `{"kty":"RSA","kid":"k","n":"` + hugeN + `","e":"AQAB"}`,
		"RSA, even modulus":     `{"kty":"RSA","kid":"k","n":"` + evenN + `","e":"AQAB"}`,
		"RSA, e=1":              `{"kty":"RSA","kid":"k","n":"` + n + `","e":"AQ"}`,
		"RSA, e=3":              `{"kty":"RSA","kid":"k","n":"` + n + `","e":"Aw"}`,
		"RSA, even e":           `{"kty":"RSA","kid":"k","n":"` + n + `","e":"AQAC"}`,
		"RSA, e of 5 bytes":     `{"kty":"RSA","kid":"k","n":"` + n + `","e":"AQAAAAE"}`,
		"RSA without modulus":   `{"kty":"RSA","kid":"k","e":"AQAB"}`,
		"off the curve":         `{"kty":"EC","crv":"P-256","kid":"k","x":"` + x + `","y":"` + x + `"}`,
		"short coordinate":      `{"kty":"EC","crv":"P-256","kid":"k","x":"AQ","y":"` + x + `"}`,
		"unknown curve":         `{"kty":"EC","crv":"secp256k1","kid":"k","x":"` + x + `","y":"` + x + `"}`,
		"X25519":                `{"kty":"OKP","crv":"X25519","kid":"k","x":"` + x + `"}`,
		"oct":                   `{"kty":"oct","kid":"k","k":"` + x + `"}`,
		"oct without its k":     `{"kty":"oct","kid":"k"}`,
		"private parts":         string(private),
		"for encryption, Ed":    `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + x + `","use":"enc"}`,
		"for both, by its alg":  strings.Replace(string(enc), `"enc"`, `"sig","alg":"ECDH-ES"`, 1),
		"for SHA-1":             `{"kty":"RSA","kid":"k","n":"` + n + `","e":"AQAB","use":"enc","alg":"RSA-OAEP"}`,
		"other operations":      `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + x + `","key_ops":["encrypt"]}`,
		"alg of another type":   `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + x + `","alg":"ES256"}`,
		"alg HS256":             `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + x + `","alg":"HS256"}`,
		"alg empty":             `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + x + `","alg":""}`,
		"kid is a number":       `{"kty":"OKP","crv":"Ed25519","kid":7,"x":"` + x + `"}`,
		"kid of 10 KB":          `{"kty":"OKP","crv":"Ed25519","kid":"` + strings.Repeat("k", 10<<10) + `","x":"` + x + `"}`,
		"a string":              `"key"`,
		"null":                  `null`,
		"unknown type":          `{"kty":"ML-DSA","kid":"k"}`,
		"type in lower case":    `{"kty":"ec","crv":"P-256","kid":"k","x":"` + x + `","y":"` + x + `"}`,
		"member in other cases": `{"KTY":"OKP","crv":"Ed25519","x":"` + x + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			doc := []byte(`{"keys":[` + k + `,` + string(good) + `]}`)
			if _, err := keys.NewStatic(doc); err == nil {
				t.Error("NewStatic accepts it: an operator would never learn")
			}
			srv, _ := serveJWKS(t, func() []byte { return doc })
			set, _ := remoteSet(t, srv.URL)
			if _, err := set.Verify(context.Background(), signWith(t, jose.ES256, o.ec, kidHeader("ec"), canaryPayload), "ES256"); err != nil {
				t.Errorf("the good key beside it: %v", err)
			}
			refused(t, set, rawToken(t, o.ec2, `{"alg":"ES256","kid":"enc"}`, canaryPayload), "ES256")
			refused(t, set, rawToken(t, o.ec, `{"alg":"ES256","kid":"leaked"}`, canaryPayload), "ES256")
		})
	}
}

func TestNewStatic_SaysWhatIsWrong(t *testing.T) {
	for name, doc := range map[string]string{
		"nothing": "", "not JSON": "x", "no list": `{}`, "list is null": `{"keys":null}`, "list is an object": `{"keys":{}}`,
		"empty": `{"keys":[]}`, "keys twice": `{"keys":[],"keys":[]}`,
		"too many":  `{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`,
		"too large": `{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		if _, err := keys.NewStatic([]byte(doc)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// serveJWKS counts the fetches.
func serveJWKS(t testing.TB, body func() []byte) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	n := new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		b := body()
		if b == nil {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(srv.Close)
	return srv, n
}

// remoteClock is set by hand.
type remoteClock struct{ ns atomic.Int64 }

func (c *remoteClock) Now() time.Time      { return time.Unix(1_800_000_000, c.ns.Load()) }
func (c *remoteClock) add(d time.Duration) { c.ns.Add(int64(d)) }

func remoteSet(t testing.TB, url string) (*keys.Remote, *remoteClock) {
	t.Helper()
	clock := new(remoteClock)
	client := outbound.New(outbound.Config{AllowHTTP: true, AllowPrivate: true})
	t.Cleanup(client.CloseIdleConnections)
	set, err := keys.NewRemote(keys.RemoteConfig{URL: url, Client: client, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return set, clock
}

func TestUT_08_TenThousandUnknownKeyIdsCostThreeFetchesAndThenOneAMinute(t *testing.T) {
	o := newRemoteOwner()
	srv, fetches := serveJWKS(t, func() []byte { return jwksOf(t, o.public()...) })
	set, clock := remoteSet(t, srv.URL)
	flood := func(n int) {
		sig := rawToken(t, o.ec, `{}`, canaryPayload)
		sig = sig[strings.LastIndex(sig, "."):]
		var wg sync.WaitGroup
		for worker := range 10 {
			wg.Go(func() {
				for i := range n / 10 {
					c := b64(fmt.Sprintf(`{"alg":"ES256","kid":"random-%d-%d"}`, worker, i)) + "." + b64(canaryPayload) + sig
					if _, err := set.Verify(context.Background(), c, "ES256"); err == nil {
						t.Error("accepted")
					}
				}
			})
		}
		wg.Wait()
	}
	flood(10_000)
	if n := fetches.Load(); n != 4 {
		t.Errorf("%d fetches for 10,000 unknown key ids, want the first one and 3", n)
	}
	clock.add(time.Minute)
	flood(1000)
	if n := fetches.Load(); n != 5 {
		t.Errorf("%d fetches a minute later, want 5", n)
	}
}

func TestRemote_ANewKeyIsFoundAndAWithdrawnOneForgotten(t *testing.T) {
	o := newRemoteOwner()
	var published atomic.Pointer[[]byte]
	publish := func(ks ...jose.JSONWebKey) { b := jwksOf(t, ks...); published.Store(&b) }
	k1, k2 := jose.JSONWebKey{Key: o.ec.Public(), KeyID: "1"}, jose.JSONWebKey{Key: o.ec2.Public(), KeyID: "2"}
	t1 := signWith(t, jose.ES256, o.ec, kidHeader("1"), canaryPayload)
	t2 := signWith(t, jose.ES256, o.ec2, kidHeader("2"), canaryPayload)
	accepts := func(set verifier, c string) bool {
		_, err := set.Verify(context.Background(), c, "ES256")
		return err == nil
	}
	publish(k1)
	srv, _ := serveJWKS(t, func() []byte { return *published.Load() })
	set, clock := remoteSet(t, srv.URL)
	if !accepts(set, t1) || accepts(set, t2) {
		t.Fatal("want the first key only")
	}
	publish(k1, k2)
	if !accepts(set, t2) {
		t.Error("the new key is not found at once")
	}
	publish(k2)
	clock.add(10 * time.Minute)
	if accepts(set, t1) || !accepts(set, t2) {
		t.Error("the withdrawn key is still accepted after the TTL, or the other is not")
	}
}

func TestRemote_AKeyWithoutIdThatWasReplacedIsFetchedAgain(t *testing.T) {
	o := newRemoteOwner()
	var second atomic.Bool
	srv, _ := serveJWKS(t, func() []byte {
		if second.Load() {
			return jwksOf(t, jose.JSONWebKey{Key: o.ec2.Public()})
		}
		return jwksOf(t, jose.JSONWebKey{Key: o.ec.Public()})
	})
	set, clock := remoteSet(t, srv.URL)
	if err := set.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	second.Store(true)
	clock.add(time.Minute)
	if _, err := set.Verify(context.Background(), signWith(t, jose.ES256, o.ec2, nil, canaryPayload), "ES256"); err != nil {
		t.Error(err)
	}
}

func TestUT_16_BadAnswersLeaveTheLastGoodSetInUseForADay(t *testing.T) {
	o := newRemoteOwner()
	good := jwksOf(t, o.public()...)
	token := signWith(t, jose.ES256, o.ec, kidHeader("ec"), canaryPayload)
	many := bytes.Repeat([]byte(`{"kty":"x"},`), 10_000)
	for name, bad := range map[string]http.HandlerFunc{
		"503":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"50 MB":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 50<<20)) },
		"10,000 keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"keys":[%s{}]}`, many) },
		"HTML":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"empty":       func(http.ResponseWriter, *http.Request) {},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"connection cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if broken.Load() {
					bad(w, r)
					return
				}
				_, _ = w.Write(good)
			}))
			defer srv.Close()
			set, clock := remoteSet(t, srv.URL)
			verify := func() error { _, err := set.Verify(context.Background(), token, "ES256"); return err }
			if err := verify(); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			clock.add(23 * time.Hour)
			if err := verify(); err != nil {
				t.Errorf("after 23 h: %v", err)
			}
			clock.add(time.Hour)
			if err := verify(); !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("after 24 h: %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestRemote_UnknownIsNotNo(t *testing.T) {
	o := newRemoteOwner()
	var down atomic.Bool
	srv, _ := serveJWKS(t, func() []byte {
		if down.Load() {
			return nil
		}
		return jwksOf(t, jose.JSONWebKey{Key: o.ec.Public(), KeyID: "1"})
	})
	token := signWith(t, jose.ES256, o.ec2, kidHeader("2"), canaryPayload)
	down.Store(true)
	never, _ := remoteSet(t, srv.URL)
	if _, err := never.Verify(context.Background(), token, "ES256"); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("no set was ever fetched: %v, want ErrUnavailable", err)
	}
	down.Store(false)
	once, clock := remoteSet(t, srv.URL)
	refused(t, once, token, "ES256") // the set is fresh and does not have it: no
	down.Store(true)
	clock.add(time.Minute)
	if _, err := once.Verify(context.Background(), token, "ES256"); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("the key may be in a set that cannot be read: %v, want ErrUnavailable", err)
	}
}

func TestNewRemote_RefusesWhatCannotWork(t *testing.T) {
	client := outbound.New(outbound.Config{})
	now := new(remoteClock).Now
	for name, c := range map[string]keys.RemoteConfig{
		"no client": {URL: "https://op.test/jwks", Now: now}, "no clock": {URL: "https://op.test/jwks", Client: client},
		"no URL": {Client: client, Now: now}, "file": {URL: "file:///etc/passwd", Client: client, Now: now},
		"credentials": {URL: "https://a:b@op.test/jwks", Client: client, Now: now},
	} {
		if _, err := keys.NewRemote(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzJWKS(f *testing.F) {
	o := newRemoteOwner()
	f.Add(jwksOf(f, o.public()...))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"},{"kty":"RSA","n":"AQ","e":"AQ"},null,{"kty":"oct","k":""}]}`))
	token := signWith(f, jose.ES256, o.ec, nil, canaryPayload)
	f.Fuzz(func(_ *testing.T, doc []byte) {
		set, err := keys.NewStatic(doc)
		if err == nil {
			_, _ = set.Verify(context.Background(), token, "ES256")
		}
	})
}
