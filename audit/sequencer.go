package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

const (
	// sequenceEvery is how often the sequencer looks for new entries: each has its
	// index well within a second.
	sequenceEvery = 200 * time.Millisecond
	// sequenceBatch is how many entries one step takes in. The store's one writer is
	// busy with it for a millisecond or two, which is what a login then waits.
	sequenceBatch = 128
	// breath is left between two steps of a backlog, for the logins.
	breath = 2 * time.Millisecond
	// leaseFor is how long another process leaves the tree to the one that extended
	// it last.
	leaseFor = 3 * time.Second
	// farewell bounds the last step, when the broker stops.
	farewell = 2 * time.Second
)

// Notary signs checkpoints. Implemented by keys.Notary.
type Notary interface {
	// SignNote signs text, which ends in a newline (C2SP signed-note).
	SignNote(ctx context.Context, text string) ([]byte, error)
	// Refresh takes over what other processes have done to the keys.
	Refresh(ctx context.Context) error
}

// SequencerConfig is what NewSequencer needs.
type SequencerConfig struct {
	Store  TreeStore
	Notary Notary
	// Origin is the name of the log in its checkpoints; see Origin.
	Origin string
	Now    func() time.Time
	// Log receives failures. Nil: they are dropped.
	Log *slog.Logger
}

// Sequencer brings entries into the tree: gapless indices in the order in which
// the entries became durable, and a signed checkpoint over them, in one
// transaction. Any number of processes may run one on the same store: a lease
// keeps them from doing the work twice, and each step is a compare-and-swap on the
// size of the tree, so that even one that was asleep for an hour cannot fork it. No
// clock has a part in that. A Sequencer is not safe for concurrent use.
type Sequencer struct {
	cfg    SequencerConfig
	holder [16]byte
	at     *edge // nil: to be read from the store
	seq    int64 // of the last entry in the tree
	quiet  bool  // the last step failed and was logged
}

// NewSequencer refuses a missing collaborator.
func NewSequencer(cfg SequencerConfig) (*Sequencer, error) {
	if cfg.Store == nil || cfg.Notary == nil || cfg.Origin == "" || cfg.Now == nil {
		return nil, errors.New("audit: a sequencer needs a store, a notary, an origin and a clock")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sequencer{cfg: cfg}
	rand.Read(s.holder[:])
	return s, nil
}

// Run extends the tree until ctx ends, with a last step then, and returns nil. What
// fails is logged and tried again: entries are durable without it.
func (s *Sequencer) Run(ctx context.Context) error {
	tick := time.NewTicker(sequenceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			s.heed(last, s.Sequence(last))
			return nil
		case <-tick.C:
			s.heed(ctx, s.Sequence(ctx))
		}
	}
}

// heed logs a failure once, and its end.
func (s *Sequencer) heed(ctx context.Context, err error) {
	switch {
	case err == nil || errors.Is(err, ErrLeased):
		s.quiet = false
	case ctx.Err() == nil && !s.quiet:
		s.quiet = true
		s.cfg.Log.LogAttrs(ctx, slog.LevelError, "the audit tree was not extended", slog.Bool("alarm", true), slog.String("error", err.Error()))
	}
}

// Sequence brings every entry that is durable now into the tree. ErrLeased: another
// process is doing so.
func (s *Sequencer) Sequence(ctx context.Context) error {
	for {
		n, err := s.step(ctx)
		if err != nil || n < sequenceBatch {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(breath):
		}
	}
}

// step extends the tree by up to sequenceBatch entries and returns how many.
func (s *Sequencer) step(ctx context.Context) (int, error) {
	if s.at == nil {
		c, err := s.cfg.Store.LastCheckpoint(ctx)
		if err != nil {
			return 0, err
		}
		e, err := loadEdge(ctx, s.cfg.Store, c)
		if err != nil {
			return 0, err
		}
		s.at, s.seq = &e, c.Seq
	}
	entries, err := s.cfg.Store.Pending(ctx, s.seq, sequenceBatch)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	next, x, err := s.extension(ctx, entries)
	if err != nil {
		return 0, err
	}
	if err := s.cfg.Store.ExtendTree(ctx, x); err != nil {
		s.at = nil // whatever happened, the store knows
		if errors.Is(err, ErrMoved) {
			return sequenceBatch, nil // look again at once
		}
		return 0, err
	}
	s.at, s.seq = &next, x.Checkpoint.Seq
	return len(entries), nil
}

// extension computes a step. What it signs leaves the process only once the store
// has taken it.
func (s *Sequencer) extension(ctx context.Context, entries []Placed) (edge, Extension, error) {
	x := Extension{From: s.at.size, Holder: s.holder, Lease: leaseFor}
	leaves := make([][32]byte, len(entries))
	for i := range entries {
		kind, err := kindOf(entries[i].Public)
		if err != nil {
			s.cfg.Log.LogAttrs(ctx, slog.LevelError, "an audit entry was damaged before it had an index",
				slog.Bool("alarm", true), slog.Int64("index", s.at.size+int64(i)))
		}
		// A checkpoint over the end of a key is not signed with that key, so that nobody
		// can ever use it for one: it is on record from which index on it counts no more.
		if strings.HasPrefix(string(kind), "key.") {
			if err := s.cfg.Notary.Refresh(ctx); err != nil {
				return edge{}, x, fmt.Errorf("audit: take over the keys: %w", err)
			}
		}
		e := &entries[i].Entry
		e.Version = VersionOf(kind)
		leaf := NewLeaf{Seq: entries[i].Seq, Version: e.Version, Commitment: e.Statement().Commitment}
		leaves[i] = LeafHash(*e)
		if e.Leaf != leaves[i] {
			if e.Leaf != firstLeaf(*e) {
				s.cfg.Log.LogAttrs(ctx, slog.LevelError, "an audit entry was damaged before it had an index",
					slog.Bool("alarm", true), slog.Int64("index", s.at.size+int64(i)))
			} else {
				leaf.Rewrite = &leaves[i]
			}
		}
		x.Leaves = append(x.Leaves, leaf)
	}
	next, tiles := s.at.extended(leaves)
	x.Tiles = tiles
	root, err := next.root()
	if err != nil {
		return next, x, err
	}
	signed, err := s.cfg.Notary.SignNote(ctx, checkpointText(s.cfg.Origin, next.size, root))
	if err != nil {
		return next, x, fmt.Errorf("audit: sign a checkpoint: %w", err)
	}
	x.Checkpoint = Checkpoint{Size: next.size, Root: root, Time: s.cfg.Now().UTC(), Note: signed, Seq: entries[len(entries)-1].Seq}
	return next, x, nil
}
