package sql

import (
	"context"
	"database/sql"
	"errors"

	"github.com/voussoir-id/voussoir/audit"
)

const (
	// selectPublished reads the checkpoint that everybody is shown.
	selectPublished = `SELECT size, root, time, seq, note FROM audit_published WHERE id = 1`
	// putPublished replaces it by one of the same tree or a larger one.
	putPublished = `INSERT INTO audit_published (id, size, root, time, seq, note) VALUES (1, $1, $2, $3, $4, $5)
	ON CONFLICT (id) DO UPDATE SET size = excluded.size, root = excluded.root, time = excluded.time, seq = excluded.seq, note = excluded.note
	WHERE excluded.size >= audit_published.size`
	// dropPublished forgets it.
	dropPublished = `DELETE FROM audit_published WHERE id = 1`
)

// Published implements audit.PublishStore.
func (r *Records) Published(ctx context.Context) (audit.Checkpoint, error) {
	c, err := scanCheckpoint(r.db.one(ctx, selectPublished))
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Checkpoint{}, nil
	}
	return c, wrap(err, "read the published checkpoint")
}

// Publish implements audit.PublishStore.
func (r *Records) Publish(ctx context.Context, c audit.Checkpoint) error {
	err := r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(putPublished, c.Size, c.Root[:], micros(c.Time), c.Seq, c.Note)
		return err
	})
	return wrap(err, "publish a checkpoint")
}

// Unpublish has everybody shown the newest checkpoint again.
func (r *Records) Unpublish(ctx context.Context) error {
	c, err := r.Published(ctx)
	if err != nil || c.Size == 0 {
		return err
	}
	err = r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(dropPublished)
		return err
	})
	return wrap(err, "show the newest checkpoint again")
}
