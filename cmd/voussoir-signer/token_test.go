package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ThalesGroup/crypto11"

	"github.com/voussoir-id/voussoir/signer"
)

const testPIN = "12345678"

// softHSM makes a SoftHSM2 token and opens it.
func softHSM(t *testing.T) (*token, options) {
	t.Helper()
	if _, err := exec.LookPath("softhsm2-util"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("SoftHSM2 is not installed (softhsm2-util)")
		}
		t.Skip("skipped: SoftHSM2 is not installed (softhsm2-util)")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	if msg, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", testPIN, "--so-pin", testPIN).CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v %s", err, msg)
	}
	modules, err := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	if err != nil || len(modules) == 0 {
		modules = []string{"/usr/lib/softhsm/libsofthsm2.so"}
	}
	o := options{module: modules[0], label: "test"}
	return reopen(t, o), o
}

func reopen(t *testing.T, o options) *token {
	t.Helper()
	k, err := openToken(o, testPIN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.close(t.Context(), slog.New(slog.DiscardHandler)) })
	return k
}

func TestToken_SignsWithEveryAlgorithm_RFC7518_3_1(t *testing.T) {
	k, o := softHSM(t)
	digest := sha256.Sum256([]byte("what is signed"))
	var made []signer.Key
	for _, alg := range []signer.Alg{signer.ES256, signer.PS256, signer.RS256} {
		key, err := k.Generate(t.Context(), alg)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, key)
	}
	again := reopen(t, o) // as after a restart
	if ks, err := again.Keys(t.Context()); err != nil || !reflect.DeepEqual(ks, made) {
		t.Fatalf("keys after a restart: %v, %v", ks, err)
	}
	for _, key := range made {
		sig, err := again.Sign(t.Context(), key.Alg, key.ID(), digest)
		if err != nil || !good(t, key, digest[:], sig) {
			t.Errorf("%s: %v", key.Alg, err)
		}
	}
	// A key signs with its own algorithm and no other.
	for _, alg := range []signer.Alg{signer.ES256, signer.RS256} {
		if _, err := again.Sign(t.Context(), alg, made[1].ID(), digest); !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("the key of PS256 with %s: %v", alg, err)
		}
	}
	if err := errors.Join(again.Destroy(t.Context(), made[0].ID()), again.Destroy(t.Context(), made[0].ID())); err != nil {
		t.Error(err)
	}
	if _, err := again.Sign(t.Context(), signer.ES256, made[0].ID(), digest); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("a key that was destroyed: %v", err)
	}
	if ks, err := reopen(t, o).Keys(t.Context()); err != nil || len(ks) != 2 {
		t.Errorf("%d keys, %v", len(ks), err)
	}
}

func good(t *testing.T, key signer.Key, digest, sig []byte) bool {
	t.Helper()
	public, err := x509.ParsePKIXPublicKey(key.Public)
	if err != nil {
		t.Fatal(err)
	}
	switch key.Alg {
	case signer.ES256:
		return len(sig) == 64 && ecdsa.Verify(public.(*ecdsa.PublicKey), digest, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case signer.PS256:
		return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: 32}) == nil
	}
	return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest, sig) == nil
}

func TestToken_PrivateKeysCannotBeRead(t *testing.T) {
	k, _ := softHSM(t)
	key, err := k.Generate(t.Context(), signer.ES256)
	if err != nil {
		t.Fatal(err)
	}
	pair := k.keys[key.ID()].pair
	for attribute, want := range map[crypto11.AttributeType]byte{crypto11.CkaSensitive: 1, crypto11.CkaExtractable: 0} {
		if a, err := k.context.GetAttribute(pair, attribute); err != nil || len(a.Value) != 1 || a.Value[0] != want {
			t.Errorf("attribute %x is %v, %v; want %d", attribute, a, err, want)
		}
	}
	if a, err := k.context.GetAttribute(pair, crypto11.CkaValue); err == nil && len(a.Value) > 0 {
		t.Error("the token has given the private key away")
	}
}

// Other people's keys in the same token are none of our business, and weak ones no
// key of ours.
func TestToken_LeavesForeignKeysAlone(t *testing.T) {
	k, _ := softHSM(t)
	for i, label := range []string{"mail", "voussoir EdDSA", "voussoir", "voussoir PS256"} {
		if _, err := k.context.GenerateECDSAKeyPairWithLabel([]byte{byte(i)}, []byte(label), elliptic.P256()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.context.GenerateRSAKeyPairWithLabel([]byte{9}, []byte("voussoir PS256"), 2048); err != nil {
		t.Fatal(err)
	}
	if ks, err := k.Keys(t.Context()); err != nil || len(ks) != 0 {
		t.Errorf("%v, %v", ks, err)
	}
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	good := []string{"-module", "/m.so", "-token-label", "t", "-pin-env", "PIN"}
	if _, err := parse(good, io.Discard); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"nothing": nil, "an argument": append(good, "x"), "an unknown flag": append(good, "-x"),
		"a relative module": {"-module", "m.so", "-token-label", "t", "-pin-env", "PIN"},
		"two tokens":        append(good, "-token-serial", "1"), "two PINs": append(good, "-pin-file", "f"),
		"no PIN": good[:4], "nobody": append(good, "-uid", "-1"),
	} {
		if _, err := parse(args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadPIN(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pin")
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"with a line break", "1234\n", 0o600, "1234"},
		{"without", "12 34", 0o400, "12 34"},
		{"empty", "\n", 0o600, ""},
		{"open to others", "1234", 0o640, ""},
		{"far too long", string(make([]byte, 300)), 0o600, ""},
	} {
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		if pin, err := readPIN(options{pinFile: file}); pin != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.name, pin, err)
		}
	}
	t.Setenv("A_PIN", "1234")
	if pin, err := readPIN(options{pinEnv: "A_PIN"}); pin != "1234" || err != nil || os.Getenv("A_PIN") != "" {
		t.Errorf("from the environment: %q, %v, and left there: %q", pin, err, os.Getenv("A_PIN"))
	}
}

func TestListen(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	if _, err := listen(t.Context(), path); err == nil {
		t.Error("took the socket of a signer that answers")
	}
	l.SetUnlinkOnClose(false) // as kill -9 leaves it
	_ = l.Close()
	if l, err = listen(t.Context(), path); err != nil {
		t.Errorf("after a kill: %v", err)
	}
	_ = l.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t.Context(), path); err == nil {
		t.Error("removed a file that is no socket")
	}
	if _, err := listen(t.Context(), ""); !errors.Is(err, errUsage) {
		t.Errorf("no socket at all: %v", err)
	}
}

// TestListen_SocketThatSystemdHandsOver plays systemd: sd_listen_fds(3). The test
// binary is the signer too.
func TestListen_SocketThatSystemdHandsOver(t *testing.T) {
	if os.Getenv("SIGNER_CHILD") != "" {
		l, err := listen(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("here"))
		_ = c.Close()
		return
	}
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	child := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -test.run=SystemdHandsOver`, os.Args[0])
	child.Env, child.ExtraFiles = append(os.Environ(), "SIGNER_CHILD=1"), []*os.File{f}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if said, err := io.ReadAll(c); err != nil || string(said) != "here" {
		t.Errorf("%q, %v", said, err)
	}
}
