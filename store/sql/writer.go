package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/voussoir-id/voussoir/failpoint"
)

// maxBatch is how many jobs share one commit at most: with a flush of 2 ms that
// is still 30,000 jobs a second, and a job never waits for more than two commits.
const maxBatch = 64

// maxQueue is how many jobs may wait; beyond it callers wait for room, as long
// as their contexts let them.
const maxQueue = 1024

// writer owns the one connection that writes to a database. A goroutine takes
// the jobs that are waiting, runs them in one transaction, commits once and only
// then answers them all, so that many durable writes cost one flush. When a job
// fails, the transaction is rolled back and each job runs again in one of its
// own: a bad job never hurts its neighbours.
//
// conn, stmts and broken belong to the goroutine; everything else is set before
// it starts. Safe for concurrent use.
type writer struct {
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	broken error // set once, after which nothing is written

	beforeCommit, afterCommit string // names of failpoints

	// fault is nil but in tests: it makes a commit fail before or after it took
	// effect, as a connection that breaks would.
	fault func(point string) error

	// pace is the shortest time between two commits while several callers are at
	// work: they wait for each other, so that a commit (its flush, its pages, its
	// locks) is shared by more of them. A lone caller is never kept waiting.
	pace time.Duration

	// now and committed, for figures; see Config.
	now       func() time.Time
	committed func(took time.Duration, err error)

	turn sync.Mutex // held from begin to commit, so that who reads on conn never sees half a transaction

	jobs  chan *job
	stop  chan struct{} // closed by close: no new jobs
	done  chan struct{} // closed by the goroutine when it has ended
	close sync.Once
}

// job is one caller's write. run may run twice and must set all of its results
// each time; they may be read after a nil answer only.
type job struct {
	ctx    context.Context //nolint:containedctx // it travels with the job to another goroutine
	run    func(*tx) error
	answer chan error // buffered: the writer never waits for a caller that has gone
}

// newWriter takes over conn. Its owner starts loop.
func newWriter(k kind, conn *sql.Conn, cfg Config) *writer {
	return &writer{
		conn:         conn,
		pace:         k.pace,
		now:          cfg.Now,
		committed:    cfg.Committed,
		stmts:        map[string]*sql.Stmt{},
		beforeCommit: k.name + ".before-commit",
		afterCommit:  k.name + ".after-commit",
		jobs:         make(chan *job, maxQueue),
		stop:         make(chan struct{}),
		done:         make(chan struct{}),
	}
}

// do runs run inside a transaction and returns nil when it is committed. If ctx
// ends first the error is ErrUnknownOutcome: the job may still be carried out,
// so slices that run uses must not be changed afterwards.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, run: run, answer: make(chan error, 1)}
	select {
	case <-w.stop:
		return ErrClosed
	default:
	}
	select {
	case w.jobs <- j:
	case <-w.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err() // never queued: nothing has happened
	}
	select {
	case err := <-j.answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	case <-w.done:
	}
	select {
	case err := <-j.answer:
		return err
	default:
		return ErrClosed // queued after the last batch: nothing has happened
	}
}

// queued is how many jobs wait.
func (w *writer) queued() int { return len(w.jobs) }

// shut lets the jobs that are queued finish, ends the goroutine and waits for it.
func (w *writer) shut() {
	w.close.Do(func() { close(w.stop) })
	<-w.done
}

func (w *writer) loop() {
	defer close(w.done)
	batch := make([]*job, 0, maxBatch)
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case j := <-w.jobs:
			// Whoever was alone last time would wait for nobody.
			if len(batch) > 1 || len(w.jobs) > 0 {
				select {
				case <-pace.C:
				case <-w.stop:
				}
			}
			batch = w.gather(append(batch[:0], j))
			w.carryOut(batch)
			pace.Reset(w.pace)
		case <-w.stop:
			for {
				last := w.gather(batch[:0])
				if len(last) == 0 {
					return
				}
				w.carryOut(last)
			}
		}
	}
}

// gather adds the jobs that are waiting now.
func (w *writer) gather(batch []*job) []*job {
	for len(batch) < maxBatch {
		select {
		case j := <-w.jobs:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// carryOut commits a batch and answers it. A caller that has given up costs no
// work.
func (w *writer) carryOut(batch []*job) {
	live := make([]*job, 0, len(batch))
	for _, j := range batch {
		if err := j.ctx.Err(); err != nil {
			j.answer <- err
			continue
		}
		live = append(live, j)
	}
	if len(live) == 0 {
		return
	}
	err := w.transact(live)
	var bad *jobError
	if len(live) > 1 && errors.As(err, &bad) {
		for _, j := range live {
			j.answer <- w.transact([]*job{j})
		}
		return
	}
	for _, j := range live {
		j.answer <- err
	}
}

// jobError is an error of a job, after which the transaction was rolled back: it
// is certain that nothing has happened.
type jobError struct{ err error }

func (e *jobError) Error() string { return e.err.Error() }
func (e *jobError) Unwrap() error { return e.err }

// transact runs jobs in one transaction. It watches no context: a commit that is
// abandoned half way would leave its outcome unknown for the whole batch.
func (w *writer) transact(batch []*job) error {
	if w.broken != nil {
		w.tell(w.now(), w.broken)
		return w.broken
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	t, began := &tx{w: w}, w.now()
	if _, err := t.exec(beginWrite); err != nil {
		w.tell(began, err)
		w.rollback() // in case an earlier rollback failed; a new transaction must start clean
		return w.failed(fmt.Errorf("begin: %w", err))
	}
	for _, j := range batch {
		if err := j.run(t); err != nil {
			w.rollback()
			return &jobError{w.failed(err)}
		}
	}
	err := w.commit(t)
	w.tell(began, err)
	if err != nil {
		w.rollback()
		return w.failed(fmt.Errorf("%w: commit: %w", ErrUnknownOutcome, err))
	}
	return nil
}

// tell reports a transaction that was committed or could not be. One that a job has
// ended says nothing about the store.
func (w *writer) tell(began time.Time, err error) {
	if w.committed != nil {
		w.committed(w.now().Sub(began), err)
	}
}

// commit makes the transaction durable.
func (w *writer) commit(t *tx) error {
	failpoint.Here(w.beforeCommit)
	if w.fault != nil {
		if err := w.fault(w.beforeCommit); err != nil {
			return err
		}
	}
	if _, err := t.exec(commitWrite); err != nil {
		return err
	}
	failpoint.Here(w.afterCommit)
	if w.fault != nil {
		return w.fault(w.afterCommit)
	}
	return nil
}

// rollback ends a transaction that must not take effect. Some errors end it by
// themselves (a full disk does); then there is nothing left to roll back.
func (w *writer) rollback() {
	_, _ = w.conn.ExecContext(context.Background(), rollbackWrite)
}

// failed closes the store for good when the disk cannot be trusted any more.
func (w *writer) failed(err error) error {
	if w.broken == nil && untrustworthy(err) {
		w.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

// tx runs statements in the writer's open transaction. Each statement is
// prepared once and stays with the connection. Contexts are not passed on: see
// transact.
type tx struct{ w *writer }

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	t.w.stmts[query] = s
	return s, nil
}

// exec returns how many rows changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// row reads one row; Scan returns sql.ErrNoRows when there is none.
func (t *tx) row(query string, args ...any) scanner {
	s, err := t.stmt(query)
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(context.Background(), args...)
}

// scanner is a row to be read.
type scanner interface{ Scan(dest ...any) error }

// failedRow is the row of a statement that could not be prepared.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }
