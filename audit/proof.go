package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// maxProof is how long a proof may be, in bytes.
const maxProof = 256 << 10

// proofHeader is the first line of a C2SP tlog-proof.
const proofHeader = "c2sp.org/tlog-proof@v1"

// Proof shows that a statement is in the log, to somebody who has nothing but a key
// of the log: where it is, the way from its leaf to the root, and the checkpoint
// that signs the root. It verifies for ever, whatever happens to the personal part.
type Proof struct {
	Statement  Statement
	Index      int64
	Path       [][32]byte // RFC 6962 section 2.1.1
	Checkpoint []byte
}

// Encode writes p as a C2SP tlog-proof, with the statement as the extra data.
func (p Proof) Encode() []byte {
	var b strings.Builder
	b.WriteString(proofHeader + "\nextra " + base64.StdEncoding.EncodeToString(p.Statement.Encode()))
	b.WriteString("\nindex " + strconv.FormatInt(p.Index, 10) + "\n")
	for _, h := range p.Path {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint)
	return []byte(b.String())
}

// ParseProof reads what Encode wrote. It says nothing about whether it is true.
func ParseProof(b []byte) (Proof, error) {
	var p Proof
	if len(b) > maxProof {
		return p, errors.New("audit: the receipt is too long")
	}
	head, checkpoint, ok := strings.Cut(string(b), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofHeader {
		return p, errors.New("audit: this is no " + proofHeader)
	}
	extra, ok1 := strings.CutPrefix(lines[1], "extra ")
	index, ok2 := strings.CutPrefix(lines[2], "index ")
	statement, err := base64.StdEncoding.Strict().DecodeString(extra)
	if !ok1 || !ok2 || err != nil {
		return p, errors.New("audit: the receipt lacks its statement or its index")
	}
	if p.Statement, err = ParseStatement(statement); err != nil {
		return p, err
	}
	p.Index, err = strconv.ParseInt(index, 10, 64)
	if err != nil || p.Index < 0 || strconv.FormatInt(p.Index, 10) != index {
		return p, errors.New("audit: the receipt has no index")
	}
	if len(lines)-3 > 63 {
		return p, errors.New("audit: the receipt's path is too long")
	}
	for _, line := range lines[3:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != hashSize {
			return p, errors.New("audit: the receipt's path is malformed")
		}
		p.Path = append(p.Path, [32]byte(h))
	}
	p.Checkpoint = []byte(checkpoint)
	return p, nil
}

// Verify reports whether p is true of the log origin, as signed by one of the keys.
// It returns the checkpoint.
func (p Proof) Verify(origin string, keys ...string) (Checkpoint, error) {
	c, _, err := OpenCheckpoint(p.Checkpoint, origin, keys...)
	if err != nil {
		return c, err
	}
	path := make(tlog.RecordProof, len(p.Path))
	for i, h := range p.Path {
		path[i] = h
	}
	if p.Index >= c.Size {
		return c, errors.New("audit: the checkpoint does not reach the entry")
	}
	if tlog.CheckRecord(path, c.Size, c.Root, p.Index, p.Statement.LeafHash()) != nil {
		return c, errors.New("audit: the entry is not in the log that the checkpoint signs")
	}
	return c, nil
}

// ReadStore is what a Tree needs of a store. Safe for concurrent use.
type ReadStore interface {
	// LastCheckpoint is that of TreeStore.
	LastCheckpoint(ctx context.Context) (Checkpoint, error)
	// Published is that of PublishStore.
	Published(ctx context.Context) (Checkpoint, error)
	// Tile is that of TreeStore.
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
	// LeafOf finds the entry id in the tree, or returns ErrNotInTree.
	LeafOf(ctx context.Context, id [16]byte) (Leaf, error)
	// Leaves calls each for the leaves from index from up to before to, in order.
	Leaves(ctx context.Context, from, to int64, each func(*Leaf) error) error
}

// Tree is the tree as it is shown: proofs, and what others read over HTTP. Safe for
// concurrent use.
type Tree struct{ store ReadStore }

// NewTree refuses a missing store.
func NewTree(store ReadStore) (*Tree, error) {
	if store == nil {
		return nil, errors.New("audit: a tree needs a store")
	}
	return &Tree{store}, nil
}

// Prove proves that the entry id is in the log. ErrNotInTree: it is not, or not
// yet; an entry that is durable is in it within a second.
func (t *Tree) Prove(ctx context.Context, id [16]byte) (Proof, error) {
	leaf, err := t.store.LeafOf(ctx, id)
	if err != nil {
		return Proof{}, err
	}
	c, err := t.store.Published(ctx) // the one that has cosignatures
	if err == nil && leaf.Index >= c.Size {
		c, err = t.store.LastCheckpoint(ctx)
	}
	if err != nil {
		return Proof{}, err
	}
	if leaf.Index >= c.Size {
		return Proof{}, ErrNotInTree
	}
	path, err := tlog.ProveRecord(c.Size, leaf.Index, reader(func(level int, n int64) ([]byte, error) {
		return t.store.Tile(ctx, level, n)
	}))
	if err != nil {
		return Proof{}, fmt.Errorf("prove entry %d: %w", leaf.Index, err)
	}
	p := Proof{Statement: leaf.Statement(), Index: leaf.Index, Checkpoint: c.Note}
	for _, h := range path {
		p.Path = append(p.Path, h)
	}
	return p, nil
}
