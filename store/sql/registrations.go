package sql

import (
	"context"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registration"
)

const (
	// insertRegistration adds a registration if there are fewer than $8 of its initial
	// token, and else changes nothing.
	insertRegistration = `INSERT INTO registrations (client, initial, issued, changed, metadata, secret, access)
	SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT count(*) FROM registrations WHERE initial = $2) < $8`
	// updateRegistration replaces what a service may replace.
	updateRegistration = `UPDATE registrations SET changed = $1, metadata = $2, secret = $3 WHERE client = $4`
	// deleteRegistration forgets a registration.
	deleteRegistration = `DELETE FROM registrations WHERE client = $1`
	// selectRegistrations lists them all.
	selectRegistrations = `SELECT client, initial, issued, changed, metadata, secret, access FROM registrations ORDER BY issued, client`
)

// AddRegistration implements registration.Store. Writes take turns, so the count is
// that of the moment of the insertion.
func (r *Records) AddRegistration(ctx context.Context, g registration.Registration, limit int, e audit.Entry) error {
	return r.register(ctx, "add a registration", registration.ErrFull, e, insertRegistration, string(g.ID), g.Initial, micros(g.Issued), micros(g.Changed), blob(g.Metadata), nullBlob(g.Secret), g.Access[:], limit)
}

// ReplaceRegistration implements registration.Store.
func (r *Records) ReplaceRegistration(ctx context.Context, g registration.Registration, e audit.Entry) error {
	return r.register(ctx, "replace a registration", registration.ErrUnknown, e, updateRegistration, micros(g.Changed), blob(g.Metadata), nullBlob(g.Secret), string(g.ID))
}

// RemoveRegistration implements registration.Store.
func (r *Records) RemoveRegistration(ctx context.Context, id protocol.ClientID, e audit.Entry) error {
	return r.register(ctx, "remove a registration", registration.ErrUnknown, e, deleteRegistration, string(id))
}

// register changes one row together with its audit entry; none is the error for
// when there is no row to change, and then there is no entry either.
func (r *Records) register(ctx context.Context, doing string, none error, e audit.Entry, statement string, args ...any) error {
	err := r.db.do(ctx, func(t *tx) error {
		n, err := t.exec(statement, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return none
		}
		return putEntry(t, &e)
	})
	return wrap(err, doing)
}

// Registrations implements registration.Store.
func (r *Records) Registrations(ctx context.Context) ([]registration.Registration, error) {
	var out []registration.Registration
	err := r.db.all(ctx, func(row scanner) error {
		var g registration.Registration
		var id string
		var issued, changed int64
		var access []byte
		if err := row.Scan(&id, &g.Initial, &issued, &changed, &g.Metadata, &g.Secret, &access); err != nil {
			return err
		}
		g.ID, g.Issued, g.Changed = protocol.ClientID(id), fromMicros(issued), fromMicros(changed)
		if err := fill(g.Access[:], access); err != nil {
			return err
		}
		out = append(out, g)
		return nil
	}, selectRegistrations)
	if err != nil {
		return nil, wrap(err, "read registrations")
	}
	return out, nil
}

// nullBlob is b, or NULL when there is none.
func nullBlob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
