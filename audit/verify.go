package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"
)

// stretch is how many leaves one worker reads at a time: sixteen tiles.
const stretch = 16 * tileWidth

// VerifyStore is what a Verifier reads. Safe for concurrent use.
type VerifyStore interface {
	TreeStore
	ReadStore
	// Checkpoints calls each for the checkpoints that are kept, oldest first.
	Checkpoints(ctx context.Context, each func(Checkpoint) error) error
	// Stray looks for entries up to the place upTo, where the tree has size leaves,
	// that have no index, and for indices that no checkpoint covers. index is the
	// first that is in doubt.
	Stray(ctx context.Context, upTo, size int64) (index int64, found bool, err error)
}

// Finding is something that is wrong, and the first index that is in doubt for it.
type Finding struct {
	Index int64  `json:"index"`
	What  string `json:"what"`
}

// Report is what a verification found.
type Report struct {
	Origin   string    `json:"origin"`
	Size     int64     `json:"size"` // of the tree that was verified
	Root     string    `json:"root,omitempty"`
	Pending  int64     `json:"pending"` // entries that have no index yet
	Expired  int64     `json:"expired"` // entries whose personal part has gone
	Findings []Finding `json:"findings"`
	Notices  []Finding `json:"notices,omitempty"` // not wrong, but worth a look
	// Witnessed is who has cosigned; nil when no witness is known to the verifier.
	Witnessed *Witnessed `json:"witnessed,omitempty"`

	Checkpoint []byte `json:"-"` // the newest that is shown, to be remembered; nil when anything is wrong
}

// OK reports that nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// First is the finding with the smallest index. Only if not OK.
func (r *Report) First() Finding {
	first := r.Findings[0]
	for _, f := range r.Findings[1:] {
		if f.Index < first.Index {
			first = f
		}
	}
	return first
}

// Verifier re-reads a whole log.
type Verifier struct {
	Store  VerifyStore
	Origin string
	// Keys are all keys of the log that are known, ended ones included.
	Keys []VerifierKey
	// Remembered are checkpoints that were seen earlier, the oldest first. Without any,
	// a log that was cut, restored or forked as a whole looks like a younger log.
	Remembered [][]byte
	// Quorum says who must have cosigned the checkpoint that is shown to everybody.
	Quorum Quorum
	// Progress, if not nil, is called now and then, by one goroutine at a time.
	Progress func(done, total int64)
	// Workers is how many goroutines read and hash. Default: one for each CPU.
	Workers int
}

// VerifierKey is a key of the log. The log itself says when it ended: KID is what
// entries about it name.
type VerifierKey struct{ KID, Verifier string }

// maxFindings is how many findings of one verification are told.
const maxFindings = 100

// verification is one run.
type verification struct {
	*Verifier
	head  Checkpoint
	shown Checkpoint // with the witnesses' cosignatures; zero: the head itself
	marks []mark     // checkpoints that the log must have gone through, by size

	mu      sync.Mutex
	report  Report
	about   []event          // entries about keys and expiry, by index
	gone    map[int64]bool   // nil until needed: leaves without their sealed part
	low     map[int64][]byte // size → hashes of its last tile, for the roots on the way
	roots   []tlog.Hash      // of the full tiles of level 0
	upper   [][]tlog.Hash    // upper[i]: hashes of the tree's level 8+i
	counted atomic.Int64
}

// mark is a checkpoint to hold the tree against.
type mark struct {
	Checkpoint
	remembered, published bool
	signers               []string
	err                   error
}

type event struct {
	index  int64
	kind   Kind
	object string
}

