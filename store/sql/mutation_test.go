package sql

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/keys"
)

// The number of mutations, of those with -short, and of vandals who share them, each
// with a log of its own.
const (
	mutations      = 10_000
	mutationsShort = 180
	vandals        = 2
)

// vandal changes a copy of a log in a transaction that is rolled back afterwards.
type vandal struct {
	*treeWorld
	t          *testing.T
	rand       *rand.Rand
	conn       *sql.Conn
	store      *Records // reads what the vandal has written
	size       int64
	remembered [][]byte     // by an auditor, elsewhere; the newest is of the whole log
	stolen     *keys.Notary // a copy of the keys from before a rotation
}

// TestVerify_FindsEachOf10000Mutations_LE_01_02_03_04_05 does to a copy of a log,
// made by the broker's own code, what somebody with the database in their hands can
// do, in nine ways. Each must be found, and the index that is named must be the
// one that was touched, or, where a whole history was signed anew, lie between the
// last checkpoint from before and the change.
//
// VOUSSOIR_SEED makes it another 10,000.
func TestVerify_FindsEachOf10000Mutations_LE_01_02_03_04_05(t *testing.T) {
	n, seed := mutations, uint64(1)
	if testing.Short() {
		n = mutationsShort
	}
	if given, err := strconv.ParseUint(os.Getenv("VOUSSOIR_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("VOUSSOIR_SEED=%d", seed)
	for part := range vandals {
		t.Run(fmt.Sprint("vandal ", part), func(t *testing.T) {
			t.Parallel()
			newVandal(t, rand.New(rand.NewPCG(seed, uint64(part)))).rage(t, n/vandals)
		})
	}
}

// rage does n mutations, one after the other.
func (v *vandal) rage(t *testing.T, n int) {
	t.Helper()
	if r := v.verify(t, v.store, v.remembered...); !r.OK() {
		t.Fatalf("before any mutation: %v", r.Findings)
	}
	kinds := []struct {
		name string
		do   func(*vandal) (low, high int64, what string)
		with [][]byte // the checkpoints that were remembered elsewhere, without which it cannot be found
	}{
		{"bit", (*vandal).bit, nil}, {"delete", (*vandal).delete, nil}, {"swap", (*vandal).swap, nil}, {"insert", (*vandal).insert, nil},
		{"duplicate", (*vandal).duplicate, nil}, {"truncate", (*vandal).truncate, v.remembered}, {"restore an old backup", (*vandal).backup, v.remembered},
		{"fork", (*vandal).fork, v.remembered}, {"re-sign with a retired key", (*vandal).resign, nil},
	}
	for i := range n {
		kind := kinds[i%len(kinds)]
		v.exec("BEGIN")
		low, high, what := kind.do(v)
		r := v.verify(t, v.store, kind.with...)
		v.exec("ROLLBACK")
		switch {
		case r.OK():
			t.Fatalf("mutation %d, %s (%s): not found", i, kind.name, what)
		case r.First().Index < low || r.First().Index > high:
			t.Fatalf("mutation %d, %s (%s): index %d is named, want %d to %d: %v", i, kind.name, what, r.First().Index, low, high, r.Findings)
		}
	}
	if r := v.verify(t, v.store, v.remembered...); !r.OK() {
		t.Errorf("after all mutations: %v", r.Findings)
	}
}

// newVandal makes a log of some 700 entries with a rotation in the middle, and a
// copy of it.
func newVandal(t *testing.T, r *rand.Rand) *vandal {
	t.Helper()
	w := newTreeWorld(t, t.TempDir())
	v := &vandal{treeWorld: w, t: t, rand: r}
	for i := range 230 {
		w.visit(t, fmt.Sprint("service-", i%7))
		switch {
		case i == 100:
			v.stolen = stealKeys(t, w)
			if err := w.ring.Rotate(t.Context(), keys.ForCheckpoints, keys.NoteSigning); err != nil {
				t.Fatal(err)
			}
		case i%20 == 0:
			w.now = w.now.Add(checkpointEvery)
			c := w.sequence(t)
			v.remembered = append(v.remembered, c.Note)
		}
	}
	c := w.sequence(t)
	v.size = c.Size
	v.remembered = append(v.remembered, c.Note)
	if err := w.records.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(w.dir, "records.db"))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "records.db")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+copied)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if v.conn, err = db.Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.exec("PRAGMA ignore_check_constraints = 1") // a vandal has no scruples
	d := &database{reader: newReader(v.conn, noTurn{})}
	t.Cleanup(func() { d.forget(); v.conn.Close() })
	v.store = &Records{db: d}
	return v
}

