package sql_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/store/sql"
)

// flushVictim makes TestFlush act in its directory instead of starting a process.
const flushVictim = "VOUSSOIR_TEST_FLUSH"

// TestFlush_OneFailureStopsTheStore has the kernel fail one single flush of the
// records: the write under way must not be acknowledged, and no later one may be
// tried, though it would seem to succeed. Needs strace.
func TestFlush_OneFailureStopsTheStore(t *testing.T) {
	if dir := os.Getenv(flushVictim); dir != "" {
		flushUntilItFails(t, dir)
		return
	}
	if exec.Command("strace", "-o", os.DevNull, "true").Run() != nil {
		t.Skip("strace is not there or may not trace")
	}
	cmd := exec.Command("strace", "-f", "-o", os.DevNull, "-e", "inject=fsync,fdatasync:error=EIO:when=60",
		os.Args[0], "-test.run=^TestFlush_OneFailureStopsTheStore$", "-test.cpu=1")
	cmd.Env = append(os.Environ(), flushVictim+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func flushUntilItFails(t *testing.T, dir string) {
	r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
	must(t, err)
	consume := func(i int) error {
		_, err := r.Consume(t.Context(), "code", fmt.Sprint(i), day().Add(time.Minute), day())
		return err
	}
	for i := range 1000 {
		if err = consume(i); err != nil {
			break
		}
	}
	if !errors.Is(err, sql.ErrUnknownOutcome) {
		t.Fatalf("the write whose flush failed = %v, want ErrUnknownOutcome", err)
	}
	for i := range 3 {
		if err := consume(2000 + i); !errors.Is(err, sql.ErrBroken) {
			t.Errorf("a write after that = %v, want ErrBroken", err)
		}
	}
	if err := r.Ping(t.Context()); !errors.Is(err, sql.ErrBroken) {
		t.Errorf("Ping = %v, want ErrBroken", err)
	}
}