// Run verifies. An error means that it could not be done; what is wrong is in the
// report. It needs no private key and holds no lock: the broker may be running.
func (v *Verifier) Run(ctx context.Context) (*Report, error) {
	r := &verification{Verifier: v, low: map[int64][]byte{}, gone: map[int64]bool{}}
	r.report.Origin, r.report.Findings = v.Origin, []Finding{}
	var err error
	if r.shown, err = v.Store.Published(ctx); err != nil { // before the head: it is never larger
		return nil, err
	}
	if r.head, err = v.Store.LastCheckpoint(ctx); err != nil {
		return nil, err
	}
	r.report.Size = r.head.Size
	if err := r.readMarks(ctx); err != nil {
		return nil, err
	}
	if err := r.readLeaves(ctx); err != nil {
		return nil, err
	}
	if err := r.checkTiles(ctx); err != nil {
		return nil, err
	}
	r.checkMarks()
	if err := r.checkExpiry(ctx); err != nil {
		return nil, err
	}
	r.checkQuorum()
	if index, found, err := v.Store.Stray(ctx, r.head.Seq, r.head.Size); err != nil {
		return nil, err
	} else if found {
		r.wrong(index, "an entry stands here that the tree does not have, or an index that no checkpoint covers")
	}
	if err := r.pending(ctx); err != nil {
		return nil, err
	}
	if r.report.OK() {
		r.report.Checkpoint = r.toShow().Note
	}
	return &r.report, nil
}

func (r *verification) wrong(index int64, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := (Finding{index, fmt.Sprintf(format, args...)}); len(r.report.Findings) < maxFindings {
		r.report.Findings = append(r.report.Findings, f)
	} else if f.Index < r.report.First().Index { // the first is always told
		r.report.Findings[0] = f
	}
}

func (r *verification) keyStrings() []string {
	out := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		out[i] = k.Verifier
	}
	return out
}

// readMarks opens the checkpoints that are kept and those that are remembered.
func (r *verification) readMarks(ctx context.Context) error {
	keys := r.keyStrings()
	add := func(c Checkpoint, published bool) {
		opened, by, err := OpenCheckpoint(c.Note, r.Origin, keys...)
		if err == nil && (opened.Size != c.Size || opened.Root != c.Root) {
			err = errors.New("what is signed is not what is stored")
		}
		opened.Size = c.Size
		r.marks = append(r.marks, mark{Checkpoint: opened, published: published, signers: by, err: err})
	}
	if r.shown.Size > 0 {
		add(r.shown, true)
	}
	err := r.Store.Checkpoints(ctx, func(c Checkpoint) error {
		if c.Size <= r.head.Size { // otherwise it was signed since
			add(c, false)
		}
		return nil
	})
	for i, note := range r.Remembered {
		c, by, bad := OpenCheckpoint(note, r.Origin, keys...)
		if bad != nil {
			return fmt.Errorf("remembered checkpoint %d: %w", i+1, bad)
		}
		r.marks = append(r.marks, mark{Checkpoint: c, remembered: true, signers: by})
	}
	return err
}

// readLeaves hashes every entry and holds it against its tile.
func (r *verification) readLeaves(ctx context.Context) error {
	r.roots = make([]tlog.Hash, r.head.Size/tileWidth)
	workers := r.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for from := int64(0); from < r.head.Size; from += stretch {
		g.Go(func() error { return r.readStretch(ctx, from, min(from+stretch, r.head.Size)) })
	}
	return g.Wait()
}

func (r *verification) readStretch(ctx context.Context, from, to int64) error {
	leaves := make([]byte, (to-from)*hashSize)
	next, last := from, time.Time{}
	scratch := make([]byte, 0, 1024)
	err := r.Store.Leaves(ctx, from, to, func(l *Leaf) error {
		for ; next < l.Index && next < to; next++ {
			r.wrong(next, "the index is missing")
		}
		next = l.Index + 1
		scratch = r.checkLeaf(l, leaves[(l.Index-from)*hashSize:][:hashSize], scratch)
		if l.Time.Add(time.Minute).Before(last) {
			r.mu.Lock()
			r.report.Notices = append(r.report.Notices, Finding{l.Index, "the clock went back by more than a minute"})
			r.mu.Unlock()
		}
		last = l.Time
		return nil
	})
	if err != nil {
		return err
	}
	for ; next < to; next++ {
		r.wrong(next, "the index is missing")
	}
	if err := r.checkLeafTiles(ctx, from, to, leaves); err != nil {
		return err
	}
	done := r.counted.Add(to - from)
	if r.Progress != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.Progress(done, r.head.Size)
	}
	return nil
}