// stealKeys copies the keys as they are now.
func stealKeys(t *testing.T, w *treeWorld) *keys.Notary {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), keys.Config{File: copied, Secret: bytes.Repeat([]byte{1}, 32), Algs: []string{"ES256"}, Checkpoints: true, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.Close)
	return ring.Notary(treeOrigin)
}

func (v *vandal) exec(query string, args ...any) {
	v.t.Helper()
	if _, err := v.conn.ExecContext(context.Background(), query, args...); err != nil {
		v.t.Fatalf("%s: %v", query, err)
	}
}

func (v *vandal) one(query string, dest any, args ...any) {
	v.t.Helper()
	if err := v.conn.QueryRowContext(context.Background(), query, args...).Scan(dest); err != nil {
		v.t.Fatalf("%s: %v", query, err)
	}
}

func (v *vandal) index() int64 { return v.rand.Int64N(v.size) }

// seqOf is the place of the entry of an index.
func (v *vandal) seqOf(index int64) (seq int64) {
	v.one("SELECT seq FROM audit_leaves WHERE idx = $1", &seq, index)
	return seq
}

// bit changes one bit of anything that the log is made of.
func (v *vandal) bit() (int64, int64, string) {
	i := v.index()
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[v.rand.IntN(len(b))] ^= 1 << v.rand.IntN(8)
		return b
	}
	switch cell := v.rand.IntN(9); cell {
	case 0, 1, 2, 3:
		column := []string{"id", "public", "sealed", "leaf"}[cell]
		var b []byte
		v.one("SELECT "+column+" FROM audit_entries WHERE seq = $1", &b, v.seqOf(i))
		v.exec("UPDATE audit_entries SET "+column+" = $1 WHERE seq = $2", flip(b), v.seqOf(i))
		return i, i, column
	case 4:
		v.exec("UPDATE audit_entries SET time = (time | $1) - (time & $1) WHERE seq = $2", int64(1)<<v.rand.IntN(50), v.seqOf(i))
		return i, i, "time"
	case 5:
		var b []byte
		v.one("SELECT commitment FROM audit_leaves WHERE idx = $1", &b, i)
		v.exec("UPDATE audit_leaves SET commitment = $1 WHERE idx = $2", flip(b), i)
		return i, i, "commitment"
	case 6:
		v.exec("UPDATE audit_leaves SET version = (version | $1) - (version & $1) WHERE idx = $2", int64(1)<<v.rand.IntN(8), i)
		return i, i, "version"
	case 7:
		var level, n int64
		var b []byte
		v.one("SELECT level FROM audit_tiles ORDER BY random() LIMIT 1", &level)
		v.one("SELECT n FROM audit_tiles WHERE level = $1 ORDER BY random() LIMIT 1", &n, level)
		v.one("SELECT hashes FROM audit_tiles WHERE level = $1 AND n = $2", &b, level, n)
		changed := flip(b)
		v.exec("UPDATE audit_tiles SET hashes = $1 WHERE level = $2 AND n = $3", changed, level, n)
		at := 0
		for b[at] == changed[at] {
			at++
		}
		first := (n*256 + int64(at/32)) << (8 * level)
		return first, first, fmt.Sprint("tile ", level, "/", n)
	default:
		var size int64
		var b []byte
		v.one("SELECT size FROM audit_checkpoints ORDER BY random() LIMIT 1", &size)
		column := []string{"root", "note"}[v.rand.IntN(2)]
		v.one("SELECT "+column+" FROM audit_checkpoints WHERE size = $1", &b, size)
		v.exec("UPDATE audit_checkpoints SET "+column+" = $1 WHERE size = $2", flip(b), size)
		var low int64
		v.one("SELECT coalesce(max(size), 0) FROM audit_checkpoints WHERE size < $1", &low, size)
		return low, low, fmt.Sprintf("%s of the checkpoint of %d", column, size)
	}
}

func (v *vandal) delete() (int64, int64, string) {
	i := v.index()
	switch v.rand.IntN(4) {
	case 0:
		v.exec("DELETE FROM audit_entries WHERE seq = $1", v.seqOf(i))
		return i, i, "entry"
	case 1:
		v.exec("DELETE FROM audit_leaves WHERE idx = $1", i)
		return i, i, "leaf"
	case 2: // and all that follow move up
		v.exec("DELETE FROM audit_entries WHERE seq = $1", v.seqOf(i))
		v.exec("DELETE FROM audit_leaves WHERE idx = $1", i)
		v.exec("UPDATE audit_leaves SET idx = -idx WHERE idx > $1", i)
		v.exec("UPDATE audit_leaves SET idx = -idx - 1 WHERE idx < 0", i)
		return i, i, "entry and leaf, the others moved up"
	default:
		n := v.rand.Int64N((v.size + 255) / 256)
		v.exec("DELETE FROM audit_tiles WHERE level = 0 AND n = $1", n)
		return n * 256, n * 256, "tile"
	}
}

