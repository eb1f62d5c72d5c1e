package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// reader reads committed rows: a read sees every write that was answered before
// it began. Safe for concurrent use.
type reader struct {
	on   preparer
	turn sync.Locker // held while a statement runs

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // guarded by mu
}

// preparer is a pool of connections or a single one.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func newReader(on preparer, turn sync.Locker) *reader {
	return &reader{on: on, turn: turn, stmts: map[string]*sql.Stmt{}}
}

// noTurn is the turn of those who need not wait for one.
type noTurn struct{}

func (noTurn) Lock()   {}
func (noTurn) Unlock() {}

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
	s, err := r.on.PrepareContext(context.Background(), query) // it outlives this call
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	r.stmts[query] = s
	return s, nil
}

// one reads one row; Scan, which must be called, returns sql.ErrNoRows when there
// is none, and only then. A point read takes some microseconds, while watching a
// context costs a goroutine per statement: so ctx is looked at once, before the
// read.
func (r *reader) one(ctx context.Context, query string, args ...any) scanner {
	if err := ctx.Err(); err != nil {
		return failedRow{err}
	}
	r.turn.Lock()
	s, err := r.stmt(query)
	if err != nil {
		r.turn.Unlock()
		return failedRow{err}
	}
	return turnRow{s.QueryRowContext(context.WithoutCancel(ctx), args...), r.turn}
}

// forget closes the statements; a read that comes later fails.
func (r *reader) forget() error {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	return closeAll(r.stmts)
}

// closeAll closes statements. SQLite keeps a connection open, and its locks held,
// for as long as one of its statements is.
func closeAll(stmts map[string]*sql.Stmt) error {
	var err error
	for query, s := range stmts {
		err = errors.Join(err, s.Close())
		delete(stmts, query)
	}
	return err
}

// turnRow is a row whose reading ends a turn.
type turnRow struct {
	row  scanner
	turn sync.Locker
}

func (r turnRow) Scan(dest ...any) error {
	defer r.turn.Unlock()
	return r.row.Scan(dest...)
}

// all calls each for every row, in order, until it returns an error or ctx ends.
// each must not use the database.
func (r *reader) all(ctx context.Context, each func(scanner) error, query string, args ...any) error {
	r.turn.Lock()
	defer r.turn.Unlock()
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
