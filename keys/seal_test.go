package keys

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fixedRing has fixed secrets and no signing keys but fresh ones.
func fixedRing(t testing.TB) *Ring {
	cfg, _ := shelf(t)
	plain, err := contents{
		Derivation: bytes.Repeat([]byte{1}, 32),
		Sealing:    [][]byte{bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32)},
	}.encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := (vault{file: cfg.File, secret: cfg.Secret}).write(plain); err != nil {
		t.Fatal(err)
	}
	return open(t, cfg)
}

// Changing this changes every citizen's person and subject.
func TestDerive_Golden(t *testing.T) {
	r := fixedRing(t)
	for label, want := range map[string]string{
		"person":      "dc29839db18a98111c3d4d5bda5d64b3381dfeae467b4cb5602e73cdb0fe8040",
		"pairwise/v1": "aa3789dd2772359fca4cce8fb3df8a4ca14e6ab281919e376aff8a12a63120f0",
	} {
		if got, err := r.Derive(t.Context(), label, []byte("message")); err != nil || hex.EncodeToString(got[:]) != want {
			t.Errorf("Derive(%q) = %x, %v, want %s", label, got, err, want)
		}
	}
}

func TestDerive_IsAFunctionOfLabelAndMessage(t *testing.T) {
	r := fixedRing(t)
	label, msg := rapid.StringMatching(`[ab]{0,2}`), rapid.SliceOfN(rapid.ByteRange('a', 'b'), 0, 2)
	rapid.Check(t, func(rt *rapid.T) {
		l1, m1, l2, m2 := label.Draw(rt, "l1"), msg.Draw(rt, "m1"), label.Draw(rt, "l2"), msg.Draw(rt, "m2")
		a, err := r.Derive(t.Context(), l1, m1)
		b, err2 := r.Derive(t.Context(), l2, m2)
		if err != nil || err2 != nil || (a == b) != (l1 == l2 && bytes.Equal(m1, m2)) {
			rt.Fatal(l1, m1, l2, m2)
		}
	})
}

// Changing this loses every flow, session and grant, and every personal part of
// the audit log. The second envelope is under a secret that no longer seals.
func TestOpen_Golden(t *testing.T) {
	r := fixedRing(t)
	for name, sealed := range map[string]string{
		"the newest secret": "01a5a9162bf3c62d9f088bf80b808a8d6c87798c1263be0cad5f470f38623b349cca5ffdc327283f6acb487e0676961e988f931fdfda",
		"an older secret":   "0148b8bb931c3152d66431e144809c0edbd40dcaa92d5cc091b3e6957acd3dcc74141fadb426fd49fed6ab4338b3b9a4ef0314c3a3b0",
	} {
		raw, err := hex.DecodeString(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Open("grant/code", []byte("aad"), raw); err != nil || string(got) != "plaintext" {
			t.Errorf("%s: Open = %q, %v", name, got, err)
		}
	}
}

func TestSeal_OpensOnlyUnchangedAndInItsPlace(t *testing.T) {
	r := fixedRing(t)
	hers, _ := r.NewWrappedKey()
	his, _ := r.NewWrappedKey()
	if bytes.Equal(hers, his) {
		t.Fatal("two persons have one key")
	}
	type place struct {
		purpose string
		aad     string
	}
	seal := func(p place, plaintext []byte) ([]byte, error) {
		switch p.purpose {
		case "hers":
			return r.SealUnder(hers, []byte(p.aad), plaintext)
		case "his":
			return r.SealUnder(his, []byte(p.aad), plaintext)
		case "own":
			return r.SealUnder(nil, []byte(p.aad), plaintext)
		}
		return r.Seal(p.purpose, []byte(p.aad), plaintext)
	}
	unseal := func(p place, sealed []byte) ([]byte, error) {
		switch p.purpose {
		case "hers":
			return r.OpenUnder(hers, []byte(p.aad), sealed)
		case "his":
			return r.OpenUnder(his, []byte(p.aad), sealed)
		case "own":
			return r.OpenUnder(nil, []byte(p.aad), sealed)
		}
		return r.Open(p.purpose, []byte(p.aad), sealed)
	}
	places := rapid.Custom(func(t *rapid.T) place {
		return place{
			rapid.SampledFrom([]string{"hers", "his", "own", "a", "aa", "", "keys/under"}).Draw(t, "purpose"),
			rapid.SampledFrom([]string{"", "a", "aa", "aaa"}).Draw(t, "aad"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		in, plaintext := places.Draw(t, "in"), rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		sealed, err := seal(in, plaintext)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unseal(in, sealed); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("unseal(seal(%x)) = %x, %v", plaintext, got, err)
		}
		if out := places.Draw(t, "out"); out != in {
			if _, err := unseal(out, sealed); !errors.Is(err, ErrSealed) {
				t.Fatalf("sealed in %+v, opens in %+v: %v", in, out, err)
			}
		}
		altered := slices.Clone(sealed)
		altered[rapid.IntRange(0, len(altered)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for _, bad := range [][]byte{altered, sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")], append(sealed, 0)} {
			if _, err := unseal(in, bad); !errors.Is(err, ErrSealed) {
				t.Fatalf("%x opens as %x: %v", sealed, bad, err)
			}
		}
	})
}

func TestSealUnder_ADestroyedKeyIsNotTheRingsOwn(t *testing.T) {
	r := fixedRing(t)
	if _, err := r.SealUnder([]byte{}, nil, []byte("x")); !errors.Is(err, ErrSealed) {
		t.Errorf("sealing under a destroyed key: %v", err)
	}
	own, _ := r.SealUnder(nil, nil, []byte("x"))
	if _, err := r.OpenUnder([]byte{}, nil, own); !errors.Is(err, ErrSealed) {
		t.Errorf("opening under a destroyed key: %v", err)
	}
	code, _ := r.Seal("grant/code", nil, make([]byte, 32))
	if _, err := r.SealUnder(code, nil, nil); !errors.Is(err, ErrSealed) {
		t.Errorf("something else passes for a wrapped key: %v", err)
	}
}

// The vectors of c2sp.org/XAES-256-GCM.
func TestXAES_C2SP_Vectors(t *testing.T) {
	for _, v := range []struct{ key, aad, want string }{
		{strings.Repeat("\x01", 32), "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{strings.Repeat("\x03", 32), "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x, err := newXAES([]byte(v.key))
		if err != nil {
			t.Fatal(err)
		}
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		got, err := x.seal(nil, nonce, []byte("XAES-256-GCM"), []byte(v.aad))
		if err != nil || hex.EncodeToString(got) != v.want {
			t.Errorf("seal = %x, %v, want %s", got, err, v.want)
		}
		if plain, err := x.open(nonce, got, []byte(v.aad)); err != nil || string(plain) != "XAES-256-GCM" {
			t.Errorf("open = %q, %v", plain, err)
		}
	}
}

func TestXAES_C2SP_Accumulated(t *testing.T) {
	in, out := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte { b := make([]byte, n); in.Read(b); return b }
	for range 10_000 {
		key, nonce := read(32), read(24)
		plaintext := read(int(read(1)[0]))
		aad := read(int(read(1)[0]))
		x, err := newXAES(key)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := x.seal(nil, nonce, plaintext, aad)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(sealed)
	}
	sum := make([]byte, 32)
	out.Read(sum)
	if got, want := hex.EncodeToString(sum), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}
