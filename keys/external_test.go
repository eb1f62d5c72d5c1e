package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/signer"
)

// softToken is a token in memory that can be away, and can lie.
type softToken struct {
	mu    sync.Mutex
	keys  []signer.Key
	priv  map[signer.KeyID]crypto.Signer
	away  bool
	twist func(sig []byte) []byte // what leaves in place of a signature
	signs int
}

func newSoftToken() *softToken { return &softToken{priv: map[signer.KeyID]crypto.Signer{}} }

func (s *softToken) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *softToken) Keys(context.Context) ([]signer.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, signer.ErrUnavailable
	}
	return slices.Clone(s.keys), nil
}

func (s *softToken) Generate(_ context.Context, alg signer.Alg) (signer.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return signer.Key{}, signer.ErrUnavailable
	}
	made, err := generate(nil, alg.String())
	if err != nil {
		return signer.Key{}, err
	}
	private, err := x509.ParsePKCS8PrivateKey(made.Private)
	if err != nil {
		return signer.Key{}, err
	}
	k := signer.Key{Alg: alg, Public: made.Public}
	s.keys, s.priv[k.ID()] = append(s.keys, k), private.(crypto.Signer)
	return k, nil
}

func (s *softToken) Sign(_ context.Context, alg signer.Alg, id signer.KeyID, digest [sha256.Size]byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signs++
	if s.away {
		return nil, signer.ErrUnavailable
	}
	var sig []byte
	var err error
	switch key := s.priv[id].(type) {
	case nil:
		return nil, signer.ErrNoKey
	case *ecdsa.PrivateKey:
		sig, err = signDigest(key, digest[:])
	case *rsa.PrivateKey:
		opts := crypto.SignerOpts(crypto.SHA256)
		if alg == signer.PS256 {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		sig, err = key.Sign(rand.Reader, digest[:], opts)
	}
	if s.twist != nil {
		sig = s.twist(sig)
	}
	return sig, err
}

func signDigest(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, err
}

func (s *softToken) Destroy(_ context.Context, id signer.KeyID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return signer.ErrUnavailable
	}
	delete(s.priv, id)
	s.keys = slices.DeleteFunc(s.keys, func(k signer.Key) bool { return k.ID() == id })
	return nil
}

func TestSigner_EveryAlgorithmThatItHas(t *testing.T) {
	cfg, _ := shelf(t, "ES256", "PS256", "RS256")
	cfg.ProviderAlgs, cfg.Signer = []string{"ES256"}, newSoftToken()
	r := open(t, cfg)
	for _, alg := range cfg.Algs {
		jws, err := r.Sign(t.Context(), alg, "JWT", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		verify(t, r, alg, jws)
	}
	for _, k := range r.Keys() {
		if !k.InSigner {
			t.Errorf("key %+v is not in the signer", k)
		}
	}
	plain, err := r.vault.read()
	if err != nil || strings.Contains(string(plain), `"private"`) {
		t.Errorf("the key file holds a private key: %v", err)
	}
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	cfg.Algs = []string{"EdDSA"}
	if _, err := Open(t.Context(), cfg); err == nil {
		t.Error("EdDSA, which a signer does not have, was accepted")
	}
}

// A fault or a stranger on the socket: what does not verify never leaves.
func TestSigner_ASignatureThatDoesNotVerifyIsNotPassedOn(t *testing.T) {
	for _, alg := range []string{"ES256", "PS256", "RS256"} {
		cfg, _ := shelf(t, alg)
		token := newSoftToken()
		cfg.Signer = token
		r := open(t, cfg)
		for name, twist := range map[string]func([]byte) []byte{
			"one bit":   func(sig []byte) []byte { sig[len(sig)/2] ^= 1; return sig },
			"cut short": func(sig []byte) []byte { return sig[:len(sig)-1] },
			"nothing":   func([]byte) []byte { return nil },
			"too long":  func(sig []byte) []byte { return append(sig, 0) },
			"zeros":     func(sig []byte) []byte { return make([]byte, len(sig)) },
		} {
			token.twist = twist
			if jws, err := r.Sign(t.Context(), alg, "JWT", []byte("x")); !errors.Is(err, ErrUnavailable) || jws != "" {
				t.Errorf("%s, %s: %q, %v", alg, name, jws, err)
			}
			if err := r.Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s, %s: Ready: %v", alg, name, err)
			}
		}
	}
}

