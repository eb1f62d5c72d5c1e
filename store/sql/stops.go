package sql

import (
	"context"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/audit"
)

// StopKind says what a Stop takes out of service.
type StopKind string

// The kinds.
const (
	StopClient   StopKind = "client"
	StopProvider StopKind = "provider"
)

// Stop is something that an operator has taken out of service by a command.
type Stop struct {
	Kind   StopKind
	ID     string
	Reason string // in the operator's words; for operators only
	Since  time.Time
}

// ErrStopped: it is out of service already. ErrNotStopped: it is not.
var (
	ErrStopped    = errors.New("it is out of service already")
	ErrNotStopped = errors.New("it is not out of service")
)

const (
	// insertStop takes something out of service, unless it is.
	insertStop = `INSERT INTO stops (kind, id, reason, since) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	// deleteStop puts it back.
	deleteStop = `DELETE FROM stops WHERE kind = $1 AND id = $2`
	// selectStops lists what is out of service.
	selectStops = `SELECT kind, id, reason, since FROM stops ORDER BY kind, id`
)

// PutStop takes something out of service together with its audit entry, or returns
// ErrStopped and changes nothing. It is durable when it returns nil.
func (r *Records) PutStop(ctx context.Context, s Stop, e audit.Entry) error {
	return r.register(ctx, "put a stop", ErrStopped, e, insertStop, string(s.Kind), s.ID, s.Reason, micros(s.Since))
}

// LiftStop puts something back into service together with its audit entry, or returns
// ErrNotStopped and changes nothing. It is durable when it returns nil.
func (r *Records) LiftStop(ctx context.Context, kind StopKind, id string, e audit.Entry) error {
	return r.register(ctx, "lift a stop", ErrNotStopped, e, deleteStop, string(kind), id)
}

// Stops lists what is out of service, by kind and id.
func (r *Records) Stops(ctx context.Context) ([]Stop, error) {
	var out []Stop
	err := r.db.all(ctx, func(row scanner) error {
		var s Stop
		var since int64
		if err := row.Scan(&s.Kind, &s.ID, &s.Reason, &since); err != nil {
			return err
		}
		s.Since = fromMicros(since)
		out = append(out, s)
		return nil
	}, selectStops)
	if err != nil {
		return nil, wrap(err, "read stops")
	}
	return out, nil
}
