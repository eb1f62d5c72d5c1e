package sql

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
)

// PersonStop is a person whom an operator has taken out of service.
type PersonStop struct {
	Person identity.PersonID
	Reason string // in the operator's words; for operators only
	Since  time.Time
	Lifted time.Time // when she was put back; zero: she was not
}

// ErrNoPerson: nobody has this id.
var ErrNoPerson = errors.New("no such person")

const (
	// putPersonStop takes a person out of service, unless she is.
	putPersonStop = `INSERT INTO person_stops (person, reason, since, lifted) VALUES ($1, $2, $3, 0)
	ON CONFLICT (person) DO UPDATE SET reason = excluded.reason, since = excluded.since, lifted = 0 WHERE person_stops.lifted <> 0`
	// liftPersonStop puts her back.
	liftPersonStop = `UPDATE person_stops SET lifted = $1 WHERE person = $2 AND lifted = 0`
	// selectPersonStops lists all, lifted ones too.
	selectPersonStops = `SELECT person, reason, since, lifted FROM person_stops ORDER BY person`
	// personByID finds a person by her id.
	personByID = `SELECT p.id, p.seal_key FROM persons p WHERE p.id = $1`
	// selectPeople reads ids of people, a stretch at a time.
	selectPeople = `SELECT id FROM persons WHERE id > $1 ORDER BY id LIMIT $2`
)

// PutPersonStop takes a person out of service together with its audit entry, or returns
// ErrStopped and changes nothing. It is durable when it returns nil.
func (r *Records) PutPersonStop(ctx context.Context, s PersonStop, e audit.Entry) error {
	return r.register(ctx, "put a stop", ErrStopped, e, putPersonStop, s.Person[:], s.Reason, micros(s.Since))
}

// LiftPersonStop puts her back into service at a time, or returns ErrNotStopped and
// changes nothing. It is durable when it returns nil.
func (r *Records) LiftPersonStop(ctx context.Context, id identity.PersonID, at time.Time, e audit.Entry) error {
	return r.register(ctx, "lift a stop", ErrNotStopped, e, liftPersonStop, micros(at), id[:])
}

// PersonStops lists all who are out of service, or were, by person.
func (r *Records) PersonStops(ctx context.Context) ([]PersonStop, error) {
	var out []PersonStop
	err := r.db.all(ctx, func(row scanner) error {
		var s PersonStop
		var id []byte
		var since, lifted int64
		if err := row.Scan(&id, &s.Reason, &since, &lifted); err != nil {
			return err
		}
		if s.Since = fromMicros(since); lifted != 0 {
			s.Lifted = fromMicros(lifted)
		}
		out = append(out, s)
		return fill(out[len(out)-1].Person[:], id)
	}, selectPersonStops)
	if err != nil {
		return nil, wrap(err, "read the stops of people")
	}
	return out, nil
}

// Person finds a person by her id, or returns ErrNoPerson.
func (r *Records) Person(ctx context.Context, id identity.PersonID) (identity.Person, error) {
	p, err := scanPerson(r.db.one(ctx, personByID, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoPerson
	}
	return p, wrap(err, "find a person")
}

// People are the ids of at most n people after one, in their order.
func (r *Records) People(ctx context.Context, after identity.PersonID, n int) ([]identity.PersonID, error) {
	var out []identity.PersonID
	err := r.db.all(ctx, func(row scanner) error {
		var column []byte
		var id identity.PersonID
		if err := row.Scan(&column); err != nil {
			return err
		}
		err := fill(id[:], column)
		out = append(out, id)
		return err
	}, selectPeople, after[:], n)
	if err != nil {
		return nil, wrap(err, "list people")
	}
	return out, nil
}
