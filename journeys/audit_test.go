package journeys

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
)

// auditWorld is a broker whose log is looked at from outside.
type auditWorld struct{ *crashWorld }

// run runs a command of the broker's binary.
func (w auditWorld) run(args ...string) (string, error) {
	cmd := exec.Command(binary(w.t, "failpoints"), args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w auditWorld) must(args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	if err != nil {
		w.t.Fatalf("voussoir %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w auditWorld) get(path string) (int, http.Header, []byte) {
	w.t.Helper()
	res, err := http.Get(w.broker + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, res.Header, b
}

func (w auditWorld) origin() string { return audit.Origin(w.broker) }

// key is the active key, as anybody can read it.
func (w auditWorld) key() string {
	w.t.Helper()
	_, _, b := w.get("/audit/keys")
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) == 3 && words[2] == "active" {
			return words[0]
		}
	}
	w.t.Fatalf("no active key in %s", b)
	return ""
}

// settled waits until every entry has its index.
func (w auditWorld) settled() audit.Report {
	w.t.Helper()
	for range 50 {
		var r audit.Report
		if out := w.must("audit", "verify", "--config", w.config, "--json"); json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &r) == nil && r.Pending == 0 {
			return r
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatal("entries wait for an index for more than five seconds")
	return audit.Report{}
}

// other builds a counterpart that has a module of its own.
func other(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", out, ".")
	cmd.Dir = filepath.Join("counterparts", name)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, b)
	}
	return out
}

// TestAudit_OthersFollowTheLogAndReceiptsHoldOffline: Tessera's client and fsck over
// HTTP, before and after more sign-ins and a rotation; a receipt; a change of the file.
func TestAudit_OthersFollowTheLogAndReceiptsHoldOffline(t *testing.T) {
	whole(t)
	client := other(t, "tessera") // client and checker
	w := auditWorld{newCrashWorld(t, 40)}
	p := w.start("")
	seen := filepath.Join(t.TempDir(), "seen")
	follow := func() {
		t.Helper()
		if out, err := exec.Command(client, w.broker+"/audit/", w.key(), seen).CombinedOutput(); err != nil {
			t.Fatalf("Tessera: %v\n%s", err, out)
		}
	}
	for i := range 20 {
		w.visit(newCitizen(t), fmt.Sprintf("person-%d", i))
	}
	first := w.settled()
	follow()
	for i := 20; i < 40; i++ {
		w.visit(newCitizen(t), fmt.Sprintf("person-%d", i))
	}
	if again := w.settled(); again.Size <= first.Size {
		t.Errorf("the log had %d entries and has %d", first.Size, again.Size)
	}
	follow()
	w.shows()
	w.proves()
	old := w.key()
	w.must("keys", "rotate", "--config", w.config, "--for", "checkpoints", "--alg", audit0, "--early")
	w.settled()
	for range 100 { // the broker takes the keys over when the entry gets its index
		if w.key() != old {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if w.key() == old {
		t.Fatal("the key is still the old one")
	}
	if err := os.Remove(seen); err != nil { // signed by the key before
		t.Fatal(err)
	}
	follow()
	memory := filepath.Join(t.TempDir(), "memory")
	for range 2 {
		if out, err := w.run("audit", "verify", "--from-url", w.broker, "--key", w.key(), "--key", old, "--remember", memory); err != nil || !strings.Contains(out, "holds") {
			t.Errorf("verify --from-url: %v, %s", err, out)
		}
	}
	if out, err := w.run("audit", "verify", "--from-url", w.broker, "--key", old); err == nil { // it signs no more
		t.Errorf("verify --from-url with the old key alone: %s", out)
	}
	p.stop()
	if out := w.must("audit", "verify", "--config", w.config); !strings.Contains(out, "holds") {
		t.Errorf("verify says %s", out)
	}
}

// audit0 is the algorithm of the keys for checkpoints.
const audit0 = "NOTE-Ed25519"

// shows looks at what anybody can read.
func (w auditWorld) shows() {
	w.t.Helper()
	status, h, checkpoint := w.get("/audit/checkpoint")
	if status != 200 || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("Cache-Control") != "public, max-age=1" || h.Get("Access-Control-Allow-Origin") != "*" {
		w.t.Errorf("checkpoint: %d %v", status, h)
	}
	c, _, err := audit.OpenCheckpoint(checkpoint, w.origin(), w.key())
	if err != nil {
		w.t.Fatal(err)
	}
	width := min(c.Size, 255)
	status, h, tile := w.get(fmt.Sprintf("/audit/tile/0/000.p/%d", width))
	if status != 200 || int64(len(tile)) != width*32 || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("ETag") == "" {
		w.t.Errorf("tile: %d, %d bytes, %v", status, len(tile), h)
	}
	status, _, bundle := w.get(fmt.Sprintf("/audit/tile/entries/000.p/%d", width))
	for _, secret := range []string{"login.verified", "consent.given", w.service.id, "upstream", "person-", "Linteau"} {
		if status != 200 || strings.Contains(string(bundle), secret) {
			w.t.Errorf("the bundle (%d) tells of visits: %q", status, secret)
		}
	}
	if !strings.Contains(string(bundle), "key.generated") || !strings.Contains(string(bundle), "config.loaded") {
		w.t.Error("the bundle does not tell of the broker itself")
	}
	for _, path := range []string{
		"/audit/tile/0/999", "/audit/tile/0/000.p/0", "/audit/tile/0/000.p/256", "/audit/tile/0/0", "/audit/tile/00/000", "/audit/tile/64/000",
		"/audit/tile/0/x000/000", "/audit/tile/data/000.p/1", "/audit/tile/entries/", "/audit/tile/-1/000", "/audit/tile/9/000.p/1",
		"/audit/tile/0/x999/x999/x999/x999/x999/x999/999",
	} {
		if status, _, _ := w.get(path); status != 404 {
			w.t.Errorf("%s: %d, want 404", path, status)
		}
	}
}

// proves has a receipt made and verifies it as somebody would who has only a key.
func (w auditWorld) proves() {
	w.t.Helper()
	var id string
	for line := range strings.Lines(w.must("audit", "export", "--config", w.config)) {
		var entry struct {
			ID     string       `json:"id"`
			Public audit.Public `json:"public"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Public.Kind == audit.TokenIssued {
			id = entry.ID
		}
	}
	receipt := filepath.Join(w.t.TempDir(), "receipt.tlog-proof")
	text := w.must("audit", "prove", "--config", w.config, id)
	if err := os.WriteFile(receipt, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	out := w.must("audit", "verify-receipt", "--log", w.origin(), "--key", w.key(), receipt)
	if !strings.Contains(out, id) || !strings.Contains(out, "token.issued") {
		w.t.Errorf("verify-receipt says %s", out)
	}
	bad := strings.Replace(text, "index ", "index 1", 1)
	if err := os.WriteFile(receipt, []byte(bad), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if out, err := w.run("audit", "verify-receipt", "--log", w.origin(), "--key", w.key(), receipt); err == nil || !strings.Contains(out, "does NOT hold") {
		w.t.Errorf("a receipt with another index: %v, %s", err, out)
	}
}

// TestAudit_KilledWhileTheTreeGrows: the tree is right and whole after any of them.
func TestAudit_KilledWhileTheTreeGrows(t *testing.T) {
	whole(t)
	w := auditWorld{newCrashWorld(t, 8)}
	w.start("").stop()
	remember := filepath.Join(t.TempDir(), "checkpoints")
	for i, place := range []string{"tree.before-extend", "tree.after-extend", "tree.before-extend:2", "tree.after-extend:2"} {
		p := w.start("") // to have something to sequence
		w.visit(newCitizen(t), fmt.Sprintf("person-%d", 2*i))
		p.stop()
		w.killed(place)
		p = w.start("")
		w.settled()
		w.must("audit", "verify", "--config", w.config, "--remember", remember)
		p.stop()
	}
}

// killed starts a broker that dies at place while it extends the tree.
func (w auditWorld) killed(place string) {
	w.t.Helper()
	cmd := exec.Command(binary(w.t, "failpoints"), "serve", "--config", w.config)
	cmd.Env = append(os.Environ(), "VOUSSOIR_FAILPOINT="+place)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	dead := make(chan error, 1)
	go func() { dead <- cmd.Wait() }()
	for range 200 {
		if res, err := http.Get(w.broker + "/authorize?client_id=" + w.service.id); err == nil { // nothing, or a refusal
			res.Body.Close()
		}
		_, _ = w.run("kill", "provider", "--config", w.config, "--reason", "an entry", "other")
		_, _ = w.run("restore", "provider", "--config", w.config, "other")
		select {
		case err := <-dead:
			if err == nil || !strings.Contains(err.Error(), "killed") {
				w.t.Errorf("%s: the broker ended with %v", place, err)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	_ = cmd.Process.Kill()
	w.t.Errorf("%s: the broker did not die", place)
}
