package sql

import (
	"context"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

const (
	// putSession adds a session or replaces the one with this digest.
	putSession = `INSERT INTO sessions (digest, expires, sealed) VALUES ($1, $2, $3)
	ON CONFLICT (digest) DO UPDATE SET expires = excluded.expires, sealed = excluded.sealed`
	// selectSession reads a session that has not expired.
	selectSession = `SELECT expires, sealed FROM sessions WHERE digest = $1 AND expires > $2`
	// deleteSession ends a session.
	deleteSession = `DELETE FROM sessions WHERE digest = $1`
	// scanSessions walks over the sessions for the sweeper.
	scanSessions = `SELECT seq, expires FROM sessions WHERE seq > $1 ORDER BY seq LIMIT $2`
	// removeSessions forgets the expired sessions of a stretch.
	removeSessions = `DELETE FROM sessions WHERE seq > $1 AND seq <= $2 AND expires <= $3`
)

// PutSession implements login.SessionStore.
func (f *Flows) PutSession(ctx context.Context, s login.Session) error {
	err := f.db.do(ctx, func(t *tx) error {
		_, err := t.exec(putSession, s.Digest[:], micros(s.Expires), blob(s.Sealed))
		return err
	})
	return wrap(err, "put a session")
}

// GetSession implements login.SessionStore.
func (f *Flows) GetSession(ctx context.Context, d [32]byte, now time.Time) (login.Session, error) {
	s := login.Session{Digest: d}
	var expires int64
	if err := f.db.one(ctx, selectSession, d[:], micros(now)).Scan(&expires, &s.Sealed); err != nil {
		return login.Session{}, missing(err, login.ErrNoSession, "get a session")
	}
	s.Expires = fromMicros(expires)
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
