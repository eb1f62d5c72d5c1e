package sql

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
)

const treeOrigin = "id.test/audit"

// treeWorld is a log as a broker has it: records, keys, log and sequencer.
type treeWorld struct {
	dir     string
	records *Records
	ring    *keys.Ring
	log     *audit.Log
	seq     *audit.Sequencer
	now     time.Time
	person  identity.Person
}

// newTreeWorld opens the world in dir, or begins one.
func newTreeWorld(t testing.TB, dir string) *treeWorld {
	t.Helper()
	w := &treeWorld{dir: dir, now: clock()}
	var err error
	if w.records, err = OpenRecords(t.Context(), Config{Dir: dir, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.records.Close() })
	w.ring, err = keys.Open(t.Context(), keys.Config{
		File: filepath.Join(dir, "keys"), Secret: bytes.Repeat([]byte{1}, 32), Algs: []string{"ES256"}, Checkpoints: true, Now: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.ring.Close)
	if w.log, err = audit.New(audit.Config{Store: w.records, Sealer: w.ring, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	if err := w.ring.AuditTo(t.Context(), w.log); err != nil {
		t.Fatal(err)
	}
	w.seq = w.sequencer(t)
	key, err := w.ring.NewWrappedKey()
	if err != nil {
		t.Fatal(err)
	}
	if w.person, err = w.records.Resolve(t.Context(), [32]byte{9}, identity.Person{ID: identity.PersonID{9}, SealKey: key}, w.now); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *treeWorld) clock() time.Time { return w.now }

func (w *treeWorld) sequencer(t testing.TB) *audit.Sequencer {
	t.Helper()
	s, err := audit.NewSequencer(audit.SequencerConfig{Store: w.records, Notary: w.ring.Notary(treeOrigin), Origin: treeOrigin, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visit appends one visit's worth of entries.
func (w *treeWorld) visit(t testing.TB, service string) audit.Receipt {
	t.Helper()
	w.now = w.now.Add(time.Second)
	flow := audit.Personal{Flow: "flow-of-" + service}
	hers := audit.Personal{Person: fmt.Sprintf("%x", w.person.ID[:]), Flow: flow.Flow, Grant: "g", Provider: "tax"}
	r, err := w.log.Append(t.Context(),
		audit.Event{Public: audit.Public{Kind: audit.LoginStarted, Client: service, Outcome: "ok"}, Personal: flow},
		audit.Event{Public: audit.Public{Kind: audit.LoginVerified, Client: service, ACR: "eidas1", Outcome: "ok"}, Personal: hers, SealKey: w.person.SealKey},
		audit.Event{Public: audit.Public{Kind: audit.ConsentGiven, Client: service, Claims: []string{"given_name"}, Outcome: "ok"}, Personal: hers, SealKey: w.person.SealKey})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *treeWorld) sequence(t testing.TB) audit.Checkpoint {
	t.Helper()
	if err := w.seq.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := w.records.LastCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *treeWorld) keys(t testing.TB) (all []audit.VerifierKey, active string) {
	t.Helper()
	list, err := w.ring.Notary(treeOrigin).Keys()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range list {
		all = append(all, audit.VerifierKey{KID: k.KID, Verifier: k.Verifier})
		if k.State == keys.Active {
			active = k.Verifier
		}
	}
	return all, active
}

func (w *treeWorld) verify(t testing.TB, store audit.VerifyStore, remembered ...[]byte) *audit.Report {
	t.Helper()
	all, _ := w.keys(t)
	r, err := (&audit.Verifier{Store: store, Origin: treeOrigin, Keys: all, Remembered: remembered}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *treeWorld) holds(t testing.TB, size int64, remembered ...[]byte) {
	t.Helper()
	if r := w.verify(t, w.records, remembered...); !r.OK() || r.Size != size || r.Pending != 0 {
		t.Errorf("verification: size %d, %d pending, findings %v; want size %d and nothing wrong", r.Size, r.Pending, r.Findings, size)
	}
}

func TestTree_EachEntryHasItsIndexAndItsProof_RFC6962_2_1(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	var ids [][16]byte
	for i := range 300 { // more than a batch, and more than three tiles
		ids = append(ids, w.visit(t, fmt.Sprint("service-", i)).ID)
		if i%70 == 0 {
			w.sequence(t)
		}
	}
	n, err := w.records.CountEntries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := w.sequence(t); c.Size != n {
		t.Fatalf("the tree has %d leaves, want %d", c.Size, n)
	}
	w.holds(t, n)
	tree, err := audit.NewTree(w.records)
	if err != nil {
		t.Fatal(err)
	}
	_, key := w.keys(t)
	for i, id := range ids {
		p, err := tree.Prove(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		back, err := audit.ParseProof(p.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := back.Verify(treeOrigin, key); err != nil {
			t.Errorf("proof %d: %v", i, err)
		}
		var public audit.Public
		if json.Unmarshal(back.Statement.Public, &public) != nil || public.Client != fmt.Sprint("service-", i) {
			t.Errorf("proof %d is about %s", i, back.Statement.Public)
		}
	}
	if _, err := tree.Prove(t.Context(), [16]byte{1}); !errors.Is(err, audit.ErrNotInTree) {
		t.Errorf("Prove of nothing = %v, want ErrNotInTree", err)
	}
}

func TestTree_ReceiptsFailAfterAnyChange(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	for range 5 {
		w.visit(t, "library")
	}
	id := w.visit(t, "library").ID
	w.sequence(t)
	tree, err := audit.NewTree(w.records)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tree.Prove(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	_, key := w.keys(t)
	good := p.Encode()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		back, err := audit.ParseProof(bad)
		if err != nil {
			continue
		}
		if _, err := back.Verify(treeOrigin, key); err == nil {
			t.Errorf("a receipt with byte %d changed still verifies", i)
		}
	}
	if _, err := p.Verify("other.test/audit", key); err == nil {
		t.Error("a receipt of this log verifies as one of another")
	}
}

// TestTree_CrashesLeaveARightTree: the transaction takes effect or not, and the
// sequencer may know which or not.
func TestTree_CrashesLeaveARightTree(t *testing.T) {
	for _, point := range []string{"records.before-commit", "records.after-commit"} {
		t.Run(point, func(t *testing.T) {
			w := newTreeWorld(t, t.TempDir())
			w.visit(t, "library")
			w.sequence(t)
			for range 4 {
				w.visit(t, "library")
				cutAt(t, w.records.db.writer, point)
				if err := w.seq.Sequence(t.Context()); !errors.Is(err, errCut) {
					t.Fatalf("Sequence = %v, want the cut", err)
				}
				w.sequence(t)
			}
			n, _ := w.records.CountEntries(t.Context())
			w.holds(t, n)
		})
	}
}

// TestTree_TwoProcessesOnOneFile: whoever sequences, and whoever was asleep, the
// tree never forks; a dead holder's lease ends, whatever the clock did.
func TestTree_TwoProcessesOnOneFile_LE_04(t *testing.T) {
	dir := t.TempDir()
	w := newTreeWorld(t, dir)
	other := newTreeWorld(t, dir)
	w.visit(t, "library")
	w.sequence(t)
	w.visit(t, "library")
	other.now = w.now
	if err := other.seq.Sequence(t.Context()); !errors.Is(err, audit.ErrLeased) {
		t.Errorf("Sequence of the other = %v, want ErrLeased", err)
	}
	w.now = w.now.Add(time.Minute) // it is asleep, and its lease has ended
	other.now = w.now
	if c := other.sequence(t); c.Size == 0 {
		t.Error("nothing was sequenced")
	}
	w.visit(t, "library")
	other.now = other.now.Add(-time.Hour) // the clock is put back while the other is gone for good
	w.now = other.now
	first := w.sequence(t)
	n, _ := w.records.CountEntries(t.Context())
	if first.Size != n {
		t.Errorf("the tree has %d leaves, want %d", first.Size, n)
	}
	var group sync.WaitGroup
	for _, one := range []*treeWorld{w, other} {
		group.Go(func() {
			for range 50 {
				if _, err := one.log.Append(t.Context(), audit.Event{Public: audit.Public{Kind: audit.LoginStarted}}); err != nil {
					t.Error(err)
				}
				if err := one.seq.Sequence(t.Context()); err != nil && !errors.Is(err, audit.ErrLeased) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	w.now = w.now.Add(time.Minute)
	w.sequence(t)
	w.holds(t, n+100, first.Note)
}

// TestTree_EntriesOfAnOlderVersionComeIntoIt opens records from before there was a
// tree.
func TestTree_EntriesOfAnOlderVersionComeIntoIt(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "records.db"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations/records")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	// The bytes of an entry of that version, and the leaf hash that it had.
	old, err := os.ReadFile("testdata/entries-before-tree.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), string(old)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w := newTreeWorld(t, dir)
	w.visit(t, "library")
	c := w.sequence(t)
	n, _ := w.records.CountEntries(t.Context())
	if c.Size != n {
		t.Errorf("the tree has %d leaves, want %d", c.Size, n)
	}
	w.holds(t, n)
}

// TestTree_PersonalPartsGoAndTheTreeStays_LE_08: a canary that stands for what was
// sealed, and for a key, is in no file afterwards: not in free pages, not in the
// write-ahead log.
func TestTree_PersonalPartsGoAndTheTreeStays_LE_08(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	var receipts []audit.Proof
	tree, err := audit.NewTree(w.records)
	if err != nil {
		t.Fatal(err)
	}
	var old [][]byte
	id := w.visit(t, "library").ID
	for range 200 {
		w.visit(t, "library")
	}
	border := w.sequence(t).Size
	p, err := tree.Prove(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	receipts = append(receipts, p)
	err = w.records.Leaves(t.Context(), 0, border, func(l *audit.Leaf) error {
		old = append(old, bytes.Clone(l.Sealed))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.AddDate(3, 0, 1)
	young := w.visit(t, "library").ID
	w.sequence(t)
	upTo, err := w.records.Expirable(t.Context(), w.now.AddDate(-3, 0, 0))
	if err != nil || upTo != border {
		t.Fatalf("Expirable = %d, %v, want %d", upTo, err, border)
	}
	if _, err := w.log.Append(t.Context(), audit.Event{Public: audit.ExpiryOf(upTo)}); err != nil {
		t.Fatal(err)
	}
	w.sequence(t)
	if n, err := w.records.Expire(t.Context(), upTo); err != nil || n != border {
		t.Fatalf("Expire = %d, %v, want %d", n, err, border)
	}
	if err := w.records.EraseKey(t.Context(), w.person.ID); err != nil {
		t.Fatal(err)
	}
	for i, canary := range append(old, w.person.SealKey) {
		for _, name := range []string{"records.db", "records.db-wal"} {
			b, err := os.ReadFile(filepath.Join(w.dir, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			for at := 0; at+24 <= len(canary); at += 24 { // a piece is too much
				if bytes.Contains(b, canary[at:at+24]) {
					t.Fatalf("canary %d is still in %s", i, name)
				}
			}
		}
	}
	n, _ := w.records.CountEntries(t.Context())
	w.holds(t, n)
	_, key := w.keys(t)
	for _, p := range receipts {
		if _, err := p.Verify(treeOrigin, key); err != nil {
			t.Errorf("a receipt from before: %v", err)
		}
	}
	leaf, err := w.records.LeafOf(t.Context(), young)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.log.Open(leaf.Entry, w.person.SealKey); err != nil {
		t.Errorf("a younger entry does not open with the key (which only this test still has): %v", err)
	}
	if upTo, err := w.records.Expirable(t.Context(), w.now.AddDate(-3, 0, 0)); err != nil || upTo != 0 {
		t.Errorf("Expirable again = %d, %v, want nothing to do", upTo, err)
	}
}

// TestTree_AnUnannouncedLossIsFound: what retention may do, nobody else may.
func TestTree_AnUnannouncedLossIsFound(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	w.visit(t, "library")
	w.sequence(t)
	if _, err := w.records.Expire(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if r := w.verify(t, w.records); r.OK() || r.First().Index != 0 || !strings.Contains(r.First().What, "personal part is missing") {
		t.Errorf("findings %v, want the loss at 0", r.Findings)
	}
}

// TestTree_RotationIsExact_LE_05: a checkpoint over the end of a key is signed by the
// next one, and the old receipts still verify.
func TestTree_RotationIsExact_LE_05(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	w.visit(t, "library")
	before := w.sequence(t)
	_, first := w.keys(t)
	other := newTreeWorld(t, w.dir) // the operator's command is another process
	if err := other.ring.Rotate(t.Context(), keys.ForCheckpoints, keys.NoteSigning); err != nil {
		t.Fatal(err)
	}
	after := w.sequence(t)
	_, second := other.keys(t)
	if first == second {
		t.Fatal("the key did not change")
	}
	if _, _, err := audit.OpenCheckpoint(before.Note, treeOrigin, first); err != nil {
		t.Errorf("before: %v", err)
	}
	if _, _, err := audit.OpenCheckpoint(after.Note, treeOrigin, second); err != nil {
		t.Errorf("after: %v", err)
	}
	n, _ := w.records.CountEntries(t.Context())
	w.holds(t, n, before.Note)
}

func TestTree_NothingIsSignedOverADamagedTree(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	w.visit(t, "library")
	c := w.sequence(t)
	err := w.records.db.do(t.Context(), func(x *tx) error {
		_, err := x.exec("UPDATE audit_tiles SET hashes = zeroblob(length(hashes)) WHERE level = $1", 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.visit(t, "library")
	if err := w.sequencer(t).Sequence(t.Context()); !errors.Is(err, audit.ErrDamaged) {
		t.Errorf("Sequence = %v, want ErrDamaged", err)
	}
	if again, err := w.records.LastCheckpoint(context.Background()); err != nil || again.Size != c.Size {
		t.Errorf("a checkpoint of size %d was signed (%v)", again.Size, err)
	}
}
