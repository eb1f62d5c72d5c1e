package audit

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
)

// checkExpiry: a personal part may be gone only if the log says so. Retention may be
// running beside the verification: it announces first, and destroys only then, but its
// word can have an index after the checkpoint that is being verified.
func (r *verification) checkExpiry(ctx context.Context) error {
	until := announced(r.about)
	if !r.goneFrom(until) {
		return nil
	}
	since, err := r.eventsSince(ctx)
	if err != nil {
		return err
	}
	until = max(until, announced(since))
	for index := range r.gone {
		if index >= until {
			r.wrong(index, "the personal part is missing, and no entry says that its time was over")
		}
	}
	return nil
}

// goneFrom reports whether a personal part at until or later is missing.
func (r *verification) goneFrom(until int64) bool {
	for index := range r.gone {
		if index >= until {
			return true
		}
	}
	return false
}

// announced is the index below which personal parts may be missing.
func announced(about []event) int64 {
	var until int64
	for _, e := range about {
		if n, err := strconv.ParseInt(e.object, 10, 64); err == nil && e.kind == PersonalExpired {
			until = max(until, n)
		}
	}
	return until
}

// eventsSince reads what the log has said since the checkpoint that is being
// verified: nothing, unless the newest one is signed with a key that counts, and over
// what this verification has read and these entries.
func (r *verification) eventsSince(ctx context.Context) ([]event, error) {
	last, err := r.Store.LastCheckpoint(ctx)
	if err != nil || last.Size <= r.head.Size {
		return nil, err
	}
	c, by, err := OpenCheckpoint(last.Note, r.Origin, r.keyStrings()...)
	if err != nil || c.Size != last.Size {
		return nil, nil //nolint:nilerr // it proves nothing; the next verification says what is wrong with it
	}
	at, err := loadEdge(ctx, r.Store, r.head)
	if errors.Is(err, ErrDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var since []event
	for at.size < c.Size {
		leaves := make([][32]byte, 0, stretch)
		err := r.Store.Leaves(ctx, at.size, min(at.size+stretch, c.Size), func(l *Leaf) error {
			leaves = append(leaves, l.Statement().LeafHash())
			var p Public
			if l.Version == Open && json.Unmarshal(l.Public, &p) == nil {
				since = append(since, event{l.Index, p.Kind, p.Object})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(leaves) == 0 {
			return nil, nil // a hole
		}
		at, _ = at.extended(leaves)
	}
	root, err := at.root()
	if err != nil || root != c.Root {
		return nil, err
	}
	r.about = append(r.about, since...)
	if !r.counts(mark{Checkpoint: c, signers: by}, r.keyEnds()) {
		return nil, nil
	}
	return since, nil
}
