package sql

import (
	"context"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

const (
	// selectOfSubject reads the sessions that a provider knows by a person's name.
	selectOfSubject = `SELECT s.digest, s.id, s.expires, s.sealed, s.upstream_subject, s.upstream_session FROM sessions s
	WHERE s.upstream_subject = $1 AND s.expires > $2
	AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.session = s.id) ORDER BY s.seq LIMIT $3`
	// selectOfSession reads those that it knows by the name of a session there.
	selectOfSession = `SELECT s.digest, s.id, s.expires, s.sealed, s.upstream_subject, s.upstream_session FROM sessions s
	WHERE s.upstream_session = $1 AND s.expires > $2
	AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.session = s.id) ORDER BY s.seq LIMIT $3`
	// selectOfBoth reads those that it knows by both.
	selectOfBoth = `SELECT s.digest, s.id, s.expires, s.sealed, s.upstream_subject, s.upstream_session FROM sessions s
	WHERE s.upstream_session = $1 AND s.upstream_subject = $4 AND s.expires > $2
	AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.session = s.id) ORDER BY s.seq LIMIT $3`
)

// SessionsFrom implements login.SessionStore.
func (f *Flows) SessionsFrom(ctx context.Context, u login.Upstream, limit int, now time.Time) ([]login.Session, error) {
	query, args := selectOfSession, []any{u.Session, micros(now), limit}
	switch {
	case u.Subject == nil && u.Session == nil:
		return nil, errors.New("find sessions: by no name at all")
	case u.Session == nil:
		query, args[0] = selectOfSubject, u.Subject
	case u.Subject != nil:
		query, args = selectOfBoth, append(args, u.Subject)
	}
	var out []login.Session
	err := f.db.all(ctx, func(row scanner) error {
		var s login.Session
		var digest []byte
		var id string
		var expires int64
		if err := row.Scan(&digest, &id, &expires, &s.Sealed, &s.From.Subject, &s.From.Session); err != nil {
			return err
		}
		s.ID, s.Expires = login.SessionID(id), fromMicros(expires)
		out = append(out, s)
		return fill(out[len(out)-1].Digest[:], digest)
	}, query, args...)
	if err != nil {
		return nil, wrap(err, "find sessions of a provider")
	}
	return out, nil
}

// mark is NULL for a name that is not there: an empty one would be everybody's.
func mark(digest []byte) any {
	if len(digest) == 0 {
		return nil
	}
	return digest
}
