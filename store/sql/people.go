package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/identity"
)

const (
	// personByAlias finds whom an alias leads to.
	personByAlias = `SELECT p.id, p.seal_key FROM aliases a JOIN persons p ON p.id = a.person WHERE a.alias = $1`
	// insertPerson adds a person.
	insertPerson = `INSERT INTO persons (id, seal_key, created) VALUES ($1, $2, $3)`
	// insertAlias adds an alias that leads nowhere yet; otherwise it changes nothing.
	insertAlias = `INSERT INTO aliases (alias, person, created) VALUES ($1, $2, $3) ON CONFLICT (alias) DO NOTHING`
)

// Resolve implements identity.PersonStore. Somebody who has been here before
// costs a read and no write.
func (r *Records) Resolve(ctx context.Context, alias [32]byte, candidate identity.Person, now time.Time) (identity.Person, error) {
	p, err := scanPerson(r.db.one(ctx, personByAlias, alias[:]))
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return p, wrap(err, "resolve a person")
	}
	err = r.db.do(ctx, func(t *tx) (err error) { // an err of its own: the job may outlive this call
		// Looked up again: since the read, another visit may have brought her in.
		if p, err = scanPerson(t.row(personByAlias, alias[:])); !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		p = candidate
		if _, err := t.exec(insertPerson, p.ID[:], blob(p.SealKey), micros(now)); err != nil {
			return err
		}
		_, err = t.exec(insertAlias, alias[:], p.ID[:], micros(now))
		return err
	})
	if err != nil {
		return identity.Person{}, wrap(err, "resolve a person")
	}
	return p, nil
}

// JoinAliases implements identity.PersonStore. One transaction looks and writes: of two
// visits that bring the same two spellings in, one makes the person.
func (r *Records) JoinAliases(ctx context.Context, a, b [32]byte, candidate identity.Person, now time.Time) (identity.Person, error) {
	p, err := scanPerson(r.db.one(ctx, personByAlias, a[:]))
	if err == nil {
		var q identity.Person
		if q, err = scanPerson(r.db.one(ctx, personByAlias, b[:])); err == nil && p.ID == q.ID {
			return p, nil // as at each sign-in but the first
		}
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return identity.Person{}, wrap(err, "join two aliases")
	}
	err = r.db.do(ctx, func(t *tx) (err error) {
		p, err = t.join(a, b, candidate, now)
		return err
	})
	if err != nil {
		return identity.Person{}, wrap(err, "join two aliases")
	}
	return p, nil
}

func (t *tx) join(a, b [32]byte, candidate identity.Person, now time.Time) (identity.Person, error) {
	p, missingA := scanPerson(t.row(personByAlias, a[:]))
	q, missingB := scanPerson(t.row(personByAlias, b[:]))
	for _, err := range []error{missingA, missingB} {
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return identity.Person{}, err
		}
	}
	switch {
	case missingA == nil && missingB == nil && p.ID != q.ID:
		return identity.Person{}, identity.ErrAmbiguous
	case missingA != nil && missingB != nil:
		p = candidate
		if _, err := t.exec(insertPerson, p.ID[:], blob(p.SealKey), micros(now)); err != nil {
			return identity.Person{}, err
		}
	case missingA != nil:
		p = q
	}
	for _, alias := range [][32]byte{a, b} {
		if _, err := t.exec(insertAlias, alias[:], p.ID[:], micros(now)); err != nil {
			return identity.Person{}, err
		}
	}
	return p, nil
}

func scanPerson(row scanner) (identity.Person, error) {
	var id, key []byte
	if err := row.Scan(&id, &key); err != nil {
		return identity.Person{}, err
	}
	p := identity.Person{SealKey: key}
	return p, fill(p.ID[:], id)
}

// fill copies a fixed-width column; another width means a damaged row.
func fill(dst, column []byte) error {
	if len(column) != len(dst) {
		return fmt.Errorf("a column of %d bytes has %d", len(dst), len(column))
	}
	copy(dst, column)
	return nil
}

// wrap says what we were doing, unless nothing went wrong.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
