//go:build failpoints

package sql_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/store/sql"
)

// victim names the directory in which the process started by TestKill acts
// until it is killed.
const victim = "VOUSSOIR_TEST_VICTIM"

// TestKill kills a process around the durable commit of a consent and of a code,
// and looks at what it left: nothing, or all of it.
func TestKill(t *testing.T) {
	person := identity.PersonID{9}
	if dir := os.Getenv(victim); dir != "" {
		r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
		must(t, err)
		if os.Getenv("VOUSSOIR_TEST_ACT") == "consume" {
			_, err = r.Consume(t.Context(), "code", "x", day().Add(time.Minute), day())
		} else {
			rec, s, e := benchRecord(person)
			err = r.Record(t.Context(), rec, &s, e)
		}
		t.Fatalf("still alive: %v", err)
	}
	for _, point := range []string{"records.before-commit", "records.after-commit"} {
		there := point == "records.after-commit"
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			for range 20 {
				kill(t, dir, point, "record")
				r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
				must(t, err)
				receipts, err := r.Receipts(t.Context(), person)
				must(t, err)
				standing, err := r.Standing(t.Context(), person, "city-library", day())
				must(t, err)
				entries, err := r.CountEntries(t.Context())
				must(t, err)
				must(t, r.Close())
				if (len(receipts) > 0) != there || (standing != nil) != there || entries != int64(len(receipts)) {
					t.Fatalf("%d receipts, standing %v, %d entries, want them there: %t", len(receipts), standing, entries, there)
				}
			}
			kill(t, dir, point, "consume")
			r := openRecords(t, dir)
			first, err := r.Consume(t.Context(), "code", "x", day().Add(time.Minute), day())
			if must(t, err); first == there {
				t.Errorf("Consume after the kill = %t, want %t", first, !there)
			}
		})
	}
}

// kill runs this test in a process of its own and waits for its violent end.
func kill(t *testing.T, dir, point, act string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), victim+"="+dir, "VOUSSOIR_TEST_ACT="+act, "VOUSSOIR_FAILPOINT="+point)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the victim was not killed: %v\n%s", err, out)
	}
}
