package sql

import (
	"context"
	"database/sql"
	"errors"

	"github.com/voussoir-id/voussoir/stats"
)

const (
	// lastStatsDay reads the last day that was counted.
	lastStatsDay = `SELECT date, up_to FROM stats_days WHERE date = (SELECT max(date) FROM stats_days)`
	// putStatsDay keeps a day, unless it is there.
	putStatsDay = `INSERT INTO stats_days (date, up_to) VALUES ($1, $2) ON CONFLICT (date) DO NOTHING`
	// putStatsCell keeps a number of it.
	putStatsCell = `INSERT INTO stats_cells (date, service, level, outcome, whole, n, people) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	// selectStatsDays lists days.
	selectStatsDays = `SELECT date FROM stats_days WHERE date >= $1 ORDER BY date`
	// selectStatsCells reads their numbers.
	selectStatsCells = `SELECT date, service, level, outcome, whole, n, people FROM stats_cells WHERE date >= $1
	ORDER BY date, service, level, outcome, whole`
	// selectLogEntries reads what is counted.
	selectLogEntries = `SELECT e.seq, e.time, e.public, p.person FROM audit_entries e LEFT JOIN audit_people p ON p.seq = e.seq
	WHERE e.seq > $1 ORDER BY e.seq LIMIT $2`
)

var _ stats.Store = (*Records)(nil)

// LastDay implements stats.Store.
func (r *Records) LastDay(ctx context.Context) (date string, upTo int64, err error) {
	err = r.db.one(ctx, lastStatsDay).Scan(&date, &upTo)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, nil
	}
	return date, upTo, wrap(err, "read the last counted day")
}

// LogEntries implements stats.Store.
func (r *Records) LogEntries(ctx context.Context, after int64, limit int) ([]stats.Entry, error) {
	var out []stats.Entry
	err := r.db.all(ctx, func(row scanner) error {
		var e stats.Entry
		var us int64
		var person []byte
		if err := row.Scan(&e.Seq, &us, &e.Public, &person); err != nil {
			return err
		}
		e.Time = fromMicros(us)
		if person != nil {
			if err := fill(e.Of[:], person); err != nil {
				return err
			}
		}
		out = append(out, e)
		return nil
	}, selectLogEntries, after, limit)
	if err != nil {
		return nil, wrap(err, "read entries to count")
	}
	return out, nil
}

// PutDay implements stats.Store.
func (r *Records) PutDay(ctx context.Context, d stats.Day, upTo int64) error {
	err := r.db.do(ctx, func(t *tx) error {
		n, err := t.exec(putStatsDay, d.Date, upTo)
		if err != nil || n == 0 {
			return err
		}
		for _, c := range d.Cells {
			whole := 0
			if c.Whole {
				whole = 1
			}
			if _, err := t.exec(putStatsCell, d.Date, c.Service, c.Level, string(c.Outcome), whole, c.N, c.People); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap(err, "keep a counted day")
}

// Days implements stats.Store.
func (r *Records) Days(ctx context.Context, from string) ([]stats.Day, error) {
	var out []stats.Day
	at := map[string]int{}
	err := r.db.all(ctx, func(row scanner) error {
		var d stats.Day
		err := row.Scan(&d.Date)
		at[d.Date], out = len(out), append(out, d)
		return err
	}, selectStatsDays, from)
	if err != nil {
		return nil, wrap(err, "read counted days")
	}
	err = r.db.all(ctx, func(row scanner) error {
		var c stats.Cell
		var date string
		if err := row.Scan(&date, &c.Service, &c.Level, &c.Outcome, &c.Whole, &c.N, &c.People); err != nil {
			return err
		}
		if i, ok := at[date]; ok { // else it was counted between the two statements
			out[i].Cells = append(out[i].Cells, c)
		}
		return nil
	}, selectStatsCells, from)
	if err != nil {
		return nil, wrap(err, "read the numbers of days")
	}
	return out, nil
}
