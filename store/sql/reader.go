package sql

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
)

// reader reads on connections of its own, beside the writer. A read sees every
// write that was answered before it began. Safe for concurrent use.
type reader struct {
	db *sql.DB

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // guarded by mu
}

func newReader(db *sql.DB) *reader {
	return &reader{db: db, stmts: map[string]*sql.Stmt{}}
}

// stmt prepares query once for all connections.
func (r *reader) stmt(query string) (*sql.Stmt, error) {
	r.mu.RLock()
	s := r.stmts[query]
	r.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.stmts[query]; s != nil {
		return s, nil
	}
	s, err := r.db.PrepareContext(context.Background(), query) //nolint:contextcheck // it outlives this call
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	r.stmts[query] = s
	return s, nil
}

// one reads one row; Scan returns sql.ErrNoRows when there is none, and only
// then. A point read takes some microseconds, while watching a context costs a
// goroutine per statement: so ctx is looked at once, before the read.
func (r *reader) one(ctx context.Context, query string, args ...any) scanner {
	if err := ctx.Err(); err != nil {
		return failedRow{err}
	}
	s, err := r.stmt(query)
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(context.WithoutCancel(ctx), args...)
}

// all calls each for every row, in order, until it returns an error or ctx ends.
func (r *reader) all(ctx context.Context, each func(scanner) error, query string, args ...any) error {
	s, err := r.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
