package sql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/failpoint"
)

// checkpointEvery is how close in time the checkpoints of the past are that are
// kept: each narrows down where a change of what came before it can be.
const checkpointEvery = 10 * time.Minute

const (
	// lastCheckpoint reads the newest checkpoint.
	lastCheckpoint = `SELECT size, root, time, seq, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1`
	// selectCheckpoints reads them all.
	selectCheckpoints = `SELECT size, root, time, seq, note FROM audit_checkpoints WHERE size > 0 ORDER BY size`
	// insertCheckpoint adds one.
	insertCheckpoint = `INSERT INTO audit_checkpoints (size, root, time, seq, note) VALUES ($1, $2, $3, $4, $5)`
	// thinCheckpoints drops the one before, unless it is to be kept.
	thinCheckpoints = `DELETE FROM audit_checkpoints WHERE size = $1 AND time / $2 = $3 / $2`
	// takeLease takes or keeps the lease. One that ends later than any could is from a
	// clock that was put back.
	takeLease = `INSERT INTO audit_lease (id, holder, until) VALUES (1, $1, $2)
	ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, until = excluded.until
	WHERE audit_lease.holder = excluded.holder OR audit_lease.until <= $3 OR audit_lease.until > excluded.until`
	// insertLeaf gives an entry its index.
	insertLeaf = `INSERT INTO audit_leaves (idx, seq, version, commitment) VALUES ($1, $2, $3, $4)`
	// putTile writes a tile, or more of it.
	putTile = `INSERT INTO audit_tiles (level, n, hashes) VALUES ($1, $2, $3)
	ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`
	// rewriteLeaf gives an entry from before there was a tree its leaf.
	rewriteLeaf = `UPDATE audit_entries SET leaf = $1 WHERE seq = $2`
	// selectTile reads a tile.
	selectTile = `SELECT hashes FROM audit_tiles WHERE level = $1 AND n = $2`
	// leafOf finds an entry in the tree.
	leafOf = `SELECT l.idx, l.seq, l.version, l.commitment, e.id, e.time, e.public, e.sealed, e.leaf
	FROM audit_entries e JOIN audit_leaves l ON l.seq = e.seq WHERE e.id = $1`
	// selectLeaves reads a stretch of the tree with its entries.
	selectLeaves = `SELECT l.idx, l.seq, l.version, l.commitment, e.id, e.time, e.public, e.sealed, e.leaf
	FROM audit_leaves l LEFT JOIN audit_entries e ON e.seq = l.seq WHERE l.idx >= $1 AND l.idx < $2 ORDER BY l.idx`
	// countPlaced counts the entries up to a place.
	countPlaced = `SELECT count(*) FROM audit_entries WHERE seq <= $1`
	// firstStray finds an entry that was passed over.
	firstStray = `SELECT e.seq, (SELECT count(*) FROM audit_leaves l2 WHERE l2.seq < e.seq) FROM audit_entries e
	WHERE e.seq <= $1 AND NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = e.seq) ORDER BY e.seq LIMIT 1`
	// countUnsigned counts indices that no checkpoint covers.
	countUnsigned = `SELECT count(*) FROM audit_leaves WHERE idx < 0 OR idx >= (SELECT coalesce(max(size), 0) FROM audit_checkpoints)`
)

var (
	_ audit.TreeStore    = (*Records)(nil)
	_ audit.ReadStore    = (*Records)(nil)
	_ audit.VerifyStore  = (*Records)(nil)
	_ audit.PublishStore = (*Records)(nil)
)

// LastCheckpoint implements audit.TreeStore.
func (r *Records) LastCheckpoint(ctx context.Context) (audit.Checkpoint, error) {
	c, err := scanCheckpoint(r.db.one(ctx, lastCheckpoint))
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Checkpoint{}, nil
	}
	return c, wrap(err, "read a checkpoint")
}

func scanCheckpoint(row scanner) (audit.Checkpoint, error) {
	var c audit.Checkpoint
	var root []byte
	var us int64
	if err := row.Scan(&c.Size, &root, &us, &c.Seq, &c.Note); err != nil {
		return c, err
	}
	c.Time = fromMicros(us)
	return c, fill(c.Root[:], root)
}

// Checkpoints calls each for the checkpoints that are kept, oldest first.
func (r *Records) Checkpoints(ctx context.Context, each func(audit.Checkpoint) error) error {
	err := r.db.all(ctx, func(row scanner) error {
		c, err := scanCheckpoint(row)
		if err != nil {
			return err
		}
		return each(c)
	}, selectCheckpoints)
	return wrap(err, "read checkpoints")
}

// Pending implements audit.TreeStore.
func (r *Records) Pending(ctx context.Context, after int64, limit int) ([]audit.Placed, error) {
	entries, err := r.Entries(ctx, after, limit)
	return entries, wrap(err, "read what has no index yet")
}

// Tile implements audit.TreeStore.
func (r *Records) Tile(ctx context.Context, level int, n int64) ([]byte, error) {
	var hashes []byte
	err := r.db.one(ctx, selectTile, level, n).Scan(&hashes)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return hashes, wrap(err, "read a tile")
}

