package sql

import "context"

// countNotices counts the notices that wait.
const countNotices = `SELECT count(*) FROM notices`

// Queued is how many writes wait for the records.
func (r *Records) Queued() int { return r.db.queued() }

// Queued is how many writes wait for the short-lived state.
func (f *Flows) Queued() int { return f.db.queued() }

// WaitingNotices is how many notices are kept, due or not.
func (r *Records) WaitingNotices(ctx context.Context) (int, error) {
	var n int
	err := r.db.one(ctx, countNotices).Scan(&n)
	return n, wrap(err, "count notices")
}
