package sql_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/store/sql"
)

func TestStops_HoldAcrossARestartAndEachHasItsEntry(t *testing.T) {
	dir := t.TempDir()
	r := openRecords(t, dir)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	stop := sql.Stop{Kind: sql.StopProvider, ID: "tax", Reason: "its key was stolen", Since: at}
	entry := func(n byte) audit.Entry {
		return audit.Entry{ID: [16]byte{n}, Time: at, Public: []byte(`{}`), Sealed: []byte("x"), Leaf: [32]byte{n}}
	}
	must(t, r.PutStop(t.Context(), stop, entry(1)))
	if err := r.PutStop(t.Context(), stop, entry(2)); !errors.Is(err, sql.ErrStopped) {
		t.Errorf("a second stop: %v", err)
	}
	if err := r.LiftStop(t.Context(), sql.StopClient, "tax", entry(3)); !errors.Is(err, sql.ErrNotStopped) {
		t.Errorf("a client of the same name: %v", err)
	}
	must(t, r.Close())
	r = openRecords(t, dir)
	got, err := r.Stops(t.Context())
	must(t, err)
	if !slices.Equal(got, []sql.Stop{stop}) {
		t.Errorf("Stops = %+v, want %+v", got, stop)
	}
	must(t, r.LiftStop(t.Context(), sql.StopProvider, "tax", entry(4)))
	if got, err = r.Stops(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("after the lift: %v, %v", got, err)
	}
}