// ExtendTree implements audit.TreeStore.
func (r *Records) ExtendTree(ctx context.Context, x audit.Extension) error {
	var no error
	err := r.db.queue(&job{ctx: ctx, apart: true, answer: make(chan error, 1), run: func(t *tx) (err error) {
		failpoint.Here("tree.before-extend")
		no, err = t.extend(x, r.cfg.Now())
		return err
	}})
	if err == nil && no == nil {
		failpoint.Here("tree.after-extend")
	}
	if err != nil {
		return wrap(err, "extend the tree")
	}
	return no
}

// extend returns what refuses it, having changed nothing, or an error.
func (t *tx) extend(x audit.Extension, now time.Time) (no, err error) {
	last, err := scanCheckpoint(t.row(lastCheckpoint))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if last.Size != x.From || x.Checkpoint.Size != x.From+int64(len(x.Leaves)) {
		return audit.ErrMoved, nil
	}
	taken, err := t.exec(takeLease, x.Holder[:], micros(now.Add(x.Lease)), micros(now))
	if err != nil {
		return nil, err
	}
	if taken == 0 {
		return audit.ErrLeased, nil
	}
	for i, l := range x.Leaves {
		if _, err := t.exec(insertLeaf, x.From+int64(i), l.Seq, int64(l.Version), l.Commitment[:]); err != nil {
			return nil, err
		}
		if l.Rewrite != nil {
			if _, err := t.exec(rewriteLeaf, l.Rewrite[:], l.Seq); err != nil {
				return nil, err
			}
		}
	}
	for _, tile := range x.Tiles {
		if _, err := t.exec(putTile, tile.Level, tile.N, tile.Hashes); err != nil {
			return nil, err
		}
	}
	c := x.Checkpoint
	if _, err := t.exec(insertCheckpoint, c.Size, c.Root[:], micros(c.Time), c.Seq, c.Note); err != nil {
		return nil, err
	}
	_, err = t.exec(thinCheckpoints, last.Size, checkpointEvery.Microseconds(), micros(c.Time))
	return nil, err
}

// LeafOf implements audit.ReadStore.
func (r *Records) LeafOf(ctx context.Context, id [16]byte) (audit.Leaf, error) {
	var l audit.Leaf
	err := scanLeaf(r.db.one(ctx, leafOf, id[:]), &l, new(leafColumns))
	if errors.Is(err, sql.ErrNoRows) {
		return l, audit.ErrNotInTree
	}
	l.Public, l.Sealed = bytes.Clone(l.Public), bytes.Clone(l.Sealed)
	return l, wrap(err, "find an entry in the tree")
}

// Leaves implements audit.ReadStore. What a leaf points to is each's only until it
// returns.
func (r *Records) Leaves(ctx context.Context, from, to int64, each func(*audit.Leaf) error) error {
	var columns leafColumns
	err := r.db.all(ctx, func(row scanner) error {
		var l audit.Leaf
		if err := scanLeaf(row, &l, &columns); err != nil {
			return err
		}
		return each(&l)
	}, selectLeaves, from, to)
	return wrap(err, "read the tree's leaves")
}

// leafColumns are the columns of a leaf on their way.
type leafColumns struct {
	version                              int64
	us                                   sql.NullInt64
	commitment, id, public, sealed, leaf sql.RawBytes
}

func scanLeaf(row scanner, l *audit.Leaf, c *leafColumns) error {
	if _, single := row.(*sql.Rows); !single { // database/sql lends bytes only while it iterates
		return scanOneLeaf(row, l)
	}
	if err := row.Scan(&l.Index, &l.Seq, &c.version, &c.commitment, &c.id, &c.us, &c.public, &c.sealed, &c.leaf); err != nil {
		return err
	}
	return fillLeaf(l, c.version, c.us, c.commitment, c.id, c.public, c.sealed, c.leaf)
}

func scanOneLeaf(row scanner, l *audit.Leaf) error {
	var version int64
	var us sql.NullInt64
	var commitment, id, public, sealed, leaf []byte
	if err := row.Scan(&l.Index, &l.Seq, &version, &commitment, &id, &us, &public, &sealed, &leaf); err != nil {
		return err
	}
	return fillLeaf(l, version, us, commitment, id, public, sealed, leaf)
}

func fillLeaf(l *audit.Leaf, version int64, us sql.NullInt64, commitment, id, public, sealed, leaf []byte) error {
	l.Version, l.Public, l.Sealed = audit.Version(version), public, sealed
	if version < 0 || version > 255 {
		l.Version = 0
	}
	if err := fill(l.Commitment[:], commitment); err != nil {
		return err
	}
	if !us.Valid {
		l.Missing = true
		return nil
	}
	l.Time = fromMicros(us.Int64)
	return errors.Join(fill(l.ID[:], id), fill(l.Leaf[:], leaf))
}

// Stray implements audit.VerifyStore.
func (r *Records) Stray(ctx context.Context, upTo, size int64) (index int64, found bool, err error) {
	var placed, leaves int64
	if err := r.db.one(ctx, countPlaced, upTo).Scan(&placed); err != nil {
		return 0, false, wrap(err, "count entries")
	}
	if placed <= size {
		if err := r.db.one(ctx, countUnsigned).Scan(&leaves); err != nil {
			return 0, false, wrap(err, "count leaves")
		}
		return size, leaves > 0, nil
	}
	var seq int64
	err = r.db.one(ctx, firstStray, upTo).Scan(&seq, &index)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return index, err == nil, wrap(err, "find a stray entry")
}
