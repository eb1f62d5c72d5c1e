//go:build failpoints

package sql_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/provider"
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
		switch os.Getenv("VOUSSOIR_TEST_ACT") {
		case "consume":
			_, err = r.Consume(t.Context(), "code", "x", day().Add(time.Minute), day())
		case "rotate":
			next := refreshFamily()
			next.Current = provider.Digest{2}
			err = r.RotateFamily(t.Context(), refreshFamily().Current, next, day(), audit.Entry{ID: [16]byte{7}})
		case "end":
			err = r.EndFamily(t.Context(), refreshFamily().Grant, day().Add(time.Hour))
		default:
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
			killRefresh(t, point, there)
			kill(t, dir, point, "consume")
			r := openRecords(t, dir)
			first, err := r.Consume(t.Context(), "code", "x", day().Add(time.Minute), day())
			if must(t, err); first == there {
				t.Errorf("Consume after the kill = %t, want %t", first, !there)
			}
		})
	}
}

func refreshFamily() provider.StoredFamily {
	return provider.StoredFamily{Grant: "g", Client: "city-library", Current: provider.Digest{1}, Expires: day().Add(time.Hour)}
}

// killRefresh: a rotation is there with its entry or not at all, and so is an end.
func killRefresh(t *testing.T, point string, there bool) {
	t.Helper()
	dir := t.TempDir()
	r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
	must(t, err)
	must(t, r.PutFamily(t.Context(), refreshFamily(), day()))
	must(t, r.Close())
	kill(t, dir, point, "rotate")
	kill(t, dir, point, "end")
	r = openRecords(t, dir)
	f, err := r.GetFamily(t.Context(), provider.Digest{}, day())
	must(t, err)
	entries, err := r.CountEntries(t.Context())
	must(t, err)
	if (f.Current == provider.Digest{2}) != there || f.Ended != there || (entries == 1) != there {
		t.Errorf("rotated to %x, ended %t, %d entries, want it there: %t", f.Current[:1], f.Ended, entries, there)
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
