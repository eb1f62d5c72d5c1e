package sql

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/provider"
)

const (
	// insertFamily adds a family, unless its grant was ended before.
	insertFamily = `INSERT INTO refresh_families (grant_id, person, client, family, current, sealed, expires, ended)
	VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`
	// selectEnded finds out whether a grant was ended, or all that its person had until
	// then.
	selectEnded = `SELECT 1 FROM refresh_families WHERE grant_id = $1 AND ended = 1 UNION ALL
	SELECT 1 FROM refresh_ends WHERE person = $2 AND client = $3 AND at >= $4 LIMIT 1`
	// selectFamily reads one that has not expired, ended or not.
	selectFamily = `SELECT grant_id, person, client, current, sealed, expires, ended FROM refresh_families
	WHERE family = $1 AND expires > $2`
	// rotateFamily goes from one token to the next: of many at once one changes the row.
	rotateFamily = `UPDATE refresh_families SET current = $1, sealed = $2, expires = $3
	WHERE family = $4 AND current = $5 AND ended = 0 AND expires > $6`
	// endFamily ends the family of a grant, or keeps one from beginning.
	endFamily = `INSERT INTO refresh_families (grant_id, expires, ended) VALUES ($1, $2, 1)
	ON CONFLICT (grant_id) DO UPDATE SET ended = 1`
	// endFamilies ends all of a person at a client.
	endFamilies = `UPDATE refresh_families SET ended = 1 WHERE person = $1 AND client = $2`
	// putEnds remembers when that was.
	putEnds = `INSERT INTO refresh_ends (person, client, at) VALUES ($1, $2, $3)
	ON CONFLICT (person, client) DO UPDATE SET at = excluded.at WHERE excluded.at > refresh_ends.at`
	// removeEnds forgets a batch of those whose codes are all over.
	removeEnds = `DELETE FROM refresh_ends WHERE (person, client) IN
	(SELECT person, client FROM refresh_ends WHERE at <= $1 ORDER BY at LIMIT $2)`
	// selectEndedFamilies lists those that have ended.
	selectEndedFamilies = `SELECT grant_id FROM refresh_families WHERE person = $1 AND client = $2 AND ended = 1 ORDER BY grant_id`
	// removeFamilies forgets a batch of families that have expired.
	removeFamilies = `DELETE FROM refresh_families WHERE grant_id IN
	(SELECT grant_id FROM refresh_families WHERE expires <= $1 ORDER BY expires LIMIT $2)`
)

// PutFamily implements provider.RefreshStore.
func (r *Records) PutFamily(ctx context.Context, f provider.StoredFamily, granted time.Time) error {
	var ended bool
	err := r.db.do(ctx, func(t *tx) error {
		var one int64
		err := t.row(selectEnded, string(f.Grant), f.Person[:], string(f.Client), micros(granted)).Scan(&one)
		if ended = err == nil; ended || !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = t.exec(insertFamily, string(f.Grant), f.Person[:], string(f.Client), f.Family[:], f.Current[:], blob(f.Sealed), micros(f.Expires))
		return err
	})
	if err == nil && ended {
		return provider.ErrFamilyEnded
	}
	return wrap(err, "put a family")
}

// GetFamily implements provider.RefreshStore.
func (r *Records) GetFamily(ctx context.Context, family provider.Digest, now time.Time) (provider.StoredFamily, error) {
	f := provider.StoredFamily{Family: family}
	var person, current []byte
	var expires int64
	err := r.db.one(ctx, selectFamily, family[:], micros(now)).Scan(&f.Grant, &person, &f.Client, &current, &f.Sealed, &expires, &f.Ended)
	if err == nil {
		err = errors.Join(fill(f.Person[:], person), fill(f.Current[:], current))
	}
	if err != nil {
		return provider.StoredFamily{}, missing(err, provider.ErrNoFamily, "get a family")
	}
	f.Expires = fromMicros(expires)
	return f, nil
}

// RotateFamily implements provider.RefreshStore.
func (r *Records) RotateFamily(ctx context.Context, from provider.Digest, next provider.StoredFamily, now time.Time, e audit.Entry) error {
	var rotated bool // and no error otherwise: that would cost every write of the same commit a second try
	err := r.db.do(ctx, func(t *tx) error {
		n, err := t.exec(rotateFamily, next.Current[:], blob(next.Sealed), micros(next.Expires), next.Family[:], from[:], micros(now))
		if rotated = n == 1; err != nil || !rotated {
			return err
		}
		return putEntry(t, &e)
	})
	if err == nil && !rotated {
		return provider.ErrFamilyMoved
	}
	return wrap(err, "rotate a family")
}

// EndFamily implements provider.RefreshStore.
func (r *Records) EndFamily(ctx context.Context, grant login.GrantID, until time.Time) error {
	err := r.db.do(ctx, func(t *tx) error {
		_, err := t.exec(endFamily, string(grant), micros(until))
		return err
	})
	return wrap(err, "end a family")
}

// EndFamilies implements provider.RefreshStore.
func (r *Records) EndFamilies(ctx context.Context, person identity.PersonID, client protocol.ClientID, now time.Time) ([]login.GrantID, error) {
	err := r.db.do(ctx, func(t *tx) error {
		if _, err := t.exec(putEnds, person[:], string(client), micros(now)); err != nil {
			return err
		}
		_, err := t.exec(endFamilies, person[:], string(client))
		return err
	})
	if err != nil {
		return nil, wrap(err, "end families")
	}
	var ended []login.GrantID
	err = r.db.all(ctx, func(row scanner) error {
		var id login.GrantID
		err := row.Scan(&id)
		ended = append(ended, id)
		return err
	}, selectEndedFamilies, person[:], string(client))
	return ended, wrap(err, "list ended families")
}