// checkLeaf writes the leaf's hash, as it follows from the entry, to hash; zeros
// when there is none.
func (r *verification) checkLeaf(l *Leaf, hash, scratch []byte) []byte {
	if l.Missing {
		r.wrong(l.Index, "the entry is missing")
		return scratch
	}
	s := l.Statement()
	if len(l.Sealed) == 0 {
		r.mu.Lock()
		r.gone[l.Index] = true
		r.report.Expired++
		r.mu.Unlock()
	} else if sum := sha256.Sum256(l.Sealed); sum != l.Commitment {
		r.wrong(l.Index, "the personal part was changed")
	}
	var sum [32]byte
	if s.Version == Open {
		scratch = s.body(append(scratch[:0], 0x00, byte(Open)))
		sum = sha256.Sum256(scratch)
	} else {
		scratch = s.body(scratch[:0])
		inner := sha256.Sum256(scratch)
		scratch = append(append(scratch[:0], 0x00, byte(s.Version)), inner[:]...)
		sum = sha256.Sum256(scratch)
	}
	copy(hash, sum[:])
	if sum != l.Leaf {
		r.wrong(l.Index, "the entry was changed, or its leaf hash")
	}
	if !timeMatches(l.Public, l.Time) {
		r.wrong(l.Index, "the entry's time was changed")
	}
	if s.Version == Open {
		r.note(l)
	}
	return scratch
}

// note keeps what an entry says about keys and expiry.
func (r *verification) note(l *Leaf) {
	var p Public
	if json.Unmarshal(l.Public, &p) != nil {
		r.wrong(l.Index, "the public part cannot be read")
		return
	}
	switch p.Kind {
	case KeyGenerated, KeyRotated, KeyRevoked, PersonalExpired:
		r.mu.Lock()
		r.about = append(r.about, event{l.Index, p.Kind, p.Object})
		r.mu.Unlock()
	}
}

// timeMatches reports whether the public part begins with the time at.
func timeMatches(public []byte, at time.Time) bool {
	const before = `{"time":"`
	if !bytes.HasPrefix(public, []byte(before)) {
		return false
	}
	var buf [64]byte
	want := append(at.AppendFormat(buf[:0], time.RFC3339Nano), '"')
	return bytes.HasPrefix(public[len(before):], want)
}

// kindOf reads the kind of a public part.
func kindOf(public []byte) (Kind, error) {
	var p struct {
		Kind Kind `json:"kind"`
	}
	err := json.Unmarshal(public, &p)
	return p.Kind, err
}

// checkLeafTiles holds hashes of leaves against the tiles of level 0. Where an entry
// and its tile differ, the tile's word is taken further: so the roots tell whether
// the entry or the tile was changed, and one fault is not told again for each root.
func (r *verification) checkLeafTiles(ctx context.Context, from, to int64, leaves []byte) error {
	for start := from; start < to; start += tileWidth {
		end := min(start+tileWidth, to)
		mine := leaves[(start-from)*hashSize : (end-from)*hashSize]
		stored, err := r.Store.Tile(ctx, 0, start/tileWidth)
		if err != nil {
			return err
		}
		if len(stored) < len(mine) {
			r.wrong(start+int64(len(stored)/hashSize), "the tile is missing or too short")
			stored = append(bytes.Clone(stored), mine[len(stored):]...)
		}
		stored = stored[:len(mine)]
		if !bytes.Equal(stored, mine) {
			for i := 0; i < len(mine); i += hashSize {
				if !bytes.Equal(stored[i:i+hashSize], mine[i:i+hashSize]) {
					index := start + int64(i/hashSize)
					r.wrong(index, "the entry is not the one in the tree")
					r.unsay(index)
				}
			}
		}
		r.keepLow(start, end, stored)
		if end-start == tileWidth {
			r.roots[start/tileWidth] = subtree(stored)
		}
	}
	return nil
}

