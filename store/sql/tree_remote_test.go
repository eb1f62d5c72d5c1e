package sql

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
)

// TestRemote_WhatALogShowsIsHeldAgainstItself: a stranger with a key finds each part
// that is not the one that was signed.
func TestRemote_WhatALogShowsIsHeldAgainstItself_LE_01_03_04(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	var earlier [][]byte
	for i := range 120 {
		w.visit(t, "library")
		if i == 40 || i == 80 {
			earlier = append(earlier, w.sequence(t).Note)
		}
	}
	size := w.sequence(t).Size
	tree, err := audit.NewTree(w.records)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(_ context.Context, path string) ([]byte, error) {
		rec, serve := httptest.NewRecorder(), tree.ServeTile
		if path == "checkpoint" {
			serve = tree.ServeCheckpoint
		}
		if err := serve(rec, httptest.NewRequest(http.MethodGet, audit.PathPrefix+"/"+path, nil)); err != nil {
			return nil, err
		}
		if rec.Code != http.StatusOK {
			return nil, fmt.Errorf("%s: %d", path, rec.Code)
		}
		return rec.Body.Bytes(), nil
	}
	all, active := w.keys(t)
	for _, k := range all {
		if got, err := audit.KeyOf(k.Verifier); err != nil || got != k {
			t.Errorf("KeyOf = %v, %v, want %v", got, err, k)
		}
	}
	run := func(fetch func(context.Context, string) ([]byte, error), remembered ...[]byte) *audit.Report {
		t.Helper()
		key, err := audit.KeyOf(active)
		if err != nil {
			t.Fatal(err)
		}
		r, err := (&audit.Remote{Fetch: fetch, Origin: treeOrigin, Keys: []audit.VerifierKey{key}, Remembered: remembered}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(fetch, earlier...); !r.OK() || r.Size != size {
		t.Fatalf("an honest log of %d entries: %+v", size, r)
	}
	for _, tt := range []struct {
		name  string
		part  string
		at    int
		index int64
	}{
		{"a bit of the first record", "tile/entries/000", 9, 0},
		{"a length", "tile/entries/000", 1, 0},
		{"a hash of the last tile", "tile/0/001", 32 * 7, 256 + 7},
	} {
		r := run(func(ctx context.Context, path string) ([]byte, error) {
			b, err := fetch(ctx, path)
			if strings.HasPrefix(path, tt.part) {
				b[tt.at] ^= 1
			}
			return b, err
		})
		if r.OK() || r.First().Index != tt.index {
			t.Errorf("%s: %v, want index %d", tt.name, r.Findings, tt.index)
		}
	}
	cut := run(func(ctx context.Context, path string) ([]byte, error) {
		if path == "checkpoint" {
			return earlier[0], nil
		}
		return fetch(ctx, path)
	}, earlier[1])
	if cut.OK() || cut.First().Index != cut.Size {
		t.Errorf("a log that was cut: %v, want index %d", cut.Findings, cut.Size)
	}
	// A checkpoint of another history, signed with the same key.
	forked, _, err := audit.OpenCheckpoint(earlier[0], treeOrigin, active)
	if err != nil {
		t.Fatal(err)
	}
	note, err := w.ring.Notary(treeOrigin).SignNote(t.Context(), checkpointOf(forked.Size, [32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	if r := run(fetch, note); r.OK() || r.First().Index >= forked.Size {
		t.Errorf("a fork before %d: %v", forked.Size, r.Findings)
	}
}