// A token that mixes its keys up: right signature, wrong key.
func TestSigner_ASignatureByAnotherKeyIsNotPassedOn(t *testing.T) {
	cfg, _ := shelf(t)
	token := newSoftToken()
	cfg.Signer = token
	r := open(t, cfg)
	a, b := token.keys[0].ID(), token.keys[1].ID()
	token.priv[a], token.priv[b] = token.priv[b], token.priv[a]
	if jws, err := r.Sign(t.Context(), "ES256", "JWT", nil); !errors.Is(err, ErrUnavailable) || jws != "" {
		t.Errorf("%q, %v", jws, err)
	}
}

func TestSigner_LateAwayAndBack(t *testing.T) {
	cfg, clock := shelf(t)
	token := newSoftToken()
	token.set(true)
	cfg.Signer = token
	r := open(t, cfg) // nobody is there yet
	if _, err := r.Derive(t.Context(), "person", nil); err != nil {
		t.Errorf("Derive needs no signer: %v", err)
	}
	for name, err := range map[string]error{"Ready": r.Ready(t.Context()), "CanSign": r.CanSign(t.Context(), "ES256")} {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s before there are keys: %v", name, err)
		}
	}
	token.set(false)
	if err := errors.Join(r.Reload(t.Context()), r.Ready(t.Context())); err != nil {
		t.Fatal(err)
	}
	active, next := kid(t, r, "ES256", Active), kid(t, r, "ES256", Next)

	token.set(true)
	before, _ := r.JWKS()
	if err := r.Rotate(t.Context(), ForServices, "ES256"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Rotate: %v", err)
	}
	if now, _ := r.JWKS(); string(now) != string(before) || kid(t, r, "ES256", Active) != active {
		t.Error("half a rotation")
	}
	if _, err := r.Sign(t.Context(), "ES256", "JWT", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Sign: %v", err)
	}
	// An emergency does not wait for the signer.
	if err := r.Revoke(t.Context(), active); err != nil {
		t.Fatal(err)
	}
	if kid(t, r, "ES256", Active) != next {
		t.Error("the next key did not take over")
	}
	if _, kids := published(t, r); !slices.Equal(kids, []string{next}) {
		t.Errorf("published %v", kids)
	}
	clock.move(time.Minute)
	token.set(false)
	if err := errors.Join(r.CanSign(t.Context(), "ES256"), r.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	if len(token.keys) != 2 || r.Keys()[0].InSigner {
		t.Errorf("the revoked key was not destroyed when the signer was back: %d keys", len(token.keys))
	}
	kid(t, r, "ES256", Next)
}

// The signer is not asked twice for each token, only while it is known to be away.
func TestSigner_CanSignAsksOnlyAfterAFailure(t *testing.T) {
	cfg, _ := shelf(t)
	token := newSoftToken()
	cfg.Signer = token
	r := open(t, cfg)
	for range 3 {
		if err := r.CanSign(t.Context(), "ES256"); err != nil || token.signs != 0 {
			t.Errorf("asked %d times, %v", token.signs, err)
		}
	}
	token.set(true)
	_, _ = r.Sign(t.Context(), "ES256", "JWT", nil)
	if err := r.CanSign(t.Context(), "ES256"); !errors.Is(err, ErrUnavailable) || token.signs != 2 {
		t.Errorf("asked %d times, %v", token.signs, err)
	}
}

// Two processes: the command has rotated or revoked, the broker does not know it
// yet, and the key is gone from the token. The broker signs all the same.
func TestSigner_AKeyThatAnotherProcessHasEnded(t *testing.T) {
	cfg, _ := shelf(t)
	cfg.Signer = newSoftToken()
	broker, command := open(t, cfg), open(t, cfg)
	for name, end := range map[string]func() error{
		"rotated": func() error { return command.Rotate(t.Context(), ForServices, "ES256") },
		"revoked": func() error { return command.Revoke(t.Context(), kid(t, command, "ES256", Active)) },
	} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := broker.Sign(t.Context(), "ES256", "JWT", nil); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		if kid(t, broker, "ES256", Active) != kid(t, command, "ES256", Active) {
			t.Errorf("%s: the broker has not learnt of it", name)
		}
	}
}

