package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles are as C2SP tlog-tiles has them: 256 hashes, eight levels of the tree.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	hashSize   = tlog.HashSize
)

// Errors of a TreeStore. ErrMoved: the tree is not where the caller believes; it
// looks again. ErrLeased: another process extends the tree. ErrNotInTree: there is
// no such entry in the tree, or not yet.
var (
	ErrMoved     = errors.New("audit: the tree has moved on")
	ErrLeased    = errors.New("audit: another process extends the tree")
	ErrNotInTree = errors.New("audit: no such entry in the tree")
)

// ErrDamaged: what the store holds is not a tree that we have signed. Nothing is
// signed on top of it.
var ErrDamaged = errors.New("audit: the tree in the store is damaged")

// Checkpoint is a state of the tree that was signed.
type Checkpoint struct {
	Size int64
	Root [32]byte
	Time time.Time // when it was signed, by our clock; not part of what is signed
	Note []byte    // C2SP tlog-checkpoint
	Seq  int64     // the store's place of the last entry in it
}

// Placed is an entry at its place in the order in which entries became durable.
// Places grow and may have gaps; they are not indices of the tree.
type Placed struct {
	Seq int64
	Entry
}

// Leaf is an entry at its index in the tree.
type Leaf struct {
	Index      int64
	Seq        int64
	Commitment [32]byte
	Missing    bool // the entry is not where the index says
	Entry           // Sealed is empty when its time is over
}

// Statement is what the leaf says, with or without the sealed part.
func (l *Leaf) Statement() Statement {
	return Statement{Version: l.Version, ID: l.ID, Public: l.Public, Commitment: l.Commitment}
}

// Tile is one row of a tree of tiles: N-th of its level, of 1 to 256 hashes.
type Tile struct {
	Level  int
	N      int64
	Hashes []byte
}

// NewLeaf is what Extend adds to the index.
type NewLeaf struct {
	Seq        int64
	Version    Version
	Commitment [32]byte
	Rewrite    *[32]byte // not nil: the entry gets this leaf hash; see firstLeaf
}

// Extension is a step of the tree from one signed size to the next.
type Extension struct {
	From       int64 // the size before
	Leaves     []NewLeaf
	Tiles      []Tile // each replaces the one at its place
	Checkpoint Checkpoint
	Holder     [16]byte      // who extends
	Lease      time.Duration // for how long nobody else should
}

// TreeStore keeps the tree beside the entries. Safe for concurrent use.
type TreeStore interface {
	// LastCheckpoint returns the newest checkpoint, the zero one of an empty tree.
	LastCheckpoint(ctx context.Context) (Checkpoint, error)
	// Pending reads up to limit entries after seq, in order.
	Pending(ctx context.Context, after int64, limit int) ([]Placed, error)
	// Tile reads a tile as far as it is filled; nil: there is none.
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
	// ExtendTree carries x out in one durable transaction, or changes nothing and
	// returns ErrMoved when the tree has not the size x.From, ErrLeased when another
	// holder's lease has not ended.
	ExtendTree(ctx context.Context, x Extension) error
}

// reader reads hashes of the tree out of tiles.
func reader(tile func(level int, n int64) ([]byte, error)) tlog.HashReaderFunc {
	return func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			t := tlog.TileForIndex(tileHeight, index)
			data, err := tile(t.L, t.N)
			if err != nil {
				return nil, err
			}
			if len(data) < t.W*hashSize {
				return nil, fmt.Errorf("%w: tile %d/%d has %d hashes, want %d", ErrDamaged, t.L, t.N, len(data)/hashSize, t.W)
			}
			if out[i], err = tlog.HashFromTile(t, data, index); err != nil {
				return nil, fmt.Errorf("audit: %w", err)
			}
		}
		return out, nil
	}
}

// edge is the right edge of a tree: its size and the tile of each level that is
// not full yet. That is all it takes to extend it.
type edge struct {
	size  int64
	tiles [][]byte
}

// loadEdge reads the edge at c, and checks that it is the one that was signed.
func loadEdge(ctx context.Context, store TreeStore, c Checkpoint) (edge, error) {
	e := edge{size: c.Size}
	for level, n := 0, c.Size; n > 0; level, n = level+1, n>>tileHeight {
		var data []byte
		if width := int(n % tileWidth); width > 0 {
			var err error
			if data, err = store.Tile(ctx, level, n>>tileHeight); err != nil {
				return e, err
			}
			if len(data) < width*hashSize {
				return e, fmt.Errorf("%w: tile %d/%d", ErrDamaged, level, n>>tileHeight)
			}
			data = append([]byte(nil), data[:width*hashSize]...)
		}
		e.tiles = append(e.tiles, data)
	}
	root, err := e.root()
	if err == nil && root != c.Root && c.Size > 0 {
		err = fmt.Errorf("%w: at size %d", ErrDamaged, c.Size)
	}
	return e, err
}

// root is the tree's hash (RFC 6962 section 2.1).
func (e *edge) root() ([32]byte, error) {
	if e.size == 0 {
		return sha256.Sum256(nil), nil
	}
	root, err := tlog.TreeHash(e.size, reader(func(level int, n int64) ([]byte, error) {
		if level >= len(e.tiles) || n != e.size>>(tileHeight*(level+1)) {
			return nil, fmt.Errorf("%w: tile %d/%d is not at the edge", ErrDamaged, level, n)
		}
		return e.tiles[level], nil
	}))
	return root, err
}

// extended returns the edge with more leaves, and the tiles that changed. e stays
// as it is.
func (e *edge) extended(leaves [][32]byte) (edge, []Tile) {
	next := edge{size: e.size, tiles: make([][]byte, len(e.tiles))}
	for i, t := range e.tiles {
		next.tiles[i] = append(make([]byte, 0, tileWidth*hashSize), t...)
	}
	var full []Tile
	changed := 0 // levels below this one have changed
	for _, leaf := range leaves {
		next.size++
		up := leaf
		for level := 0; ; level++ {
			if level == len(next.tiles) {
				next.tiles = append(next.tiles, make([]byte, 0, tileWidth*hashSize))
			}
			changed = max(changed, level+1)
			next.tiles[level] = append(next.tiles[level], up[:]...)
			if len(next.tiles[level]) < tileWidth*hashSize {
				break
			}
			n := next.size>>(tileHeight*(level+1)) - 1
			full = append(full, Tile{Level: level, N: n, Hashes: next.tiles[level]})
			up = subtree(next.tiles[level])
			next.tiles[level] = make([]byte, 0, tileWidth*hashSize)
		}
	}
	for level := range changed {
		if len(next.tiles[level]) > 0 {
			full = append(full, Tile{Level: level, N: next.size >> (tileHeight * (level + 1)), Hashes: next.tiles[level]})
		}
	}
	return next, full
}

// subtree is the hash over a power of two of hashes.
func subtree(hashes []byte) tlog.Hash {
	if len(hashes) == hashSize {
		return tlog.Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}
