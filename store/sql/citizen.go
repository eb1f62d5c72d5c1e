package sql

import (
	"context"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
)

const (
	// insertEntryOf makes an entry one of a person's.
	insertEntryOf = `INSERT INTO audit_people (person, seq) SELECT $1, e.seq FROM audit_entries e WHERE e.id = $2`
	// selectEntriesOf reads a page of her entries, the newest first.
	selectEntriesOf = `SELECT e.seq, e.id, e.time, e.public, e.sealed, e.leaf FROM audit_people p JOIN audit_entries e ON e.seq = p.seq
	WHERE p.person = $1 AND p.seq < $2 ORDER BY p.seq DESC LIMIT $3`
	// removeEntriesOf forgets which entries are hers.
	removeEntriesOf = `DELETE FROM audit_people WHERE person = $1`
	// expireEntriesOf forgets whose the entries of a stretch are.
	expireEntriesOf = `DELETE FROM audit_people WHERE seq IN (SELECT seq FROM audit_leaves WHERE idx >= $1 AND idx < $2)`
	// stopForGood has everything that a person began before count no more.
	stopForGood = `INSERT INTO person_stops (person, reason, since, lifted) VALUES ($1, 'closed', $2, $2)
	ON CONFLICT (person) DO UPDATE SET reason = excluded.reason, since = excluded.since, lifted = excluded.lifted`
)

// closing is what goes when a person closes her record, all but the entries: $1 is her id.
const (
	removeAliasesOf       = `DELETE FROM aliases WHERE person = $1`
	removeWithdrawalsOf   = `DELETE FROM withdrawals WHERE receipt IN (SELECT id FROM receipts WHERE person = $1)`
	removeGrantsOf        = `DELETE FROM withdrawn_grants WHERE receipt IN (SELECT id FROM receipts WHERE person = $1)`
	removeReceiptsOf      = `DELETE FROM receipts WHERE person = $1`
	removeAllStandingOf   = `DELETE FROM standing WHERE person = $1`
	removeChoicesOf       = `DELETE FROM provider_choices WHERE person = $1`
	removeConfirmationOf  = `DELETE FROM confirmations WHERE person = $1`
	endEveryFamilyOf      = `UPDATE refresh_families SET ended = 1, person = NULL, client = NULL, family = NULL, current = NULL, sealed = NULL WHERE person = $1`
	removeEveryEndingOf   = `DELETE FROM refresh_ends WHERE person = $1`
	removeSealKeyOfPerson = `UPDATE persons SET seal_key = x'' WHERE id = $1`
)

// EntriesOf reads up to limit entries of a person before a place (0: from the newest),
// the newest first. person is the digest that her entries were stored under.
func (r *Records) EntriesOf(ctx context.Context, person [32]byte, before int64, limit int) ([]audit.Placed, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	var out []audit.Placed
	err := r.db.all(ctx, func(row scanner) error {
		e, err := scanPlaced(row)
		out = append(out, e)
		return err
	}, selectEntriesOf, person[:], before, limit)
	if err != nil {
		return nil, wrap(err, "read the entries of a person")
	}
	return out, nil
}

// ClosePerson forgets all that is kept of a person, together with the entry that says
// so: her key first of all, so that nothing opens the personal parts of her entries. It
// is durable when it returns nil, and then nothing of it is left in the files. What she
// began before counts no more. person is the digest that her entries were stored under.
//
// Doing it again does no harm: whoever crashes before the files are scrubbed does so.
func (r *Records) ClosePerson(ctx context.Context, id identity.PersonID, person [32]byte, e audit.Entry) error {
	now := r.cfg.Now()
	err := r.db.do(ctx, func(t *tx) error {
		if err := putEntry(t, &e); err != nil {
			return err
		}
		for _, remove := range []string{
			removeSealKeyOfPerson, removeAliasesOf, removeWithdrawalsOf, removeGrantsOf, removeReceiptsOf, removeAllStandingOf, removeChoicesOf, removeConfirmationOf,
			endEveryFamilyOf, removeEveryEndingOf,
		} {
			if _, err := t.exec(remove, id[:]); err != nil {
				return err
			}
		}
		if _, err := t.exec(removeEntriesOf, person[:]); err != nil {
			return err
		}
		_, err := t.exec(stopForGood, id[:], micros(now))
		return err
	})
	if err != nil {
		return wrap(err, "close the record of a person")
	}
	return r.Scrub(ctx)
}
