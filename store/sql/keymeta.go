package sql

import (
	"context"
	"database/sql"
	"errors"

	"github.com/voussoir-id/voussoir/keys"
)

const (
	// putKey adds a key, or moves on one that has the same algorithm and birth.
	putKey = `INSERT INTO key_metadata (kid, alg, state, created, activated, retired) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (kid) DO UPDATE SET state = excluded.state, activated = excluded.activated, retired = excluded.retired
	WHERE key_metadata.alg = excluded.alg AND key_metadata.created = excluded.created`
	// selectKeys lists every key there ever was.
	selectKeys = `SELECT kid, alg, state, created, activated, retired FROM key_metadata ORDER BY created, kid`
)

// PutKey puts on record what a signing key is and where it stands, so that auditors
// know it also when the key file is lost or rolled back to an older copy. A key that
// is there already moves on; one whose algorithm or birth differs from the record is
// an error, and changes nothing.
func (r *Records) PutKey(ctx context.Context, m keys.Metadata) error {
	var changed int64
	err := r.db.do(ctx, func(t *tx) (err error) {
		changed, err = t.exec(putKey, m.KID, m.Alg, m.State, micros(m.Created), nullMicros(m.Activated), nullMicros(m.Retired))
		return err
	})
	if err == nil && changed == 0 {
		err = errors.New("a key with this id has another algorithm or birth")
	}
	return wrap(err, "put key metadata")
}

// Keys lists every key there ever was, oldest first.
func (r *Records) Keys(ctx context.Context) ([]keys.Metadata, error) {
	var out []keys.Metadata
	err := r.db.all(ctx, func(row scanner) error {
		var m keys.Metadata
		var created int64
		var activated, retired sql.NullInt64
		if err := row.Scan(&m.KID, &m.Alg, &m.State, &created, &activated, &retired); err != nil {
			return err
		}
		m.Created = fromMicros(created)
		if activated.Valid {
			m.Activated = fromMicros(activated.Int64)
		}
		if retired.Valid {
			m.Retired = fromMicros(retired.Int64)
		}
		out = append(out, m)
		return nil
	}, selectKeys)
	if err != nil {
		return nil, wrap(err, "list keys")
	}
	return out, nil
}
