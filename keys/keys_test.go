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

	"github.com/voussoir-id/voussoir/audit"
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
	sig, err := jose.ParseSigned(jws, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
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
	if err := r.Rotate(t.Context(), "ES256"); !errors.Is(err, os.ErrNotExist) {
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

func TestRotate(t *testing.T) {
	cfg, clock := shelf(t)
	cfg.Retention = time.Hour
	r := open(t, cfg)
	oldActive, oldNext := kid(t, r, "ES256", Active), kid(t, r, "ES256", Next)
	jws, err := r.Sign(t.Context(), "ES256", "JWT", []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	_, etag := r.JWKS()

	clock.move(time.Minute)
	if err := r.Rotate(t.Context(), "ES256"); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	rotated := start.Add(time.Minute)
	newNext := kid(t, r, "ES256", Next)
	want := []Description{
		{KID: oldActive, Alg: "ES256", State: Retired, Created: start, Activated: start, Ended: rotated},
		{KID: oldNext, Alg: "ES256", State: Active, Created: start, Activated: rotated},
		{KID: newNext, Alg: "ES256", State: Next, Created: rotated},
	}
	if got := r.Keys(); !reflect.DeepEqual(got, want) {
		t.Fatalf("keys %+v, want %+v", got, want)
	}
	if _, kids := published(t, r); !slices.Equal(kids, []string{oldActive, oldNext, newNext}) {
		t.Errorf("published %v", kids)
	}
	if _, e := r.JWKS(); e == etag {
		t.Error("another JWKS under the same ETag")
	}
	verify(t, r, "ES256", jws)

	clock.move(time.Hour - 1)
	if _, kids := published(t, r); len(kids) != 3 {
		t.Errorf("before the retention has passed: %v", kids)
	}
	clock.move(1)
	if _, kids := published(t, r); !slices.Equal(kids, []string{oldNext, newNext}) {
		t.Errorf("after the retention: %v", kids)
	}
	if err := r.Rotate(t.Context(), "PS256"); !errors.Is(err, ErrNoKey) {
		t.Errorf("Rotate without a key: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	active, next := kid(t, r, "ES256", Active), kid(t, r, "ES256", Next)

	if err := r.Revoke(t.Context(), active); err != nil {
		t.Fatal(err)
	}
	if kid(t, r, "ES256", Active) != next {
		t.Error("the next key did not take over")
	}
	if err := r.Revoke(t.Context(), kid(t, r, "ES256", Next)); err != nil {
		t.Fatal(err)
	}
	if got, want := states(r), []State{Revoked, Active, Revoked, Next}; !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
	before := r.Keys()
	if err := r.Revoke(t.Context(), active); err != nil || !reflect.DeepEqual(before, r.Keys()) {
		t.Errorf("revoking again: %v", err)
	}
	if err := r.Revoke(t.Context(), "nobody"); !errors.Is(err, ErrNoKey) {
		t.Errorf("revoking a stranger: %v", err)
	}
}

// Whatever the order of rotations and revocations, we can sign, what we sign
// verifies, and nothing private or revoked is published.
func TestAnyHistoryOfKeys(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg, clock := shelf(t, "ES256", "EdDSA")
		cfg.Retention = time.Hour
		r := open(t, cfg)
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			clock.move(time.Duration(rapid.IntRange(0, 90).Draw(rt, "minutes")) * time.Minute)
			alg := rapid.SampledFrom(cfg.Algs).Draw(rt, "alg")
			var err error
			switch rapid.IntRange(0, 2).Draw(rt, "act") {
			case 0:
				err = r.Rotate(t.Context(), alg)
			case 1:
				err = r.Revoke(t.Context(), rapid.SampledFrom(r.Keys()).Draw(rt, "key").KID)
			case 2:
				r.Close()
				r = open(t, cfg)
			}
			if err != nil {
				rt.Fatal(err)
			}
			checkHistory(t, r, cfg)
		}
	})
}

func checkHistory(t *testing.T, r *Ring, cfg Config) {
	t.Helper()
	var want []string
	count := map[string]int{}
	for _, k := range r.Keys() {
		count[k.Alg+" "+string(k.State)]++
		if k.State == Next || k.State == Active || k.State == Retired && cfg.Now().Before(k.Ended.Add(cfg.Retention)) {
			want = append(want, k.KID)
		}
	}
	set, kids := published(t, r)
	if !slices.Equal(kids, want) {
		t.Fatalf("published %v, want %v", kids, want)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || k.Use != "sig" {
			t.Fatalf("key %s: public %v, use %q", k.KeyID, k.IsPublic(), k.Use)
		}
	}
	for _, alg := range cfg.Algs {
		if count[alg+" active"] != 1 || count[alg+" next"] != 1 {
			t.Fatalf("keys %v", count)
		}
		jws, err := r.Sign(t.Context(), alg, "JWT", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		verify(t, r, alg, jws)
	}
}

func TestPrivatePartsOfEndedKeysAreDestroyed(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	if err := errors.Join(r.Rotate(t.Context(), "ES256"), r.Revoke(t.Context(), kid(t, r, "ES256", Active))); err != nil {
		t.Fatal(err)
	}
	plain, err := r.vault.read()
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(plain, []byte(`"private"`)); n != 2 {
		t.Errorf("the file has %d private keys, want those of the active and the next key", n)
	}
}

func TestTwoRingsOnOneFile(t *testing.T) {
	cfg, _ := shelf(t)
	rings := []*Ring{open(t, cfg), open(t, cfg)}
	var wg sync.WaitGroup
	for _, r := range rings {
		for range 5 {
			wg.Go(func() {
				if err := r.Rotate(t.Context(), "ES256"); err != nil {
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

// notebook is an audit log that can fail.
type notebook struct {
	err  error
	seen []string
}

func (n *notebook) Append(_ context.Context, events ...audit.Event) (audit.Receipt, error) {
	if n.err != nil {
		return audit.Receipt{}, n.err
	}
	for _, e := range events {
		n.seen = append(n.seen, string(e.Public.Kind)+" "+e.Public.Object+" "+e.Public.Outcome)
	}
	return audit.Receipt{}, nil
}

func TestAudit_EveryKeyEventIsRecordedOnce(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	active, next := kid(t, r, "ES256", Active), kid(t, r, "ES256", Next)

	broken := &notebook{err: errors.New("disk full")}
	if err := r.AuditTo(t.Context(), broken); !errors.Is(err, broken.err) {
		t.Fatalf("AuditTo: %v", err)
	}
	if err := r.Revoke(t.Context(), active); !errors.Is(err, broken.err) {
		t.Fatalf("Revoke: %v", err)
	}
	if kid(t, r, "ES256", Active) != next {
		t.Error("a revocation must be in force even though it could not be recorded")
	}
	r.Close() // and the process dies

	r = open(t, cfg)
	log := &notebook{}
	if err := r.AuditTo(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	third := kid(t, r, "ES256", Next)
	if err := errors.Join(r.Rotate(t.Context(), "ES256"), r.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"key.generated derivation ok", "key.generated sealing ok", "key.generated " + active + " ok", "key.generated " + next + " ok",
		"key.revoked " + active + " ok", "key.rotated " + next + " ok", "key.generated " + third + " ok",
		"key.rotated " + third + " ok", "key.generated " + kid(t, r, "ES256", Next) + " ok",
	}
	if !slices.Equal(log.seen, want) {
		t.Errorf("recorded %q, want %q", log.seen, want)
	}
}

// The real log seals its entries with the ring that it records.
func TestAudit_WithTheRealLog(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	store := &entries{}
	log, err := audit.New(audit.Config{Store: store, Sealer: r, Now: cfg.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AuditTo(t.Context(), log); err != nil || len(*store) != 4 {
		t.Fatalf("%d entries, %v", len(*store), err)
	}
	for _, e := range *store {
		if p, err := log.Open(e, nil); err != nil || p != (audit.Personal{}) || !audit.VerifyLeaf(e) {
			t.Errorf("entry %s: %+v, %v", e.Public, p, err)
		}
	}
}

type entries []audit.Entry

func (s *entries) AppendEntries(_ context.Context, e ...audit.Entry) error {
	*s = append(*s, e...)
	return nil
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
		"Rotate":  func(ctx context.Context) error { return r.Rotate(ctx, "ES256") },
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
