package sql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Tables that are written all the time have no index on their expiry, because
// every write would pay for it. The sweeper walks over them in stretches
// instead: it reads beside the writer, and takes the writer's time only for a
// stretch that holds something expired.
const (
	// stretch is how many rows one step looks at, and removes at most.
	stretch = 500
	// maxStretches bounds one sweep of one table; the next goes on where it stopped.
	maxStretches = 100
	// clockMargin is how long a once-key stays after its time. If the clock is put
	// back, or was wrong when we swept, what it stands for is valid once more, and
	// only the key still says that it was used.
	clockMargin = time.Hour
	// endsMargin is how long it is remembered that all families of a person at a
	// client were ended: longer than any code of hers can be on its way.
	endsMargin = 24 * time.Hour
)

// walk remembers where the sweeper is in one table. Safe for concurrent use:
// one sweep at a time.
type walk[K int64 | []byte] struct {
	scan, remove string // statements
	start        K      // smaller than every key

	mu sync.Mutex
	at *K // guarded by mu: the last key looked at; nil at the start
}

// sweep goes round the table once, or as far as maxStretches, and returns how
// many rows it removed.
func (w *walk[K]) sweep(ctx context.Context, d *database, now time.Time) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var removed int64
	for range maxStretches {
		n, end, err := w.step(ctx, d, now)
		removed += n
		if err != nil || end {
			return removed, err
		}
	}
	return removed, nil
}

// step looks at one stretch; end reports that it was the last of the table.
func (w *walk[K]) step(ctx context.Context, d *database, now time.Time) (removed int64, end bool, err error) {
	from := w.start
	if w.at != nil {
		from = *w.at
	}
	to, seen, expired := from, 0, false
	err = d.all(ctx, func(row scanner) error {
		var key K
		var expires int64
		if err := row.Scan(&key, &expires); err != nil {
			return err
		}
		to, seen, expired = key, seen+1, expired || expires <= micros(now)
		return nil
	}, w.scan, from, stretch)
	if err != nil {
		return 0, false, err
	}
	if expired {
		err = d.do(ctx, func(t *tx) (err error) {
			removed, err = t.exec(w.remove, from, to, micros(now))
			return err
		})
		if err != nil {
			return 0, false, err
		}
	}
	if w.at = &to; seen < stretch {
		w.at = nil
	}
	return removed, seen < stretch, nil
}

// batches runs an indexed removal until there is nothing left to remove.
func (d *database) batches(ctx context.Context, query string, now time.Time) (int64, error) {
	var removed int64
	for range maxStretches {
		var n int64
		err := d.do(ctx, func(t *tx) (err error) {
			n, err = t.exec(query, micros(now), stretch)
			return err
		})
		if err != nil {
			return removed, err
		}
		if removed += n; n < stretch {
			break
		}
	}
	return removed, nil
}

// Sweep removes rows that had expired at now, in small transactions between
// those of the visits, and returns how many. It may leave some for the next
// time: what has expired is never returned, swept or not. Standing answers go with
// consent.Ledger's Expire, which puts their end on record.
func (r *Records) Sweep(ctx context.Context, now time.Time) (int64, error) {
	once, err1 := r.once.sweep(ctx, r.db, now.Add(-clockMargin))
	families, err2 := r.db.batches(ctx, removeFamilies, now)
	ends, err3 := r.db.batches(ctx, removeEnds, now.Add(-endsMargin))
	confirmations, err4 := r.db.batches(ctx, removeConfirmations, now.Add(-confirmationTTL))
	return once + families + ends + confirmations, wrap(errors.Join(err1, err2, err3, err4), "sweep records")
}

// Sweep removes rows that had expired at now, in small transactions between
// those of the visits, and returns how many. It may leave some for the next
// time: what has expired is never returned, swept or not.
func (f *Flows) Sweep(ctx context.Context, now time.Time) (int64, error) {
	flows, err1 := f.flows.sweep(ctx, f.db, now)
	sessions, err2 := f.sessions.sweep(ctx, f.db, now)
	grants, err3 := f.grants.sweep(ctx, f.db, now)
	// After the grants: a tombstone must not be gone while what it kills is there.
	revoked, err4 := f.db.batches(ctx, removeRevoked, now)
	joined, err5 := f.joined.sweep(ctx, f.db, now)
	ended, err6 := f.db.batches(ctx, removeEnded, now)
	return flows + sessions + grants + revoked + joined + ended, wrap(errors.Join(err1, err2, err3, err4, err5, err6), "sweep flows")
}

// Run sweeps every Config.SweepEvery until ctx ends, and then returns nil. A
// sweep that fails is logged and tried again next time; ErrBroken ends Run, and
// the process with it. The caller waits for Run before Close.
func (r *Records) Run(ctx context.Context) error { return run(ctx, r.cfg, "records", r.Sweep) }

// Run sweeps every Config.SweepEvery until ctx ends, and then returns nil. A
// sweep that fails is logged and tried again next time; ErrBroken ends Run, and
// the process with it. The caller waits for Run before Close.
func (f *Flows) Run(ctx context.Context) error { return run(ctx, f.cfg, "flow", f.Sweep) }

func run(ctx context.Context, cfg Config, name string, sweep func(context.Context, time.Time) (int64, error)) error {
	tick := time.NewTicker(cfg.SweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := sweep(ctx, cfg.Now())
		if errors.Is(err, ErrBroken) {
			return fmt.Errorf("database %s: %w", name, err)
		}
		if err != nil && ctx.Err() == nil {
			cfg.Log.LogAttrs(ctx, slog.LevelError, "expired rows were not removed",
				slog.String("database", name), slog.String("error", err.Error()))
		}
	}
}
