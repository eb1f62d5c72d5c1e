package sql

import (
	"context"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/preferences"
)

const (
	// selectChoices reads what a person has said of providers.
	selectChoices = `SELECT provider, blocked, since FROM provider_choices WHERE person = $1 ORDER BY provider`
	// putChoice replaces what she has said of one.
	putChoice = `INSERT INTO provider_choices (person, provider, blocked, since) VALUES ($1, $2, $3, $4)
	ON CONFLICT (person, provider) DO UPDATE SET blocked = excluded.blocked, since = excluded.since`
	// addChoice adds it where she has said nothing.
	addChoice = `INSERT INTO provider_choices (person, provider, blocked, since) VALUES ($1, $2, $3, $4)
	ON CONFLICT (person, provider) DO NOTHING`
)

// Choices implements preferences.Store.
func (r *Records) Choices(ctx context.Context, person identity.PersonID) ([]preferences.Choice, error) {
	var out []preferences.Choice
	err := r.db.all(ctx, func(row scanner) error {
		var c preferences.Choice
		var since int64
		err := row.Scan(&c.Provider, &c.Blocked, &since)
		c.Since = fromMicros(since)
		out = append(out, c)
		return err
	}, selectChoices, person[:])
	if err != nil {
		return nil, wrap(err, "read choices")
	}
	return out, nil
}

// Choose implements preferences.Store.
func (r *Records) Choose(ctx context.Context, person identity.PersonID, set, fresh []preferences.Choice, e audit.Entry) error {
	return wrap(r.db.do(ctx, func(t *tx) error {
		for _, write := range []struct {
			statement string
			choices   []preferences.Choice
		}{{putChoice, set}, {addChoice, fresh}} {
			for _, c := range write.choices {
				if _, err := t.exec(write.statement, person[:], string(c.Provider), c.Blocked, micros(c.Since)); err != nil {
					return err
				}
			}
		}
		return putEntry(t, &e)
	}), "keep choices")
}
