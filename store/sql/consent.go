package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	// insertReceipt adds a receipt; its id must be new and its audit entry there.
	insertReceipt = `INSERT INTO receipts (id, time, act, person, client, policy_id, policy_version, basis, rule, shown,
	released, acr, provider, language, notice, until, grant_id, audit, offline_until, about)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`
	// putStanding replaces the remembered answer of a person to a client.
	putStanding = `INSERT INTO standing (person, client, policy_id, policy_version, basis, shown, agreed, until, receipt)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
	ON CONFLICT (person, client) DO UPDATE SET policy_id = excluded.policy_id, policy_version = excluded.policy_version,
	basis = excluded.basis, shown = excluded.shown, agreed = excluded.agreed, until = excluded.until, receipt = excluded.receipt`
	// selectStanding finds an answer that is still remembered.
	selectStanding = `SELECT policy_id, policy_version, basis, shown, agreed, until, receipt FROM standing
	WHERE person = $1 AND client = $2 AND until > $3`
	// selectReceipts reads what a person did, in order.
	selectReceipts = `SELECT id, time, act, client, policy_id, policy_version, basis, rule, shown, released, acr, provider,
	language, notice, until, grant_id, audit, offline_until, about FROM receipts WHERE person = $1 ORDER BY seq`
	// countReceipts counts them all.
	countReceipts = `SELECT count(*) FROM receipts`
)

// Record implements consent.Store.
func (r *Records) Record(ctx context.Context, c consent.Receipt, s *consent.Standing, e audit.Entry, ended ...consent.Ended) error {
	if err := checkRecord(c, s, e); err != nil {
		return fmt.Errorf("record a receipt: %w", err)
	}
	var ok bool // and no error otherwise: that would cost every write of the same commit a second try
	err := r.db.do(ctx, func(t *tx) (err error) {
		if ok, err = t.holds(&c, ended); err != nil || !ok {
			return err
		}
		if err := t.putEnded(ended); err != nil {
			return err
		}
		if err := putEntry(t, &e); err != nil {
			return err
		}
		if err := putReceipt(t, &c); err != nil {
			return err
		}
		if s == nil {
			return nil
		}
		_, err = t.exec(putStanding, s.Person[:], string(s.Client), s.PolicyID, s.PolicyVersion,
			s.Basis, joinClaims(s.Shown), joinClaims(s.Agreed), micros(s.Until), s.Receipt[:])
		return err
	})
	if err == nil && !ok {
		return consent.ErrMoved
	}
	return wrap(err, "record a receipt")
}

// checkRecord refuses parts that do not belong together, so that no receipt can
// point at somebody else's entry and no refusal can be remembered as a yes.
func checkRecord(c consent.Receipt, s *consent.Standing, e audit.Entry) error {
	switch {
	case c.Audit != e.ID:
		return errors.New("it names another audit entry")
	case s != nil && c.Act == consent.Refused:
		return errors.New("a refusal leaves no standing answer")
	case s != nil && (s.Person != c.Person || s.Client != c.Client || s.Receipt != c.ID):
		return errors.New("the standing answer belongs to another receipt")
	}
	lists := [][]protocol.Claim{c.Shown, c.Released}
	if s != nil {
		lists = append(lists, s.Shown, s.Agreed)
	}
	for _, l := range lists {
		for _, name := range l {
			if name == "" || strings.Contains(string(name), " ") {
				return errors.New("a claim name is empty or has a space in it")
			}
		}
	}
	return nil
}

func putReceipt(t *tx, c *consent.Receipt) error {
	_, err := t.exec(insertReceipt, c.ID[:], micros(c.Time), string(c.Act), c.Person[:], string(c.Client),
		c.PolicyID, c.PolicyVersion, c.Basis, c.Rule, joinClaims(c.Shown), joinClaims(c.Released),
		string(c.ACR), string(c.Provider), c.Language, c.Notice[:], nullMicros(c.Until), c.Grant, c.Audit[:],
		nullMicros(c.OfflineUntil), about(c.About))
	return err
}

// about is NULL for the receipt that is about no other.
func about(id [16]byte) []byte {
	if id == ([16]byte{}) {
		return nil
	}
	return id[:]
}

// Standing implements consent.Store.
func (r *Records) Standing(ctx context.Context, p identity.PersonID, client protocol.ClientID, now time.Time) (*consent.Standing, error) {
	s := consent.Standing{Person: p, Client: client}
	var shown, agreed string
	var until int64
	var receipt []byte
	err := r.db.one(ctx, selectStanding, p[:], string(client), micros(now)).
		Scan(&s.PolicyID, &s.PolicyVersion, &s.Basis, &shown, &agreed, &until, &receipt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the seam: nil is "none"
	}
	if err == nil {
		err = fill(s.Receipt[:], receipt)
	}
	if err != nil {
		return nil, fmt.Errorf("read a standing answer: %w", err)
	}
	s.Shown, s.Agreed, s.Until = splitClaims(shown), splitClaims(agreed), fromMicros(until)
	return &s, nil
}

// Receipts lists everything that a person agreed to, refused or was told, oldest
// first.
func (r *Records) Receipts(ctx context.Context, p identity.PersonID) ([]consent.Receipt, error) {
	var out []consent.Receipt
	err := r.db.all(ctx, func(row scanner) error {
		c, err := scanReceipt(row)
		c.Person = p
		out = append(out, c)
		return err
	}, selectReceipts, p[:])
	if err != nil {
		return nil, wrap(err, "read receipts")
	}
	return out, nil
}

// CountReceipts tells how many receipts there are.
func (r *Records) CountReceipts(ctx context.Context) (int64, error) {
	return r.count(ctx, countReceipts, "count receipts")
}

// scanReceipt reads all but the person.
func scanReceipt(row scanner) (consent.Receipt, error) {
	var c consent.Receipt
	var id, notice, auditID, other []byte
	var us int64
	var shown, released string
	var until, offline sql.NullInt64
	err := row.Scan(&id, &us, &c.Act, &c.Client, &c.PolicyID, &c.PolicyVersion, &c.Basis, &c.Rule, &shown, &released,
		&c.ACR, &c.Provider, &c.Language, &notice, &until, &c.Grant, &auditID, &offline, &other)
	if err != nil {
		return c, err
	}
	c.Time, c.Shown, c.Released = fromMicros(us), splitClaims(shown), splitClaims(released)
	if until.Valid {
		c.Until = fromMicros(until.Int64)
	}
	if offline.Valid {
		c.OfflineUntil = fromMicros(offline.Int64)
	}
	if other != nil {
		err = fill(c.About[:], other)
	}
	return c, errors.Join(err, fill(c.ID[:], id), fill(c.Notice[:], notice), fill(c.Audit[:], auditID))
}

// nullMicros is micros, with NULL for the zero time.
func nullMicros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: micros(t), Valid: !t.IsZero()}
}

// joinClaims writes names with a space between two; no name has one.
func joinClaims(names []protocol.Claim) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(n))
	}
	return b.String()
}

// splitClaims is the inverse of joinClaims; no names give nil.
func splitClaims(s string) []protocol.Claim {
	var out []protocol.Claim
	for n := range strings.FieldsSeq(s) {
		out = append(out, protocol.Claim(n))
	}
	return out
}
