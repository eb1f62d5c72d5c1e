package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A file that version 1 wrote stays readable for ever.
func TestKeyFile_Golden(t *testing.T) {
	cfg, _ := shelf(t)
	data, err := os.ReadFile("testdata/keys.v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.File, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, cfg)
	if after, _ := os.ReadFile(cfg.File); !bytes.Equal(data, after) {
		t.Error("reading the file has changed it")
	}
	if got, want := kid(t, r, "ES256", Active), "xnf6lxkayPv4ei9JJjmzY6UK58FgEqiqdMo2MD5TDk0"; got != want {
		t.Errorf("active key %s, want %s", got, want)
	}
	jws, err := r.Sign(t.Context(), "ES256", "JWT", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	verify(t, r, "ES256", jws)
}

// fileRing is a ring without a file.
func fileRing() *Ring { return &Ring{cfg: Config{Retention: time.Hour}} }

func testContents(t testing.TB) contents {
	var c contents
	c.secrets()
	slots := []slot{{ForServices, "ES256"}, {ForServices, "EdDSA"}}
	if err := c.complete(slots, generate, false, time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContents_DecodeOfEncodeIsTheSame(t *testing.T) {
	c := testContents(t)
	if err := c.rotate(slot{ForServices, "ES256"}, time.Date(2026, 4, 1, 0, 0, 0, 0, time.FixedZone("", 3600))); err != nil {
		t.Fatal(err)
	}
	plain, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseContents(plain)
	if err != nil {
		t.Fatal(err)
	}
	if twice, _ := again.encode(); !bytes.Equal(plain, twice) {
		t.Errorf("%s became %s", plain, twice)
	}
}

func TestNewHolding_RefusesWhatMakesNoSense(t *testing.T) {
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	wrongCurve, _ := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	tests := map[string]struct {
		change func(*contents)
		want   string
	}{
		"no derivation secret":            {func(c *contents) { c.Derivation = nil }, "secret is missing"},
		"a short derivation secret":       {func(c *contents) { c.Derivation = c.Derivation[:16] }, "secret is missing"},
		"no sealing secret":               {func(c *contents) { c.Sealing = nil }, "secret is missing"},
		"a short sealing secret":          {func(c *contents) { c.Sealing[0] = c.Sealing[0][:16] }, "16 bytes"},
		"two active keys":                 {func(c *contents) { c.Signing[1].State = Active }, "second active"},
		"an unknown state":                {func(c *contents) { c.Signing[0].State = "asleep" }, "unknown state"},
		"an unknown use":                  {func(c *contents) { c.Signing[0].Use = "fun" }, "unknown use"},
		"a private key in two places":     {func(c *contents) { c.Signing[0].InSigner = true }, "two places"},
		"an active key without private":   {func(c *contents) { c.Signing[0].Private = nil }, "missing"},
		"a retired key with private":      {func(c *contents) { c.Signing[1].State = Retired }, "not destroyed"},
		"another key's private":           {func(c *contents) { c.Signing[0].Private = c.Signing[1].Private }, "differ"},
		"a malformed private key":         {func(c *contents) { c.Signing[0].Private = []byte{1} }, "malformed"},
		"a malformed public key":          {func(c *contents) { c.Signing[0].Public = []byte{1} }, "malformed"},
		"a key id that is no thumbprint":  {func(c *contents) { c.Signing[0].KID = "x" }, "thumbprint"},
		"a key of another algorithm":      {func(c *contents) { c.Signing[0].Alg = "RS256" }, "suit"},
		"a key on another curve":          {func(c *contents) { c.Signing[0].Public = wrongCurve }, "suit"},
		"an algorithm that we don't have": {func(c *contents) { c.Signing[0].Alg = "none" }, "suit"},
	}
	for name, tt := range tests {
		c := testContents(t)
		tt.change(&c)
		if _, err := fileRing().newHolding(c, time.Time{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}

// The file is authenticated, so what reaches the parser is ours; it must not
// panic all the same, and what it accepts must survive being written.
func FuzzContents(f *testing.F) {
	plain, err := testContents(f).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte(`{"derivation":"","sealing":[""],"signing":[{"kid":""}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseContents(data)
		if err != nil {
			return
		}
		if _, err := fileRing().newHolding(c, time.Time{}); err != nil {
			return
		}
		once, err := c.encode()
		if err != nil {
			t.Skip() // a year that JSON cannot hold
		}
		again, err := parseContents(once)
		if err != nil {
			t.Fatalf("what we write we cannot read: %v", err)
		}
		if twice, err := again.encode(); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	data, err := os.ReadFile("testdata/keys.v1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(vaultMagic)+saltSize])
	f.Add([]byte(vaultMagic))
	f.Fuzz(func(t *testing.T, in []byte) {
		if plain, err := decrypt(testSecret, in); err == nil && !slices.Equal(in, data) {
			t.Fatalf("a forged file opens as %q", plain)
		}
	})
}
