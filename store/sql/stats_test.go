package sql

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/stats"
)

// The real log of the real store, counted twice by two brokers.
func TestStats_ADayIsCountedOnceAndFromTheLog(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	var err error
	if w.log, err = audit.New(audit.Config{
		Store: w.records, Sealer: w.ring, Now: w.clock, Of: func(person string) (of [32]byte, err error) { copy(of[:], person); return of, nil },
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.visit(t, "library")
	}
	day := w.now.UTC().Format(time.DateOnly)
	w.now = w.now.AddDate(0, 0, 1)
	w.visit(t, "theatre")
	w.now = w.now.AddDate(0, 0, 1)
	counter, err := stats.New(w.records, w.clock)
	if err != nil {
		t.Fatal(err)
	}
	first, upTo, err := w.records.LastDay(t.Context())
	if err != nil || first != "" || upTo != 0 {
		t.Fatalf("LastDay = %s, %d, %v", first, upTo, err)
	}
	for _, want := range []bool{true, true, false} {
		if more, err := counter.Count(t.Context()); more != want || err != nil {
			t.Fatalf("Count = %t, %v, want %t", more, err, want)
		}
	}
	before, err := w.records.Days(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	library := []stats.Cell{
		{Service: "library", Outcome: stats.Passed, N: 3, People: 1}, {Service: "library", Outcome: stats.Passed, Whole: true, N: 3, People: 1},
	}
	if len(before) != 2 || before[0].Date != day {
		t.Fatalf("days %+v", before)
	}
	same(t, "cells", before[0].Cells, library)
	if err := w.records.PutDay(t.Context(), stats.Day{Date: day, Cells: []stats.Cell{{Service: "other", N: 9}}}, 1); err != nil { // another process, later
		t.Fatal(err)
	}
	after, err := w.records.Days(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "days", after, before)
	if later, err := w.records.Days(t.Context(), before[1].Date); err != nil || len(later) != 1 {
		t.Errorf("from the second day on: %+v, %v", later, err)
	}
}