func (v *vandal) swap() (int64, int64, string) {
	i, j := v.index(), v.index()
	for i == j {
		j = v.index()
	}
	if v.rand.IntN(2) == 0 { // the places
		a, b := v.seqOf(i), v.seqOf(j)
		v.exec("UPDATE audit_leaves SET seq = -1 WHERE idx = $1", i)
		v.exec("UPDATE audit_leaves SET seq = $1 WHERE idx = $2", a, j)
		v.exec("UPDATE audit_leaves SET seq = $1 WHERE idx = $2", b, i)
		return min(i, j), min(i, j), "places"
	}
	v.exec("UPDATE audit_leaves SET idx = -1 WHERE idx = $1", i) // everything
	v.exec("UPDATE audit_leaves SET idx = $1 WHERE idx = $2", i, j)
	v.exec("UPDATE audit_leaves SET idx = $1 WHERE idx = -1", j)
	return min(i, j), min(i, j), "leaves"
}

// forge is an entry that the broker never wrote, at a place that is free.
func (v *vandal) forge(seq int64, copyOf *int64) {
	var id [16]byte
	for i := range id {
		id[i] = byte(v.rand.Uint32())
	}
	e := audit.Entry{Version: audit.Closed, ID: id, Public: []byte(`{"time":"2026-03-29T12:00:00Z","kind":"consent.given","outcome":"ok"}`), Sealed: make([]byte, 80)}
	if copyOf != nil {
		v.one("SELECT public FROM audit_entries WHERE seq = $1", &e.Public, *copyOf)
		v.one("SELECT sealed FROM audit_entries WHERE seq = $1", &e.Sealed, *copyOf)
	}
	leaf := audit.LeafHash(e)
	v.exec("INSERT INTO audit_entries (id, time, public, sealed, leaf) SELECT $1, time, $2, $3, $4 FROM audit_entries WHERE seq = (SELECT min(seq) FROM audit_entries WHERE seq > 0)", e.ID[:], e.Public, e.Sealed, leaf[:])
	v.exec("UPDATE audit_entries SET seq = $1 WHERE id = $2", seq, e.ID[:])
}

func (v *vandal) insert() (int64, int64, string) { return v.add(false) }

func (v *vandal) duplicate() (int64, int64, string) { return v.add(true) }

func (v *vandal) add(again bool) (int64, int64, string) {
	i := v.index()
	var original *int64
	if at := v.seqOf(i); again {
		original = &at
	}
	switch v.rand.IntN(3) {
	case 0: // where nobody looks
		v.forge(-v.rand.Int64N(1000), original)
		return 0, 0, "before the first place"
	case 1: // in the middle, the others moved on
		v.forge(1_000_000, original)
		v.exec("UPDATE audit_leaves SET idx = -idx - 1 WHERE idx >= $1", i)
		v.exec("UPDATE audit_leaves SET idx = -idx WHERE idx < 0")
		v.exec("INSERT INTO audit_leaves (idx, seq, version, commitment) VALUES ($1, 1000000, 2, (SELECT commitment FROM audit_leaves WHERE idx = $2))", i, i+1)
		return i, i, "in the middle"
	default: // in the place of another
		v.forge(1_000_000, original)
		v.exec("UPDATE audit_leaves SET seq = 1000000 WHERE idx = $1", i)
		return i, i, "in the place of another"
	}
}

// rewind cuts everything down to a checkpoint that was really signed.
func (v *vandal) rewind(size int64) {
	seq := v.seqOf(size - 1)
	v.exec("DELETE FROM audit_leaves WHERE idx >= $1", size)
	v.exec("DELETE FROM audit_entries WHERE seq > $1", seq)
	v.exec("DELETE FROM audit_checkpoints WHERE size > $1", size)
	v.retile(size)
}

