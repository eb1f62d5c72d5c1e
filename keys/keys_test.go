package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"
)

var testSecret = bytes.Repeat([]byte{0x5a}, 32)

// clock is a hand-moved clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// shelf is a place for a key file.
func shelf(t testing.TB, algs ...string) (Config, *clock) {
	c := &clock{now: time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)}
	if algs == nil {
		algs = []string{"ES256"}
	}
	return Config{File: filepath.Join(t.TempDir(), "keys"), Secret: testSecret, Algs: algs, Now: c.Now}, c
}

func open(t testing.TB, cfg Config) *Ring {
	t.Helper()
	r, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func states(r *Ring) []State {
	var list []State
	for _, k := range r.Keys() {
		list = append(list, k.State)
	}
	return list
}

func kid(t testing.TB, r *Ring, alg string, s State) string {
	t.Helper()
	for _, k := range r.Keys() {
		if k.Alg == alg && k.State == s {
			return k.KID
		}
	}
	t.Fatalf("no %s key of %s", s, alg)
	return ""
}

// published parses the JWKS as a service would.
func published(t testing.TB, r *Ring) (jose.JSONWebKeySet, []string) {
	t.Helper()
	body, _ := r.JWKS()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.KeyID)
	}
	return set, kids
}

// verify checks a JWS with go-jose against the JWKS that we publish.
func verify(t testing.TB, r *Ring, alg, jws string) []byte {
	t.Helper()
	set, _ := published(t, r)
	sig, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := sig.Verify(set)
	if err != nil {
		t.Fatalf("%s does not verify: %v", jws, err)
	}
	return payload
}

func TestOpen_KeepsEverythingAcrossRestarts(t *testing.T) {
	cfg, _ := shelf(t, "ES256", "EdDSA")
	r := open(t, cfg)
	if got, want := states(r), []State{Active, Next, Active, Next}; !slices.Equal(got, want) {
		t.Fatalf("states %v, want %v", got, want)
	}
	info, err := os.Stat(cfg.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	jwks, etag := r.JWKS()
	derived, _ := r.Derive(t.Context(), "person", []byte("x"))
	sealed, _ := r.Seal("grant/code", []byte("a"), []byte("secret"))
	wrapped, _ := r.NewWrappedKey()
	under, _ := r.SealUnder(wrapped, nil, []byte("hers"))
	before, _ := os.ReadFile(cfg.File)
	r.Close()

	again := open(t, cfg)
	if b, e := again.JWKS(); !bytes.Equal(b, jwks) || e != etag {
		t.Error("the JWKS has changed")
	}
	if d, err := again.Derive(t.Context(), "person", []byte("x")); err != nil || d != derived {
		t.Error("Derive has changed: every subject has")
	}
	if p, err := again.Open("grant/code", []byte("a"), sealed); err != nil || string(p) != "secret" {
		t.Errorf("Open = %q, %v", p, err)
	}
	if p, err := again.OpenUnder(wrapped, nil, under); err != nil || string(p) != "hers" {
		t.Errorf("OpenUnder = %q, %v", p, err)
	}
	if after, _ := os.ReadFile(cfg.File); !bytes.Equal(before, after) {
		t.Error("the file was written although nothing has changed")
	}
}

func TestOpen_AddsAnAlgorithmThatTheFileLacks(t *testing.T) {
	cfg, _ := shelf(t)
	_, first := published(t, open(t, cfg))
	cfg.Algs = []string{"EdDSA"}
	r := open(t, cfg)
	_, kids := published(t, r)
	if len(kids) != 4 || !slices.Equal(kids[:2], first) {
		t.Errorf("published %v, want %v and two more", kids, first)
	}
	for _, alg := range []string{"ES256", "EdDSA"} {
		if _, err := r.Sign(t.Context(), alg, "JWT", nil); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestOpen_RefusesAndNeverOverwrites(t *testing.T) {
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	tests := []struct {
		name   string
		change func([]byte) []byte
		mode   os.FileMode
		cfg    func(*Config)
		want   string
	}{
		{name: "an empty file", change: cut(0), want: "cut short"},
		{name: "a file cut in its header", change: cut(20), want: "cut short"},
		{name: "a file cut after its header", change: cut(49), want: "cut short"},
		{name: "a file cut at its end", change: func(b []byte) []byte { return b[:len(b)-1] }, want: "cut short"},
		{name: "a file with a byte more", change: func(b []byte) []byte { return append(b, 0) }, want: "altered"},
		{name: "a file of another version", change: func(b []byte) []byte { return bytes.Replace(b, []byte("v1"), []byte("v2"), 1) }, want: "not a key file of this version"},
		{name: "another secret", cfg: func(c *Config) { c.Secret = bytes.Repeat([]byte{1}, 32) }, want: "another secret"},
		{name: "a file that the group may read", mode: 0o640, want: "open to others"},
		{name: "a file that others may write", mode: 0o602, want: "open to others"},
		{name: "a file that is far too large", change: func(b []byte) []byte { return append(b, make([]byte, maxFile)...) }, want: "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, _ := shelf(t)
			open(t, cfg).Close()
			data, _ := os.ReadFile(cfg.File)
			if tt.change != nil {
				data = tt.change(data)
			}
			if tt.mode == 0 {
				tt.mode = 0o600
			}
			if err := errors.Join(os.WriteFile(cfg.File, data, 0o600), os.Chmod(cfg.File, tt.mode)); err != nil {
				t.Fatal(err)
			}
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			r, err := Open(t.Context(), cfg)
			if err == nil || r != nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), cfg.File) {
				t.Errorf("Open = %v, %v, want an error with %q and the file's name", r, err, tt.want)
			}
			if after, _ := os.ReadFile(cfg.File); !bytes.Equal(after, data) {
				t.Error("the file was overwritten")
			}
		})
	}
}

