package keys

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadOrCreateSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	secrets := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range secrets { // processes that start at once agree on one secret
		wg.Go(func() {
			var err error
			if secrets[i], err = LoadOrCreateSecret(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if len(s) != 32 || !bytes.Equal(s, secrets[0]) {
			t.Fatalf("secrets %x and %x", s, secrets[0])
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 65 {
		t.Errorf("secret file %v %d bytes, %v", info.Mode(), info.Size(), err)
	}
}

func TestLoadOrCreateSecret_RefusesAndNeverOverwrites(t *testing.T) {
	digits := strings.Repeat("0f", 32)
	tests := []struct {
		name, text string
		mode       os.FileMode
		ok         bool
	}{
		{"what openssl rand -hex 32 writes", digits + "\n", 0o600, true},
		{"no line break", digits, 0o400, true},
		{"an empty file", "", 0o600, false},
		{"too few digits", digits[:62], 0o600, false},
		{"too many digits", digits + "00", 0o600, false},
		{"a letter too far", digits[:63] + "g", 0o600, false},
		{"a file that others may read", digits, 0o644, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			secret, err := LoadOrCreateSecret(path)
			if (err == nil) != tt.ok || (len(secret) == 32) != tt.ok {
				t.Fatalf("%x, %v, want ok %v", secret, err, tt.ok)
			}
			if err != nil && (!strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "0f0f")) {
				t.Errorf("error %v: it names the file and quotes nothing", err)
			}
			if after, _ := os.ReadFile(path); string(after) != tt.text {
				t.Error("the file was overwritten")
			}
		})
	}
}
