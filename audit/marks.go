package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// checkMarks holds the tree against every checkpoint: its root, and whether its key
// still counted. A log that goes through a checkpoint is right up to its size; so
// what is wrong with the next one is not before that.
func (r *verification) checkMarks() {
	r.report.Root = fmt.Sprintf("%x", r.head.Root)
	ends := r.keyEnds()
	slices.SortStableFunc(r.marks, func(a, b mark) int { return cmp.Compare(a.Size, b.Size) })
	good, headSeen := int64(0), r.head.Size == 0
	for i := 0; i < len(r.marks); {
		size, right := r.marks[i].Size, false
		for ; i < len(r.marks) && r.marks[i].Size == size; i++ {
			m := r.marks[i]
			headSeen = headSeen || size == r.head.Size && !m.remembered && !m.published
			what := r.judge(m, ends)
			if right = right || what == ""; what != "" {
				r.wrong(min(good, max(size-1, 0)), "%s", what)
			}
		}
		if right && !r.doubted(size) {
			good = size
		}
	}
	if !headSeen || r.head.Size > 0 && !r.headSigned() {
		r.wrong(good, "the newest checkpoint was changed, or is missing")
	}
}

// judge says what is wrong with the log, or with a checkpoint, by that checkpoint;
// "" when nothing is.
func (r *verification) judge(m mark, ends map[string]int64) string {
	what := "checkpoint"
	switch {
	case m.remembered:
		what = "remembered checkpoint"
	case m.published:
		what = "published checkpoint"
	}
	switch {
	case (m.remembered || m.published) && m.Size > r.head.Size:
		return fmt.Sprintf("the log ends at %d, and a %s has %d entries: it was cut, or an older copy was restored", r.head.Size, what, m.Size)
	case m.err != nil:
		return fmt.Sprintf("the %s of size %d does not hold: %v", what, m.Size, m.err)
	case !m.remembered && !r.counts(m, ends):
		return fmt.Sprintf("the checkpoint of size %d is signed with a key that had ended before", m.Size)
	}
	if root, err := r.rootAt(m.Size); (err != nil || root != m.Root) && !r.doubted(m.Size) {
		return fmt.Sprintf("from here to %d the log is not the one of the %s: it was changed and signed anew, or forked", m.Size-1, what)
	}
	return ""
}

func (r *verification) headSigned() bool {
	c, _, err := OpenCheckpoint(r.head.Note, r.Origin, r.keyStrings()...)
	return err == nil && c.Size == r.head.Size && c.Root == r.head.Root
}

// doubted reports whether something below size is wrong already.
func (r *verification) doubted(size int64) bool { return r.doubtedIn(0, size) }

func (r *verification) doubtedIn(from, to int64) bool {
	for _, f := range r.report.Findings {
		if f.Index >= from && f.Index < to {
			return true
		}
	}
	return false
}

// counts reports whether one of the keys that signed m had not ended.
func (r *verification) counts(m mark, ends map[string]int64) bool {
	for _, k := range r.Keys {
		for _, by := range m.signers {
			if end, ended := ends[k.KID]; by == k.Verifier && (!ended || m.Size <= end) {
				return true
			}
		}
	}
	return false
}

// keyEnds reads from the log at which index each key ended. A rotation names the key
// that begins; the one before it ends.
func (r *verification) keyEnds() map[string]int64 {
	known := map[string]bool{}
	for _, k := range r.Keys {
		known[k.KID] = true
	}
	slices.SortFunc(r.about, func(a, b event) int { return cmp.Compare(a.index, b.index) })
	ends, active := map[string]int64{}, ""
	for _, e := range r.about {
		if !known[e.object] {
			continue
		}
		switch e.kind {
		case KeyGenerated:
			if active == "" {
				active = e.object
			}
		case KeyRotated:
			if _, ended := ends[active]; active != "" && !ended && active != e.object {
				ends[active] = e.index
			}
			active = e.object
		case KeyRevoked:
			if _, ended := ends[e.object]; !ended {
				ends[e.object] = e.index
			}
		}
	}
	return ends
}