// Keys of the file make room for keys of the signer with the first rotation; the
// other way round an operator whose token has burnt revokes both.
func TestSigner_FromTheFileAndBack(t *testing.T) {
	cfg, _ := shelf(t)
	open(t, cfg).Close()
	token := newSoftToken()
	cfg.Signer = token
	r := open(t, cfg)
	if got, want := states(r), []State{Active, Revoked, Next}; !slices.Equal(got, want) {
		t.Fatalf("states %v, want %v", got, want)
	}
	if jws, err := r.Sign(t.Context(), "ES256", "JWT", nil); err != nil || token.signs != 0 {
		t.Errorf("the active key signs in the file until the rotation: %q, %v", jws, err)
	}
	if err := r.Rotate(t.Context(), ForServices, "ES256"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Sign(t.Context(), "ES256", "JWT", nil); err != nil || token.signs != 1 {
		t.Errorf("after it the signer does: %v", err)
	}
	r.Close()

	cfg.Signer = nil
	r = open(t, cfg)
	if _, err := r.Sign(t.Context(), "ES256", "JWT", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Sign without the signer: %v", err)
	}
	for range 2 {
		if err := r.Revoke(t.Context(), kid(t, r, "ES256", Active)); err != nil {
			t.Fatal(err)
		}
	}
	jws, err := r.Sign(t.Context(), "ES256", "JWT", nil)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, r, "ES256", jws)
}

// Whatever the order of rotations, revocations, absences and restarts: once the
// signer is there, we can sign, the token holds every key that is active or next,
// and none that has ended.
func TestSigner_AnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg, _ := shelf(t)
		token := newSoftToken()
		cfg.ProviderAlgs, cfg.Signer = []string{"ES256"}, token
		r := open(t, cfg)
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			token.set(rapid.Bool().Draw(rt, "away"))
			switch rapid.IntRange(0, 4).Draw(rt, "act") {
			case 0:
				use := rapid.SampledFrom([]Use{ForServices, ForProviders}).Draw(rt, "use")
				if err := r.Rotate(t.Context(), use, "ES256"); err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrNoKey) {
					rt.Fatal(err)
				}
			case 1:
				if ks := r.Keys(); len(ks) > 0 {
					if err := r.Revoke(t.Context(), rapid.SampledFrom(ks).Draw(rt, "key").KID); err != nil {
						rt.Fatal(err)
					}
				}
			case 2:
				r.Close()
				r = open(t, cfg)
			case 3: // a crash between the token and the file
				_, _ = token.Generate(t.Context(), signer.ES256)
			case 4:
				if err := r.Reload(t.Context()); err != nil {
					rt.Fatal(err)
				}
			}
		}
		token.set(false)
		if err := errors.Join(r.Reload(t.Context()), r.Ready(t.Context())); err != nil {
			rt.Fatal(err)
		}
		checkToken(rt, r, token)
	})
}

func checkToken(rt *rapid.T, r *Ring, token *softToken) {
	live := map[string]bool{}
	for _, k := range r.Keys() {
		if ended := k.State == Retired || k.State == Revoked; ended == k.InSigner {
			rt.Fatalf("key %+v", k)
		} else if !ended {
			live[k.KID] = true
		}
	}
	for _, k := range token.keys {
		found, err := adopt(k)
		if err != nil {
			rt.Fatal(err)
		}
		delete(live, found.KID)
	}
	if len(live) > 0 {
		rt.Fatalf("keys that the token does not have: %v", live)
	}
}

// What identity providers verify, no service can take for a token, and the other
// way round: no key is in both sets.
func TestUses_NoKeyIsPublishedForBoth(t *testing.T) {
	cfg, _ := shelf(t)
	cfg.ProviderAlgs = []string{"ES256"}
	r := open(t, cfg)
	set, services := published(t, r)
	assertion, err := r.ForProviders().Sign(t.Context(), "ES256", "JWT", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Rotate(t.Context(), ForProviders, "ES256"); err != nil {
		t.Fatal(err)
	}
	body, etag := r.ForProviders().JWKS()
	for _, kid := range services {
		if strings.Contains(string(body), kid) {
			t.Errorf("key %s is published for services and for providers", kid)
		}
	}
	theirs, err := NewStatic(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Verify(t.Context(), assertion, "ES256"); err != nil {
		t.Errorf("a provider cannot verify an assertion after a rotation: %v", err)
	}
	ours, err := NewStatic(mustJSON(t, set))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Verify(t.Context(), assertion, "ES256"); err == nil {
		t.Error("a service accepts an assertion as a token")
	}
	if _, other := r.JWKS(); other == etag || len(etag) != 24 {
		t.Errorf("etag %s", etag)
	}
	if _, now := published(t, r); !slices.Equal(now, services) {
		t.Error("rotating the one use has changed the other")
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