// unsay takes back what an entry says that is not the one in the tree: a moved word of a
// key would put the blame on checkpoints that are older than the change.
func (r *verification) unsay(index int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.about = slices.DeleteFunc(r.about, func(e event) bool { return e.index == index })
}

// keepLow keeps the tile of each mark whose size is inside it.
func (r *verification) keepLow(start, end int64, tile []byte) {
	for _, m := range r.marks {
		if m.Size > start && m.Size <= end && m.Size%tileWidth != 0 {
			r.mu.Lock()
			if r.low[m.Size] == nil {
				r.low[m.Size] = bytes.Clone(tile[:(m.Size-start)*hashSize])
			}
			r.mu.Unlock()
		}
	}
}

// checkTiles makes the upper levels anew and holds them against the stored tiles.
func (r *verification) checkTiles(ctx context.Context) error {
	for level := r.roots; ; {
		r.upper = append(r.upper, level)
		if len(level) < 2 {
			break
		}
		up := make([]tlog.Hash, len(level)/2)
		for i := range up {
			up[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
		level = up
	}
	for L := 1; (L-1)*tileHeight < len(r.upper); L++ {
		hashes := r.upper[(L-1)*tileHeight]
		for n := 0; n*tileWidth < len(hashes); n++ {
			stored, err := r.Store.Tile(ctx, L, int64(n))
			if err != nil {
				return err
			}
			for i, h := range hashes[n*tileWidth : min((n+1)*tileWidth, len(hashes))] {
				if len(stored) < (i+1)*hashSize || tlog.Hash(stored[i*hashSize:(i+1)*hashSize]) != h {
					first := int64(n*tileWidth+i) << (tileHeight * L)
					if r.doubtedIn(first, first+1<<(tileHeight*L)) {
						continue // a tile below it is the one that was changed
					}
					r.wrong(first, "a tile of level %d is not the one over the entries", L)
					break
				}
			}
		}
	}
	return nil
}

// rootAt is the root at a mark's size.
func (r *verification) rootAt(size int64) (tlog.Hash, error) {
	if size == 0 {
		return sha256.Sum256(nil), nil
	}
	return tlog.TreeHash(size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, n := tlog.SplitStoredHashIndex(index)
			if level >= tileHeight {
				if level-tileHeight >= len(r.upper) || n >= int64(len(r.upper[level-tileHeight])) {
					return nil, ErrDamaged
				}
				out[i] = r.upper[level-tileHeight][n]
				continue
			}
			first := (n << level) % tileWidth * hashSize
			low := r.low[size]
			if int64(len(low)) < first+hashSize<<level {
				return nil, ErrDamaged
			}
			out[i] = subtree(low[first : first+hashSize<<level])
		}
		return out, nil
	}))
}

// pending counts the entries that wait for an index.
func (r *verification) pending(ctx context.Context) error {
	last, err := r.Store.LastCheckpoint(ctx)
	if err != nil || last.Size != r.head.Size {
		return err // it goes on growing meanwhile
	}
	if last.Size > 0 {
		at := int64(-1)
		err := r.Store.Leaves(ctx, last.Size-1, last.Size, func(l *Leaf) error { at = l.Seq; return nil })
		if err != nil {
			return err
		}
		if at != last.Seq {
			r.wrong(last.Size-1, "the newest checkpoint does not end with its last entry")
		}
	}
	waiting, err := r.Store.Pending(ctx, r.head.Seq, 10_000)
	r.report.Pending = int64(len(waiting))
	return err
}

// ExpiryOf is the entry that says that personal parts below index have reached the
// end of their time. It has its own index before they go.
func ExpiryOf(index int64) Public {
	return Public{Kind: PersonalExpired, Object: strconv.FormatInt(index, 10), Outcome: "ok"}
}
