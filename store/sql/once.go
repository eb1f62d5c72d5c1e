package sql

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

const (
	// consumeOnce takes a key that is new or whose time is over, and else changes
	// nothing: of many at once exactly one changes the row.
	consumeOnce = `INSERT INTO once_keys (key, until) VALUES ($1, $2)
	ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE once_keys.until <= $3`
	// scanOnce walks over the keys for the sweeper.
	scanOnce = `SELECT key, until FROM once_keys WHERE key > $1 ORDER BY key LIMIT $2`
	// removeOnce forgets the keys of a stretch whose time is over.
	removeOnce = `DELETE FROM once_keys WHERE key > $1 AND key <= $2 AND until <= $3`
)

// Consume implements provider.OnceStore. until must be after now: a key that is
// forgotten at once would let everybody in.
func (r *Records) Consume(ctx context.Context, kind, id string, until, now time.Time) (bool, error) {
	if !until.After(now) {
		return false, errors.New("consume a once-key: its time is over already")
	}
	key := onceKey(kind, id)
	var first bool
	err := r.db.do(ctx, func(t *tx) error {
		n, err := t.exec(consumeOnce, key[:], micros(until), micros(now))
		first = n == 1
		return err
	})
	if err != nil {
		return false, wrap(err, "consume a once-key")
	}
	return first, nil
}

// onceKey has a fixed width whatever a stranger sent as id (a jti may be long),
// and keeps kinds apart: the length of kind is part of what is hashed.
func onceKey(kind, id string) [32]byte {
	b := make([]byte, 0, 128)
	b = binary.BigEndian.AppendUint64(b, uint64(len(kind)))
	b = append(b, kind...)
	b = append(b, id...)
	return sha256.Sum256(b)
}
