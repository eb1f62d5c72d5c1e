package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/voussoir-id/voussoir/identity"
)

const (
	// selectExpired reads below which index the personal parts have gone.
	selectExpired = `SELECT idx FROM audit_expired WHERE id = 1`
	// putExpired moves it on.
	putExpired = `INSERT INTO audit_expired (id, idx) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET idx = max(idx, excluded.idx)`
	// firstYounger finds the first entry whose personal part stays.
	firstYounger = `SELECT l.idx FROM audit_leaves l JOIN audit_entries e ON e.seq = l.seq
	WHERE l.idx >= $1 AND e.time >= $2 ORDER BY l.idx LIMIT 1`
	// expireStretch destroys the personal parts of a stretch.
	expireStretch = `UPDATE audit_entries SET sealed = x'' WHERE length(sealed) > 0 AND seq IN
	(SELECT seq FROM audit_leaves WHERE idx >= $1 AND idx < $2)`
	// eraseKey destroys a person's key.
	eraseKey = `UPDATE persons SET seal_key = x'' WHERE id = $1`
)

// Expirable tells below which index all entries are older than before, and still
// have personal parts; 0: there is nothing to do.
func (r *Records) Expirable(ctx context.Context, before time.Time) (int64, error) {
	done, err := r.expired(ctx)
	if err != nil {
		return 0, err
	}
	last, err := r.LastCheckpoint(ctx)
	if err != nil {
		return 0, err
	}
	upTo := last.Size
	err = r.db.one(ctx, firstYounger, done, micros(before)).Scan(&upTo)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, wrap(err, "find the first entry that keeps its personal part")
	}
	if upTo <= done {
		return 0, nil
	}
	return upTo, nil
}

func (r *Records) expired(ctx context.Context) (int64, error) {
	var done int64
	err := r.db.one(ctx, selectExpired).Scan(&done)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, wrap(err, "read where personal parts end")
	}
	return done, nil
}

// Expire destroys the personal parts of all entries below index upTo, in small
// transactions, and then nothing of them is left in the files. The entry that says
// so must be in the tree before. It returns how many there were.
func (r *Records) Expire(ctx context.Context, upTo int64) (int64, error) {
	from, err := r.expired(ctx)
	if err != nil {
		return 0, err
	}
	var gone int64
	for ; from < upTo; from += stretch {
		var n int64
		to := min(from+stretch, upTo)
		err := r.db.do(ctx, func(t *tx) (err error) {
			if _, err = t.exec(expireEntriesOf, from, to); err != nil {
				return err
			}
			n, err = t.exec(expireStretch, from, to)
			return err
		})
		if err != nil {
			return gone, wrap(err, "destroy personal parts")
		}
		gone += n
	}
	if err := r.Scrub(ctx); err != nil {
		return gone, err
	}
	err = r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(putExpired, upTo)
		return err
	})
	return gone, wrap(err, "destroy personal parts")
}

// EraseKey destroys a person's key, after which nothing opens the personal parts of
// her entries: durable when it returns nil, and then nothing of the key is left in
// the files. Erasing it again does no harm.
func (r *Records) EraseKey(ctx context.Context, p identity.PersonID) error {
	err := r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(eraseKey, p[:])
		return err
	})
	if err != nil {
		return wrap(err, "erase a person's key")
	}
	return r.Scrub(ctx)
}

// Scrub copies the write-ahead log back and empties it. Pages overwrite what was
// removed from them (secure_delete); the log would hold their older versions. It
// fails while somebody reads for longer than five seconds, and may be tried again.
func (r *Records) Scrub(ctx context.Context) error {
	path, err := privateFile(r.cfg.Dir, recordsKind().name+".db")
	if err != nil {
		return err
	}
	db, err := sqliteDB(path, url.Values{"_pragma": {"busy_timeout(5000)"}}, 1)
	if err != nil {
		return wrap(err, "scrub records")
	}
	defer db.Close() //nolint:errcheck // it wrote nothing of its own
	var busy, inLog, copied int64
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &inLog, &copied); err != nil {
		return wrap(err, "scrub records")
	}
	if busy != 0 {
		return fmt.Errorf("scrub records: %w", errBusy)
	}
	return nil
}

// errBusy: a reader holds on to the write-ahead log.
var errBusy = errors.New("the write-ahead log is being read")
