package sql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	// standingReceipt reads which receipt stands, whether its time is over or not.
	standingReceipt = `SELECT receipt FROM standing WHERE person = $1 AND client = $2`
	// dropStanding forgets the answer of a receipt.
	dropStanding = `DELETE FROM standing WHERE person = $1 AND client = $2 AND receipt = $3`
	// withdrawStanding forgets what a person has answered to a service for a purpose.
	withdrawStanding = `DELETE FROM standing WHERE person = $1 AND client = $2 AND policy_id = $3`
	// putWithdrawal says that a withdrawal has to be carried out.
	putWithdrawal = `INSERT INTO withdrawals (receipt) VALUES ($1)`
	// putWithdrawnGrants lists the grants whose tokens may live: young ones, and those
	// by which the client may come back.
	putWithdrawnGrants = `INSERT INTO withdrawn_grants (receipt, grant_id) SELECT $1, grant_id FROM receipts
	WHERE person = $2 AND client = $3 AND policy_id = $4 AND grant_id <> '' AND (time > $5 OR offline_until > $6) ON CONFLICT DO NOTHING`
	// endWithdrawnGrants ends their families, and keeps those from beginning that did not.
	endWithdrawnGrants = `INSERT INTO refresh_families (grant_id, expires, ended) SELECT grant_id, $1, 1 FROM withdrawn_grants
	WHERE receipt = $2 ON CONFLICT (grant_id) DO UPDATE SET ended = 1`
	// selectWithdrawals reads those that are not carried out yet.
	selectWithdrawals = `SELECT r.person, r.id, r.time, r.act, r.client, r.policy_id, r.policy_version, r.basis, r.rule, r.shown, r.released,
	r.acr, r.provider, r.language, r.notice, r.until, r.grant_id, r.audit, r.offline_until, r.about
	FROM withdrawals w JOIN receipts r ON r.id = w.receipt ORDER BY w.seq LIMIT $1`
	// selectWithdrawnGrants reads the grants of one.
	selectWithdrawnGrants = `SELECT grant_id FROM withdrawn_grants WHERE receipt = $1 ORDER BY grant_id`
	// removeWithdrawal forgets that there was something left to do.
	removeWithdrawal = `DELETE FROM withdrawals WHERE receipt = $1`
	// removeWithdrawnGrants forgets the grants of one.
	removeWithdrawnGrants = `DELETE FROM withdrawn_grants WHERE receipt = $1`
	// selectOverdue reads standing answers whose time is over.
	selectOverdue = `SELECT person, client, policy_id, policy_version, basis, shown, agreed, until, receipt FROM standing
	WHERE until <= $1 ORDER BY until LIMIT $2`
)

var _ consent.Archive = (*Records)(nil)

// stands reports whether a receipt is the one that stands.
func (t *tx) stands(person identity.PersonID, client protocol.ClientID, receipt [16]byte) (bool, error) {
	var got []byte
	err := t.row(standingReceipt, person[:], string(client)).Scan(&got)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return bytes.Equal(got, receipt[:]), err
}

