package sql

import (
	"context"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

const (
	// putSession adds a session or replaces the one with this digest, unless it was
	// ended: of a logout and a use at the same time, the logout counts.
	putSession = `INSERT INTO sessions (digest, id, expires, sealed, upstream_subject, upstream_session)
	SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.session = $2)
	ON CONFLICT (digest) DO UPDATE SET id = excluded.id, expires = excluded.expires, sealed = excluded.sealed,
	upstream_subject = excluded.upstream_subject, upstream_session = excluded.upstream_session`
	// selectSession reads a session that has neither expired nor been ended.
	selectSession = `SELECT s.id, s.expires, s.sealed, s.upstream_subject, s.upstream_session FROM sessions s WHERE s.digest = $1 AND s.expires > $2
	AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.session = s.id)`
	// deleteSession ends a session.
	deleteSession = `DELETE FROM sessions WHERE digest = $1`
	// scanSessions walks over the sessions for the sweeper.
	scanSessions = `SELECT seq, expires FROM sessions WHERE seq > $1 ORDER BY seq LIMIT $2`
	// removeSessions forgets the expired sessions of a stretch.
	removeSessions = `DELETE FROM sessions WHERE seq > $1 AND seq <= $2 AND expires <= $3`
)

// PutSession implements login.SessionStore.
func (f *Flows) PutSession(ctx context.Context, s login.Session) error {
	var changed int64
	err := f.db.do(ctx, func(t *tx) (err error) {
		changed, err = t.exec(putSession, s.Digest[:], string(s.ID), micros(s.Expires), blob(s.Sealed), mark(s.From.Subject), mark(s.From.Session))
		if err != nil || changed == 0 {
			return err
		}
		_, err = t.exec(keepParticipants, string(s.ID), micros(s.Expires))
		return err
	})
	if err == nil && changed == 0 {
		return login.ErrNoSession
	}
	return wrap(err, "put a session")
}

// GetSession implements login.SessionStore.
func (f *Flows) GetSession(ctx context.Context, d [32]byte, now time.Time) (login.Session, error) {
	s := login.Session{Digest: d}
	var id string
	var expires int64
	if err := f.db.one(ctx, selectSession, d[:], micros(now)).Scan(&id, &expires, &s.Sealed, &s.From.Subject, &s.From.Session); err != nil {
		return login.Session{}, missing(err, login.ErrNoSession, "get a session")
	}
	s.ID, s.Expires = login.SessionID(id), fromMicros(expires)
	return s, nil
}

// DeleteSession implements login.SessionStore.
func (f *Flows) DeleteSession(ctx context.Context, d [32]byte) error {
	err := f.db.do(ctx, func(t *tx) error {
		_, err := t.exec(deleteSession, d[:])
		return err
	})
	return wrap(err, "delete a session")
}
