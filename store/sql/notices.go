package sql

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/notices"
)

const (
	// insertNotice adds a notice; its id must be new.
	insertNotice = `INSERT INTO notices (id, kind, client, sealed, tries, due, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	// nextReceiver finds the next client that something is kept for.
	nextReceiver = `SELECT client FROM notices WHERE client > $1 ORDER BY client LIMIT 1`
	// selectDue reads what is due for one client.
	selectDue = `SELECT id, kind, sealed, tries, due, expires FROM notices WHERE client = $1 AND due <= $2 ORDER BY due LIMIT $3`
	// postponeNotice puts a notice off after a try.
	postponeNotice = `UPDATE notices SET tries = $1, due = $2 WHERE id = $3`
	// deleteNotice forgets a notice.
	deleteNotice = `DELETE FROM notices WHERE id = $1`
)

// AddNotices implements notices.Store.
func (r *Records) AddNotices(ctx context.Context, ns ...notices.Notice) error {
	err := r.db.do(ctx, func(t *tx) error {
		for _, n := range ns {
			_, err := t.exec(insertNotice, n.ID, n.Kind, n.Client, blob(n.Sealed), n.Tries, micros(n.Due), micros(n.Expires))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return wrap(err, "add notices")
}

// NextReceiver implements notices.Store.
func (r *Records) NextReceiver(ctx context.Context, after string) (string, error) {
	var client string
	err := r.db.one(ctx, nextReceiver, after).Scan(&client)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return client, wrap(err, "find a receiver of notices")
}

// DueNotices implements notices.Store.
func (r *Records) DueNotices(ctx context.Context, client string, now time.Time, limit int) ([]notices.Notice, error) {
	var out []notices.Notice
	err := r.db.all(ctx, func(row scanner) error {
		n := notices.Notice{Client: client}
		var due, expires int64
		if err := row.Scan(&n.ID, &n.Kind, &n.Sealed, &n.Tries, &due, &expires); err != nil {
			return err
		}
		n.Due, n.Expires = fromMicros(due), fromMicros(expires)
		out = append(out, n)
		return nil
	}, selectDue, client, micros(now), limit)
	if err != nil {
		return nil, wrap(err, "read notices")
	}
	return out, nil
}

// PostponeNotice implements notices.Store.
func (r *Records) PostponeNotice(ctx context.Context, id string, tries int, due time.Time) error {
	err := r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(postponeNotice, tries, micros(due), id)
		return err
	})
	return wrap(err, "put off a notice")
}

// RemoveNotice implements notices.Store.
func (r *Records) RemoveNotice(ctx context.Context, id string) error {
	err := r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(deleteNotice, id)
		return err
	})
	return wrap(err, "remove a notice")
}
