package sql

import (
	"context"
	"fmt"
	"time"
)

const (
	// putCanary makes the one write that has no other purpose than to be one.
	putCanary = `INSERT INTO canary (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at`
	// getCanary reads it back.
	getCanary = `SELECT at FROM canary WHERE id = 1`
)

// ping writes and reads for real: a store whose disk is full or gone must not
// look ready because its port or its process is there.
func (d *database) ping(ctx context.Context, now time.Time) error {
	err := d.do(ctx, func(t *tx) error {
		_, err := t.exec(putCanary, micros(now))
		return err
	})
	if err != nil {
		return err
	}
	var at int64
	if err := d.one(ctx, getCanary).Scan(&at); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	return nil
}
