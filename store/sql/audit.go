package sql

import (
	"context"

	"github.com/voussoir-id/voussoir/audit"
)

const (
	// insertEntry adds an audit entry; its id must be new.
	insertEntry = `INSERT INTO audit_entries (id, time, public, sealed, leaf) VALUES ($1, $2, $3, $4, $5)`
	// selectEntries reads entries in the order in which they became durable.
	selectEntries = `SELECT seq, id, time, public, sealed, leaf FROM audit_entries WHERE seq > $1 ORDER BY seq LIMIT $2`
	// countEntries counts them all.
	countEntries = `SELECT count(*) FROM audit_entries`
)

// AppendEntries implements audit.Store.
func (r *Records) AppendEntries(ctx context.Context, entries ...audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	err := r.db.do(ctx, func(t *tx) error {
		for i := range entries {
			if err := putEntry(t, &entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap(err, "append audit entries")
}

func putEntry(t *tx, e *audit.Entry) error {
	_, err := t.exec(insertEntry, e.ID[:], micros(e.Time), blob(e.Public), blob(e.Sealed), e.Leaf[:])
	if err != nil || e.Of == ([32]byte{}) {
		return err
	}
	_, err = t.exec(insertEntryOf, e.Of[:], e.ID[:])
	return err
}

// StoredEntry is an audit entry with its place in the order of the store.
type StoredEntry = audit.Placed

// Entries reads up to limit audit entries after seq (0: from the first), in the
// order in which they became durable.
func (r *Records) Entries(ctx context.Context, after int64, limit int) ([]StoredEntry, error) {
	var out []StoredEntry
	err := r.db.all(ctx, func(row scanner) error {
		e, err := scanPlaced(row)
		out = append(out, e)
		return err
	}, selectEntries, after, limit)
	if err != nil {
		return nil, wrap(err, "read audit entries")
	}
	return out, nil
}

func scanPlaced(row scanner) (audit.Placed, error) {
	var e audit.Placed
	var id, leaf []byte
	var us int64
	if err := row.Scan(&e.Seq, &id, &us, &e.Public, &e.Sealed, &leaf); err != nil {
		return e, err
	}
	e.Time = fromMicros(us)
	if err := fill(e.ID[:], id); err != nil {
		return e, err
	}
	return e, fill(e.Leaf[:], leaf)
}

// CountEntries tells how many audit entries there are.
func (r *Records) CountEntries(ctx context.Context) (int64, error) {
	return r.count(ctx, countEntries, "count audit entries")
}

func (r *Records) count(ctx context.Context, query, doing string) (int64, error) {
	var n int64
	err := r.db.one(ctx, query).Scan(&n)
	return n, wrap(err, doing)
}
