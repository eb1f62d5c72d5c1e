package sql

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
)

func TestClosePerson_LeavesNothingOfHersInTheFilesAndTheLogVerifies(t *testing.T) {
	w := newConsentWorld(t)
	of := [32]byte{0xc4}
	var err error
	if w.log, err = audit.New(audit.Config{Store: w.records, Sealer: w.ring, Now: w.clock, Of: func(string) ([32]byte, error) { return of, nil }}); err != nil {
		t.Fatal(err)
	}
	if w.ledger, err = consent.New(consent.Config{Store: w.records, Archive: w.records, Ender: w.ended, Audit: w.log, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	w.answers(t, "library", "grant-of-hers-1", nil)
	w.answers(t, "theatre", "grant-of-hers-2", nil)
	w.ended.err = os.ErrDeadlineExceeded // a withdrawal is on record and not carried out yet
	if _, err := w.ledger.Withdraw(t.Context(), consent.Withdrawal{Person: w.person, Client: "theatre"}); err == nil {
		t.Fatal("the withdrawal was carried out")
	}
	w.sequence(t)
	key := bytes.Clone(w.person.SealKey)
	hers := map[string][]byte{"her key": key, "a grant of hers": []byte("grant-of-hers-1"), "the digest of her entries": of[:]}
	for what, value := range hers {
		if !inFiles(t, w.dir, value) {
			t.Fatalf("%s is not in the files before: the search finds nothing", what)
		}
	}
	if all, err := w.records.EntriesOf(t.Context(), of, 0, 100); err != nil || len(all) != 3 || all[0].Seq < all[1].Seq {
		t.Fatalf("EntriesOf: %d, %v, want three, the newest first", len(all), err)
	}
	for range 2 { // whoever crashes before the files are scrubbed does it again
		e, err := w.log.Prepare(audit.Event{Public: audit.Public{Kind: audit.RecordClosed, Outcome: "ok"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.records.ClosePerson(t.Context(), w.person.ID, of, e); err != nil {
			t.Fatal(err)
		}
	}
	for what, value := range hers {
		if inFiles(t, w.dir, value) {
			t.Errorf("%s is in the files afterwards", what)
		}
	}
	if all, err := w.records.Receipts(t.Context(), w.person.ID); err != nil || len(all) != 0 {
		t.Errorf("receipts: %d, %v", len(all), err)
	}
	if all, err := w.records.EntriesOf(t.Context(), of, 0, 100); err != nil || len(all) != 0 {
		t.Errorf("entries: %d, %v", len(all), err)
	}
	if p, err := w.records.Person(t.Context(), w.person.ID); err != nil || len(p.SealKey) != 0 {
		t.Errorf("her key: %d bytes, %v", len(p.SealKey), err)
	}
	stops, err := w.records.PersonStops(t.Context())
	if err != nil || len(stops) != 1 || stops[0].Person != w.person.ID {
		t.Errorf("what she began before counts on: %+v, %v", stops, err)
	}
	w.ended.err = nil
	if err := w.ledger.Finish(t.Context()); err != nil {
		t.Errorf("Finish: %v", err)
	}
	w.now = w.now.Add(checkpointEvery)
	w.sequence(t)
	if r := w.verify(t, w.records); !r.OK() {
		t.Errorf("the log: %v", r.Findings)
	}
}

// inFiles looks for bytes in every file of the database.
func inFiles(t *testing.T, dir string, value []byte) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "records.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the database: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, value) {
			return true
		}
	}
	return false
}
