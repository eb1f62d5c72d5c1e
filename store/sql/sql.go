// Package sql keeps the records (persons, receipts, standing answers, audit
// entries, one-time use, key metadata, registrations) and, by default, the short-lived state
// (flows, sessions, grants), in two SQLite files of one directory. Statements
// are written by hand with $1, ON CONFLICT and RETURNING, which SQLite and
// PostgreSQL both take; sqlite.go holds what differs.
//
// It decides nothing, seals nothing and never sees a code, a token or a claim
// value. An error is never "not found": whatever this package could not find
// out comes back as an error that is none of the seams' sentinels.
//
// Read writer.go for how writes become durable together, and store/storetest
// for what every backend promises.
package sql

import (
	"errors"
	"log/slog"
	"time"
)

// ErrUnknownOutcome: the caller's context ended, or the commit itself failed,
// while the write was under way. It may or may not have taken effect.
var ErrUnknownOutcome = errors.New("the outcome of the write is unknown")

// ErrClosed: the store was closed before the write began; it did not take effect.
var ErrClosed = errors.New("the store is closed")

// ErrBroken: the disk failed a flush or the file is damaged. What was
// acknowledged before is not touched again; the process should stop and start
// anew, because a flush that failed once must not be trusted when it is retried.
var ErrBroken = errors.New("the store is broken and must be reopened")

// Config says where the files are and what time it is.
type Config struct {
	// Dir holds the database files. It is created with mode 0700, and set to it
	// if it exists with a wider one; files get 0600. Required.
	Dir string
	// Now is the clock of the sweeper and of Ping. Required.
	Now func() time.Time
	// Log receives the sweeper's failures. Nil: they are dropped.
	Log *slog.Logger
	// Committed hears of each transaction that was committed, or could not be: how long
	// it took, and why not. It does not block. Nil: nobody is told.
	Committed func(took time.Duration, err error)
	// SweepEvery is how often Run sweeps. Default 10 s.
	SweepEvery time.Duration
}

// sweepEvery is the default of Config.SweepEvery.
const sweepEvery = 10 * time.Second

// withDefaults refuses a configuration that lacks a collaborator.
func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("sql: Dir is missing")
	}
	if c.Now == nil {
		return c, errors.New("sql: Now is missing")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.SweepEvery <= 0 {
		c.SweepEvery = sweepEvery
	}
	return c, nil
}

// micros is how times are stored. A zero time is stored as NULL by those that
// may be zero; see nullMicros.
func micros(t time.Time) int64 { return t.UnixMicro() }

// fromMicros is the inverse of micros, to the microsecond, in UTC.
func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// blob is b, never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
