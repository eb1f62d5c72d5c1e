package sql_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/notices"
	"github.com/voussoir-id/voussoir/store/sql"
)

func TestRecords_TellOfCommitsAndOfWhatWaits(t *testing.T) {
	var commits, failed atomic.Int32
	r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: t.TempDir(), Now: day, Committed: func(_ time.Duration, err error) {
		if commits.Add(1); err != nil {
			failed.Add(1)
		}
	}})
	must(t, err)
	must(t, r.AddNotices(t.Context(), notices.Notice{ID: "a", Kind: "k", Client: "c", Due: day(), Expires: day()}, notices.Notice{ID: "b", Kind: "k", Client: "c", Due: day(), Expires: day()}))
	if n, err := r.WaitingNotices(t.Context()); err != nil || n != 2 {
		t.Errorf("%d notices wait, %v; want 2", n, err)
	}
	if r.Queued() != 0 {
		t.Errorf("%d writes wait, want none", r.Queued())
	}
	if commits.Load() != 1 || failed.Load() != 0 {
		t.Errorf("%d commits, %d failed; want 1 and 0", commits.Load(), failed.Load())
	}
	// A job that ends its own transaction says nothing about the store.
	if err := r.AddNotices(t.Context(), notices.Notice{ID: "a", Kind: "k", Client: "c", Due: day(), Expires: day()}); err == nil {
		t.Error("an id twice")
	}
	if commits.Load() != 1 {
		t.Errorf("%d commits, want 1", commits.Load())
	}
	must(t, r.Close())
}