// holds reports whether every answer that c uses, or that ends, still stands.
func (t *tx) holds(c *consent.Receipt, ended []consent.Ended) (bool, error) {
	if c.Act == consent.Reused && c.About != ([16]byte{}) {
		if ok, err := t.stands(c.Person, c.Client, c.About); !ok || err != nil {
			return false, err
		}
	}
	for _, e := range ended {
		if ok, err := t.stands(e.Receipt.Person, e.Receipt.Client, e.Receipt.About); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (t *tx) putEnded(ends []consent.Ended) error {
	for i := range ends {
		if err := putEntry(t, &ends[i].Entry); err != nil {
			return err
		}
		if err := putReceipt(t, &ends[i].Receipt); err != nil {
			return err
		}
	}
	return nil
}

// Withdraw implements consent.Archive.
func (r *Records) Withdraw(ctx context.Context, since, until time.Time, ends ...consent.Ended) error {
	err := r.db.do(ctx, func(t *tx) error {
		if err := t.putEnded(ends); err != nil {
			return err
		}
		for _, e := range ends {
			if err := t.withdraw(e.Receipt, since, until); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap(err, "withdraw")
}

func (t *tx) withdraw(c consent.Receipt, since, until time.Time) error {
	if _, err := t.exec(withdrawStanding, c.Person[:], string(c.Client), c.PolicyID); err != nil {
		return err
	}
	if _, err := t.exec(putWithdrawal, c.ID[:]); err != nil {
		return err
	}
	_, err := t.exec(putWithdrawnGrants, c.ID[:], c.Person[:], string(c.Client), c.PolicyID, micros(since), micros(c.Time))
	if err != nil {
		return err
	}
	_, err = t.exec(endWithdrawnGrants, micros(until), c.ID[:])
	return err
}

// Unfinished implements consent.Archive.
func (r *Records) Unfinished(ctx context.Context, limit int) ([]consent.Ending, error) {
	var out []consent.Ending
	err := r.db.all(ctx, func(row scanner) error {
		var person []byte
		c, err := scanReceipt(prefixed{row, &person})
		if err == nil {
			err = fill(c.Person[:], person)
		}
		out = append(out, consent.Ending{Receipt: c})
		return err
	}, selectWithdrawals, limit)
	if err != nil {
		return nil, wrap(err, "read withdrawals")
	}
	for i := range out {
		err := r.db.all(ctx, func(row scanner) error {
			var id string
			err := row.Scan(&id)
			out[i].Grants = append(out[i].Grants, id)
			return err
		}, selectWithdrawnGrants, out[i].Receipt.ID[:])
		if err != nil {
			return nil, wrap(err, "read withdrawn grants")
		}
	}
	return out, nil
}

// prefixed is a row with one column in front of those that are asked for.
type prefixed struct {
	scanner
	first *[]byte
}

func (p prefixed) Scan(dest ...any) error { return p.scanner.Scan(append([]any{p.first}, dest...)...) }

// Finished implements consent.Archive.
func (r *Records) Finished(ctx context.Context, receipt [16]byte) error {
	err := r.db.do(ctx, func(t *tx) error {
		if _, err := t.exec(removeWithdrawnGrants, receipt[:]); err != nil {
			return err
		}
		_, err := t.exec(removeWithdrawal, receipt[:])
		return err
	})
	return wrap(err, "finish a withdrawal")
}

// Overdue implements consent.Archive.
func (r *Records) Overdue(ctx context.Context, now time.Time, limit int) ([]consent.Standing, error) {
	var out []consent.Standing
	err := r.db.all(ctx, func(row scanner) error {
		var s consent.Standing
		var person, receipt []byte
		var shown, agreed string
		var until int64
		if err := row.Scan(&person, &s.Client, &s.PolicyID, &s.PolicyVersion, &s.Basis, &shown, &agreed, &until, &receipt); err != nil {
			return err
		}
		s.Shown, s.Agreed, s.Until = splitClaims(shown), splitClaims(agreed), fromMicros(until)
		err := errors.Join(fill(s.Person[:], person), fill(s.Receipt[:], receipt))
		out = append(out, s)
		return err
	}, selectOverdue, micros(now), limit)
	if err != nil {
		return nil, wrap(err, "read expired answers")
	}
	return out, nil
}

// ExpireAnswer implements consent.Archive.
func (r *Records) ExpireAnswer(ctx context.Context, end consent.Ended) error {
	var ok bool
	err := r.db.do(ctx, func(t *tx) (err error) {
		if ok, err = t.holds(&consent.Receipt{}, []consent.Ended{end}); err != nil || !ok {
			return err
		}
		if err := t.putEnded([]consent.Ended{end}); err != nil {
			return err
		}
		_, err = t.exec(dropStanding, end.Receipt.Person[:], string(end.Receipt.Client), end.Receipt.About[:])
		return err
	})
	if err == nil && !ok {
		return consent.ErrMoved
	}
	return wrap(err, "expire an answer")
}