func TestOpen_RefusesAnyOneBitChange(t *testing.T) {
	cfg, _ := shelf(t)
	open(t, cfg).Close()
	data, _ := os.ReadFile(cfg.File)
	rapid.Check(t, func(t *rapid.T) {
		altered := slices.Clone(data)
		altered[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := decrypt(testSecret, altered); err == nil {
			t.Fatal("the change went unnoticed")
		}
	})
}

func TestOpen_MustExist(t *testing.T) {
	cfg, _ := shelf(t)
	cfg.MustExist = true
	if _, err := Open(t.Context(), cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v: a lost file was replaced by new secrets, and every subject with it", err)
	}
	if _, err := os.Stat(cfg.File); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made")
	}
}

func TestOpen_AFileThatVanishesUnderARingIsNotBegunAnew(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	if err := os.Remove(cfg.File); err != nil {
		t.Fatal(err)
	}
	if err := r.Rotate(t.Context(), ForServices, "ES256"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Rotate: %v", err)
	}
	if _, err := r.Sign(t.Context(), "ES256", "JWT", nil); err != nil {
		t.Errorf("what the ring holds is still good: %v", err)
	}
}

func TestOpen_IgnoresWhatACrashLeftBehind(t *testing.T) {
	cfg, _ := shelf(t)
	if err := os.WriteFile(cfg.File+".tmp", []byte("half a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	jwks, _ := open(t, cfg).JWKS()
	if again, _ := open(t, cfg).JWKS(); !bytes.Equal(jwks, again) {
		t.Error("not the same keys")
	}
}

func TestOpen_RefusesABadConfiguration(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no file":              func(c *Config) { c.File = "" },
		"a short secret":       func(c *Config) { c.Secret = c.Secret[:31] },
		"no algorithm":         func(c *Config) { c.Algs = nil },
		"an unknown algorithm": func(c *Config) { c.Algs = []string{"HS256"} },
		"no clock":             func(c *Config) { c.Now = nil },
		"a negative retention": func(c *Config) { c.Retention = -1 },
		"no directory":         func(c *Config) { c.File = filepath.Join(c.File, "keys") },
	} {
		cfg, _ := shelf(t)
		change(&cfg)
		if _, err := Open(t.Context(), cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestTwoRingsOnOneFile(t *testing.T) {
	cfg, _ := shelf(t)
	rings := []*Ring{open(t, cfg), open(t, cfg)}
	var wg sync.WaitGroup
	for _, r := range rings {
		for range 5 {
			wg.Go(func() {
				if err := r.Rotate(t.Context(), ForServices, "ES256"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, r := range rings {
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(rings[0].Keys()); got != 12 || !reflect.DeepEqual(rings[0].Keys(), rings[1].Keys()) {
		t.Errorf("%d keys after ten rotations, want 12 in both rings", got)
	}
}

func TestTwoProcessesStartAtOnce(t *testing.T) {
	cfg, _ := shelf(t)
	bodies := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() { bodies[i], _ = open(t, cfg).JWKS() })
	}
	wg.Wait()
	for _, b := range bodies {
		if !bytes.Equal(b, bodies[0]) {
			t.Fatal("two first starts made two sets of keys")
		}
	}
}

func TestClosedAndCancelled(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	wrapped, _ := r.NewWrappedKey()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	withContext := map[string]func(context.Context) error{
		"Sign":    func(ctx context.Context) error { _, err := r.Sign(ctx, "ES256", "JWT", nil); return err },
		"Derive":  func(ctx context.Context) error { _, err := r.Derive(ctx, "l", nil); return err },
		"Rotate":  func(ctx context.Context) error { return r.Rotate(ctx, ForServices, "ES256") },
		"Revoke":  func(ctx context.Context) error { return r.Revoke(ctx, "k") },
		"Reload":  func(ctx context.Context) error { return r.Reload(ctx) },
		"AuditTo": func(ctx context.Context) error { return r.AuditTo(ctx, &notebook{}) },
	}
	for name, call := range withContext {
		if err := call(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", name, err)
		}
	}
	if _, err := Open(cancelled, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a cancelled context: %v", err)
	}

	r.Close()
	r.Close()
	for name, call := range withContext {
		if err := call(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a closed ring: %v", name, err)
		}
	}
	for name, call := range map[string]func() error{
		"Seal":          func() error { _, err := r.Seal("p", nil, nil); return err },
		"Open":          func() error { _, err := r.Open("p", nil, nil); return err },
		"NewWrappedKey": func() error { _, err := r.NewWrappedKey(); return err },
		"SealUnder":     func() error { _, err := r.SealUnder(wrapped, nil, nil); return err },
		"OpenUnder":     func() error { _, err := r.OpenUnder(nil, nil, nil); return err },
	} {
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a closed ring: %v", name, err)
		}
	}
	if body, etag := r.JWKS(); body != nil || etag != "" || r.Keys() != nil {
		t.Error("a closed ring publishes")
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	for _, v := range []any{cfg, r} {
		if got, want := fmt.Sprintf("%v %+v", v, v), "keys for "+cfg.File; got != want+" "+want {
			t.Errorf("%T prints %q", v, got)
		}
	}
}
