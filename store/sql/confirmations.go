package sql

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/identity"
)

// confirmationTTL is how long a confirmation is kept: longer than any policy's
// registry_grace, which is at most a year.
const confirmationTTL = 366 * 24 * time.Hour

const (
	// putConfirmation keeps the later of two times.
	putConfirmation = `INSERT INTO confirmations (person, time) VALUES ($1, $2)
		ON CONFLICT (person) DO UPDATE SET time = excluded.time WHERE excluded.time > confirmations.time`
	// confirmationByAlias finds when the person of an alias was last confirmed.
	confirmationByAlias = `SELECT c.time FROM aliases a JOIN confirmations c ON c.person = a.person WHERE a.alias = $1`
	// removeConfirmation forgets that the person of an alias was confirmed.
	removeConfirmation = `DELETE FROM confirmations WHERE person = (SELECT person FROM aliases WHERE alias = $1)`
	// removeConfirmations removes those that are too old for any policy.
	removeConfirmations = `DELETE FROM confirmations WHERE person IN (SELECT person FROM confirmations WHERE time <= $1 LIMIT $2)`
)

// Confirm implements identity.PersonStore.
func (r *Records) Confirm(ctx context.Context, id identity.PersonID, at time.Time) error {
	return wrap(r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(putConfirmation, id[:], micros(at))
		return err
	}), "confirm a person")
}

// Confirmed implements identity.PersonStore.
func (r *Records) Confirmed(ctx context.Context, alias [32]byte) (time.Time, error) {
	var at int64
	err := r.db.one(ctx, confirmationByAlias, alias[:]).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, wrap(err, "look up a confirmation")
	}
	return fromMicros(at), nil
}

// Unconfirm implements identity.PersonStore.
func (r *Records) Unconfirm(ctx context.Context, alias [32]byte) error {
	return wrap(r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(removeConfirmation, alias[:])
		return err
	}), "forget a confirmation")
}