// retile makes the tiles anew, as they would be over the entries that are there.
func (v *vandal) retile(size int64) tlog.Hash {
	var hashes []tlog.Hash
	var leaves []tlog.Hash
	rows := func(l *audit.Leaf) error { leaves = append(leaves, tlog.Hash(l.Statement().LeafHash())); return nil }
	if err := v.store.Leaves(context.Background(), 0, size, rows); err != nil {
		v.t.Fatal(err)
	}
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = hashes[at]
		}
		return out, nil
	})
	for n, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(n), leaf, reader)
		if err != nil {
			v.t.Fatal(err)
		}
		hashes = append(hashes, more...)
	}
	v.exec("DELETE FROM audit_tiles")
	for _, tile := range tlog.NewTiles(8, 0, size) {
		data, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			v.t.Fatal(err)
		}
		v.exec("INSERT INTO audit_tiles (level, n, hashes) VALUES ($1, $2, $3)", tile.L, tile.N, data)
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		v.t.Fatal(err)
	}
	return root
}

// oldSize is the size of a checkpoint that is kept, and not the newest.
func (v *vandal) oldSize() (size int64) {
	v.one("SELECT size FROM audit_checkpoints WHERE size < $1 ORDER BY random() LIMIT 1", &size, v.size)
	return size
}

func (v *vandal) truncate() (int64, int64, string) {
	size := v.oldSize()
	v.rewind(size)
	return size, size, fmt.Sprint("to ", size)
}

// backup is an old state, after which the broker went on for a while.
func (v *vandal) backup() (int64, int64, string) {
	size := v.oldSize()
	v.rewind(size)
	more := v.rand.Int64N(v.size - size)
	v.goOn(size, more)
	return size, size + more, fmt.Sprintf("of size %d, and %d more", size, more)
}

// goOn appends other entries, signed with the real key.
func (v *vandal) goOn(size, more int64) {
	if more == 0 {
		return
	}
	for i := range more {
		v.forge(2_000_000+i, nil)
		v.exec("INSERT INTO audit_leaves (idx, seq, version, commitment) VALUES ($1, $2, 2, $3)", size+i, 2_000_000+i, sum(make([]byte, 80)))
	}
	v.exec("UPDATE audit_entries SET time = 1774785600000000 WHERE seq >= 2000000")
	root := v.retile(size + more)
	text := checkpointOf(size+more, root)
	signed, err := v.ring.Notary(treeOrigin).SignNote(context.Background(), text)
	if err != nil {
		v.t.Fatal(err)
	}
	v.exec("INSERT INTO audit_checkpoints (size, root, time, seq, note) VALUES ($1, $2, 0, $3, $4)", size+more, root[:], 2_000_000+more-1, signed)
}

func sum(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

func checkpointOf(size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", treeOrigin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// fork is another history, longer than the one that was remembered.
func (v *vandal) fork() (int64, int64, string) {
	size := v.oldSize()
	v.rewind(size)
	more := v.size - size + 1 + v.rand.Int64N(20)
	v.goOn(size, more)
	return size, size, fmt.Sprintf("at %d", size)
}

// resign changes an entry and everything that follows from it, and signs with a
// key that ended before.
func (v *vandal) resign() (int64, int64, string) {
	i := v.index()
	seq := v.seqOf(i)
	var e audit.Entry
	var id []byte
	var version int64
	v.one("SELECT id FROM audit_entries WHERE seq = $1", &id, seq)
	v.one("SELECT public FROM audit_entries WHERE seq = $1", &e.Public, seq)
	v.one("SELECT sealed FROM audit_entries WHERE seq = $1", &e.Sealed, seq)
	v.one("SELECT version FROM audit_leaves WHERE idx = $1", &version, i)
	e.ID, e.Version = [16]byte(id), audit.Version(version)
	e.Public = append(e.Public[:len(e.Public)-1], `,"basis":"forged"}`...)
	leaf := audit.LeafHash(e)
	v.exec("UPDATE audit_entries SET public = $1, leaf = $2 WHERE seq = $3", e.Public, leaf[:], seq)
	root := v.retile(v.size)
	signed, err := v.stolen.SignNote(context.Background(), checkpointOf(v.size, root))
	if err != nil {
		v.t.Fatal(err)
	}
	v.exec("UPDATE audit_checkpoints SET root = $1, note = $2 WHERE size = $3", root[:], signed, v.size)
	// All later checkpoints are gone with what they vouched for.
	v.exec("DELETE FROM audit_checkpoints WHERE size > $1 AND size < $2", i, v.size)
	var low int64
	v.one("SELECT coalesce(max(size), 0) FROM audit_checkpoints WHERE size <= $1", &low, i)
	return low, i, fmt.Sprint("at ", i)
}
