package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
)

// keyPair is a client's signing key with its public half.
type keyPair struct {
	kid string
	key *ecdsa.PrivateKey
}

func newKeyPair(t *testing.T, kid string) keyPair {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{kid, k}
}

func jwksOf(t *testing.T, pairs ...keyPair) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, p := range pairs {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: p.key.Public(), KeyID: p.kid, Algorithm: "ES256", Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signedBy redeems a code with an assertion of that key.
func (w *world) signedBy(t *testing.T, p keyPair) reply {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"iss": "jwt", "sub": "jwt", "aud": issuer, "exp": w.p.Now().Unix() + 60, "jti": newHandle()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: p.kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return w.do(post(PathToken, assertionForm(w, compact)))
}

func TestClientAuth_TwoSecretsWhileOneIsChanged(t *testing.T) {
	w := newWorld(t).serve()
	const next = "the next secret of the service, long enough"
	steps := []struct {
		name       string
		registered []string
		old, new   bool
	}{
		{"before", []string{secret}, true, false},
		{"during", []string{secret, next}, true, true},
		{"after", []string{next}, false, true},
	}
	for _, s := range steps {
		c := clients.Client{ID: "library", RedirectURIs: []string{redirect}, AuthMethod: clients.SecretBasic, Sector: "rp.example"}
		for _, one := range s.registered {
			c.SecretSHA256 = append(c.SecretSHA256, sha256.Sum256([]byte(one)))
		}
		w.set = clients.NewSet(&c)
		for value, ok := range map[string]bool{secret: s.old, next: s.new} {
			r := post(PathToken, tokenForm(w.code()))
			basic(r, "library", value)
			if got := w.do(r); ok != (got.status == 200) {
				t.Errorf("%s: %d %s", s.name, got.status, got.body)
			}
		}
	}
}

func TestClientAuth_TwoKeysWhileOneIsChanged(t *testing.T) {
	w := newWorld(t).serve()
	c, _ := w.set.Get("jwt")
	first, second := newKeyPair(t, "2026"), newKeyPair(t, "2027")
	for _, s := range []struct {
		name     string
		jwks     []byte
		old, new bool
	}{
		{"before", jwksOf(t, first), true, false},
		{"during", jwksOf(t, first, second), true, true},
		{"during, the other way round", jwksOf(t, second, first), true, true},
		{"after", jwksOf(t, second), false, true},
	} {
		c.JWKS = s.jwks
		if got := w.signedBy(t, first); s.old != (got.status == 200) {
			t.Errorf("%s, old key: %d %s", s.name, got.status, got.body)
		}
		if got := w.signedBy(t, second); s.new != (got.status == 200) {
			t.Errorf("%s, new key: %d %s", s.name, got.status, got.body)
		}
	}
}

func TestClientAuth_KeysAtAJWKSURIAreChangedWithoutAFailedRequest(t *testing.T) {
	w := newWorld(t).serve()
	first, second := newKeyPair(t, "2026"), newKeyPair(t, "2027")
	var published atomic.Value
	var fetches atomic.Int32
	published.Store(jwksOf(t, first))
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		_, _ = rw.Write(published.Load().([]byte))
	}))
	t.Cleanup(srv.Close)
	calls := outbound.New(outbound.Config{AllowHTTP: true, AllowPrivate: true})
	t.Cleanup(calls.CloseIdleConnections)
	remote, err := keys.NewRemote(keys.RemoteConfig{URL: srv.URL, Client: calls, Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	w.p.ClientKeys = func(*clients.Client) (KeySet, error) { return remote, nil }
	works := func(when string, p keyPair, want bool, fetched int32) {
		t.Helper()
		if got := w.signedBy(t, p); want != (got.status == 200) {
			t.Errorf("%s: %d %s", when, got.status, got.body)
		}
		if n := fetches.Load(); n != fetched {
			t.Errorf("%s: %d fetches, want %d", when, n, fetched)
		}
	}
	works("before", first, true, 1)
	published.Store(jwksOf(t, first, second)) // step 1: both are published
	works("old key, from memory", first, true, 1)
	works("new key, unknown, so fetched at once", second, true, 2)
	works("old key beside it", first, true, 2)
	published.Store(jwksOf(t, second)) // step 2: the old one is taken back
	works("new key", second, true, 2)
	w.advance(10 * time.Minute)
	works("old key, ten minutes later, looked for once more", first, false, 4)
	works("new key", second, true, 4)
	for i := range 20 { // who sends unknown keys cannot make us call
		works("a stranger's key", newKeyPair(t, "stranger"), false, min(6, int32(5+i)))
	}
}
