package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
)

// startAgain wires a broker on a data folder that somebody has worked on.
func startAgain(t *testing.T, file string, events io.Writer) (*broker, error) {
	t.Helper()
	p := &program{getenv: os.Getenv}
	c, err := p.load(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire(t.Context(), c, newEvents(events), time.Now)
	if err == nil {
		t.Cleanup(b.close)
	}
	return b, err
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWire_KeysAndRecordsBelongTogether: whatever an operator lost or mixed up,
// the broker never starts with subjects that are new for everybody.
func TestWire_KeysAndRecordsBelongTogether(t *testing.T) {
	stranger, _ := writeConfig(t)
	newBroker(t, stranger, io.Discard).close()
	theirs := filepath.Join(filepath.Dir(stranger), "data")
	tests := []struct {
		name  string
		spoil func(t *testing.T, data string)
		says  string // "": it starts
	}{
		{"nothing happened", func(*testing.T, string) {}, ""},
		{"the secret is lost", func(t *testing.T, data string) { remove(t, data, keySecret) }, "keys.secret is missing"},
		{"key file and secret are lost", func(t *testing.T, data string) { remove(t, data, keySecret, keyFile) }, "keys.secret is missing"},
		{"the key file is cut short", func(t *testing.T, data string) {
			if err := os.Truncate(filepath.Join(data, keyFile), 100); err != nil {
				t.Fatal(err)
			}
		}, "cut short"},
		{"the key file is another installation's", func(t *testing.T, data string) {
			copyFile(t, filepath.Join(theirs, keyFile), filepath.Join(data, keyFile))
		}, "another secret"},
		{"key file and secret are another installation's", func(t *testing.T, data string) {
			for _, name := range []string{keyFile, keySecret} {
				copyFile(t, filepath.Join(theirs, name), filepath.Join(data, name))
			}
		}, "not the one of these records"},
		{"the records are lost", func(t *testing.T, data string) {
			remove(t, data, "records.db", "records.db-wal", "records.db-shm")
		}, "the records are empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, _ := writeConfig(t)
			newBroker(t, file, io.Discard).close()
			data := filepath.Join(filepath.Dir(file), "data")
			tt.spoil(t, data)
			before, _ := os.ReadFile(filepath.Join(data, keySecret)) // may be lost
			_, err := startAgain(t, file, io.Discard)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("start = %v, want %q", err, tt.says)
			}
			if after, _ := os.ReadFile(filepath.Join(data, keySecret)); string(after) != string(before) {
				t.Error("the secret has changed")
			}
		})
	}
}

func remove(t *testing.T, data string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(data, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// TestWire_AStartThatDiedBeforeTheRecordsGoesOn: keys that no log knows of yet
// are those of a first start that was killed.
func TestWire_AStartThatDiedBeforeTheRecordsGoesOn(t *testing.T) {
	file, _ := writeConfig(t)
	data := filepath.Join(filepath.Dir(file), "data")
	if err := dataDir(data); err != nil {
		t.Fatal(err)
	}
	secret, err := keys.LoadOrCreateSecret(filepath.Join(data, keySecret))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), keys.Config{File: filepath.Join(data, keyFile), Secret: secret, Algs: []string{"ES256"}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ring.Close()
	if _, err := startAgain(t, file, io.Discard); err != nil {
		t.Error(err)
	}
}

// TestWire_ARevokedKeyStaysRevoked: a key file from a backup must not bring back
// a key that was revoked since, at a start or while the broker runs.
func TestWire_ARevokedKeyStaysRevoked(t *testing.T) {
	file, _ := writeConfig(t)
	newBroker(t, file, io.Discard).close()
	path := filepath.Join(filepath.Dir(file), "data", keyFile)
	backup := filepath.Join(t.TempDir(), "keys")
	copyFile(t, path, backup)
	_, out, _ := say(t, "keys", "list", "--config", file)
	kid := ""
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, " active ") {
			kid = strings.Fields(line)[0]
		}
	}
	if code, _, errs := say(t, "keys", "revoke", "--config", file, "--", kid); code != exitOK {
		t.Fatalf("revoke: exit %d: %s", code, errs)
	}
	copyFile(t, backup, path)
	var events journal
	b, err := startAgain(t, file, &events)
	if err != nil {
		t.Fatal(err)
	}
	published := func() bool { jwks, _ := b.ring.JWKS(); return strings.Contains(string(jwks), kid) }
	if published() {
		t.Error("the start published a revoked key")
	}
	if log := events.String(); !strings.Contains(log, "revoked again") || !strings.Contains(log, "older copy") {
		t.Errorf("the log says %s", log)
	}
	copyFile(t, backup, path)
	b.takeOverKeys(t.Context())
	if published() {
		t.Error("the running broker published a revoked key")
	}
}

// TestKeys_NotAsAnotherUser: after a rotation as root, the broker could not read
// its own keys any more.
func TestKeys_NotAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	file, _ := writeConfig(t)
	newBroker(t, file, io.Discard).close()
	if err := os.Chown(filepath.Join(filepath.Dir(file), "data", keyFile), 65534, -1); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := say(t, "keys", "rotate", "--config", file); code != exitFailure || !strings.Contains(errs, "belongs to user 65534") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, err := startAgain(t, file, io.Discard); err == nil {
		t.Error("the broker started on another user's keys")
	}
}
