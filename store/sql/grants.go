package sql

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/provider"
)

const (
	// insertGrant adds a code or a token; its digest must be new for its kind.
	insertGrant = `INSERT INTO grants (digest, kind, grant_id, expires, sealed) VALUES ($1, $2, $3, $4, $5)`
	// selectGrant reads one that has neither expired nor been revoked. The tombstone
	// is looked up here and not when the grant is put: so it does not matter which
	// of the two came first, and putting needs no index on grant_id.
	selectGrant = `SELECT g.grant_id, g.expires, g.sealed FROM grants g WHERE g.digest = $1 AND g.kind = $2 AND g.expires > $3
	AND NOT EXISTS (SELECT 1 FROM revoked_grants r WHERE r.grant_id = g.grant_id)`
	// revokeGrant sets a tombstone; a second one can only make it last longer.
	revokeGrant = `INSERT INTO revoked_grants (grant_id, until) VALUES ($1, $2)
	ON CONFLICT (grant_id) DO UPDATE SET until = excluded.until WHERE excluded.until > revoked_grants.until`
	// withdrawGrant is revokeGrant that says why.
	withdrawGrant = `INSERT INTO revoked_grants (grant_id, until, withdrawn) VALUES ($1, $2, 1)
	ON CONFLICT (grant_id) DO UPDATE SET until = max(excluded.until, revoked_grants.until), withdrawn = 1`
	// selectWithdrawn finds the tombstone of a withdrawal.
	selectWithdrawn = `SELECT 1 FROM revoked_grants WHERE grant_id = $1 AND withdrawn = 1`
	// scanGrants walks over the grants for the sweeper.
	scanGrants = `SELECT seq, expires FROM grants WHERE seq > $1 ORDER BY seq LIMIT $2`
	// removeGrants forgets the expired grants of a stretch.
	removeGrants = `DELETE FROM grants WHERE seq > $1 AND seq <= $2 AND expires <= $3`
	// removeRevoked forgets a batch of tombstones whose grants are all dead by age.
	removeRevoked = `DELETE FROM revoked_grants WHERE grant_id IN
	(SELECT grant_id FROM revoked_grants WHERE until <= $1 ORDER BY until LIMIT $2)`
)

// PutGrant implements provider.GrantStore. A digest that is taken is an error.
func (f *Flows) PutGrant(ctx context.Context, g provider.StoredGrant) error {
	err := f.db.do(ctx, func(t *tx) error {
		_, err := t.exec(insertGrant, g.Digest[:], string(g.Kind), string(g.Grant), micros(g.Expires), blob(g.Sealed))
		return err
	})
	return wrap(err, "put a grant")
}

// GetGrant implements provider.GrantStore.
func (f *Flows) GetGrant(ctx context.Context, k provider.GrantKind, d provider.Digest, now time.Time) (provider.StoredGrant, error) {
	var id string
	var expires int64
	var sealed []byte
	err := f.db.one(ctx, selectGrant, d[:], string(k), micros(now)).Scan(&id, &expires, &sealed)
	if err != nil {
		return provider.StoredGrant{}, missing(err, provider.ErrNoGrant, "get a grant")
	}
	return provider.StoredGrant{
		Kind: k, Digest: d, Grant: login.GrantID(id), Sealed: sealed, Expires: fromMicros(expires),
	}, nil
}

// RevokeGrant implements provider.GrantStore.
func (f *Flows) RevokeGrant(ctx context.Context, id login.GrantID, until time.Time) error {
	err := f.db.do(ctx, func(t *tx) error {
		_, err := t.exec(revokeGrant, string(id), micros(until))
		return err
	})
	return wrap(err, "revoke a grant")
}

// WithdrawGrant implements provider.GrantStore.
func (f *Flows) WithdrawGrant(ctx context.Context, id login.GrantID, until time.Time) error {
	err := f.db.do(ctx, func(t *tx) error {
		_, err := t.exec(withdrawGrant, string(id), micros(until))
		return err
	})
	return wrap(err, "withdraw a grant")
}

// Withdrawn implements provider.GrantStore.
func (f *Flows) Withdrawn(ctx context.Context, id login.GrantID) (bool, error) {
	var one int
	err := f.db.one(ctx, selectWithdrawn, string(id)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, wrap(err, "look for a withdrawal")
}
