package keys

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

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
	if err := r.Rotate(t.Context(), ForServices, "ES256"); err != nil {
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
	if err := r.Rotate(t.Context(), ForServices, "PS256"); !errors.Is(err, ErrNoKey) {
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
				err = r.Rotate(t.Context(), ForServices, alg)
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
	if err := errors.Join(r.Rotate(t.Context(), ForServices, "ES256"), r.Revoke(t.Context(), kid(t, r, "ES256", Active))); err != nil {
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

// TestReload_AnotherFileInItsPlace: a file that another ring began, even under
// the same secret, would give everybody another subject in the middle of a day.
func TestReload_AnotherFileInItsPlace(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	jwks, _ := r.JWKS()
	theirs, _ := shelf(t)
	theirs.Secret = cfg.Secret
	open(t, theirs)
	if err := os.Rename(theirs.File, cfg.File); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err == nil {
		t.Error("Reload took over another ring's keys")
	}
	if now, _ := r.JWKS(); !bytes.Equal(now, jwks) {
		t.Error("another ring's keys are published")
	}
}
