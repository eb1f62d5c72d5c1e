package journeys

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// witness starts a witness that others wrote, and returns its key.
func (w auditWorld) witness(program string, port int, name, log string) (p *process, key string) {
	w.t.Helper()
	at := fmt.Sprintf("127.0.0.1:%d", port)
	p = launch(w.t, nil, "http://"+at+"/healthz", program, at, name, w.origin(), log)
	key, _, _ = strings.Cut(p.out.String(), "\n")
	return p, key
}

// cosigned waits until the checkpoint that everybody is shown has a signature by name,
// made for a larger tree than size. It returns the checkpoint.
func (w auditWorld) cosigned(name string, size int) string {
	w.t.Helper()
	for range 400 { // the witnesses are asked every ten seconds
		_, _, note := w.get("/audit/checkpoint")
		var n int
		if lines := bytes.SplitN(note, []byte("\n"), 3); len(lines) == 3 {
			fmt.Sscan(string(lines[1]), &n)
		}
		if n > size && bytes.Contains(note, []byte("\n— "+name+" ")) {
			return string(note)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("%s has not cosigned a checkpoint of more than %d entries", name, size)
	return ""
}

// TestAudit_AWitnessThatOthersWroteCosigns_C2SPTlogWitness: one signs, one hangs and
// one is not there. Nobody's sign-in waits for any of them, kill -9 and a new start
// change nothing, and who verifies can want as many as have signed, and no more.
func TestAudit_AWitnessThatOthersWroteCosigns_C2SPTlogWitness(t *testing.T) {
	whole(t)
	program := other(t, "witness")
	w := auditWorld{newCrashWorld(t, 4)}
	p := w.start("")
	log := w.key()
	p.stop()
	good, hangs, gone := ports(t), ports(t), ports(t)
	_, goodKey := w.witness(program, good, "witness.test/good", log)
	hung, hungKey := w.witness(program, hangs, "witness.test/hangs", log)
	dead, goneKey := w.witness(program, gone, "witness.test/gone", log)
	dead.stop()
	if err := hung.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	named := fmt.Sprintf("audit:\n  witnesses:\n    - { key: %q, url: http://127.0.0.1:%d }\n    - { key: %q, url: http://127.0.0.1:%d }\n    - { key: %q, url: http://127.0.0.1:%d }\n",
		goodKey, good, hungKey, hangs, goneKey, gone)
	if err := os.WriteFile(w.config, append([]byte(named), text...), 0o600); err != nil {
		t.Fatal(err)
	}

	p = w.start("")
	w.visit(newCitizen(t), "person-0")
	w.cosigned("witness.test/good", 0)
	size := int(w.settled().Size)
	w.visit(newCitizen(t), "person-1")
	_ = p.cmd.Process.Kill()
	p.stop()
	p = w.start("")
	w.visit(newCitizen(t), "person-2")
	note := w.cosigned("witness.test/good", size)
	for _, name := range []string{"witness.test/hangs", "witness.test/gone"} {
		if strings.Contains(note, name) {
			t.Errorf("%s has signed:\n%s", name, note)
		}
	}
	remote := []string{"audit", "verify", "--from-url", w.broker, "--key", log, "--witness", goodKey, "--witness", hungKey, "--quorum"}
	if out := w.must(append(remote, "1")...); !strings.Contains(out, "cosigned by witness.test/good at ") {
		t.Errorf("with a quorum of one: %s", out)
	}
	if out, err := w.run(append(remote, "2")...); err == nil {
		t.Errorf("with a quorum of two: %s", out)
	}
	p.stop()
	if out := w.must("audit", "verify", "--config", w.config, "--quorum", "1"); !strings.Contains(out, "holds") {
		t.Errorf("verify says %s", out)
	}
	if out, err := w.run("audit", "verify", "--config", w.config, "--quorum", "3"); err == nil {
		t.Errorf("verify with a quorum of three says %s", out)
	}
}
