package sql

import (
	"context"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

const (
	// insertParticipant adds one, unless the session was ended.
	insertParticipant = `INSERT INTO participants (session, peer, grant_id, keeps, expires, sealed)
	SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.session = $1)`
	// trimParticipants forgets the oldest of one service beyond a number.
	trimParticipants = `DELETE FROM participants WHERE seq IN
	(SELECT p.seq FROM participants p WHERE p.session = $1 AND p.peer = $2 ORDER BY p.seq DESC LIMIT 500 OFFSET $3)`
	// selectParticipants reads those of a session, oldest first.
	selectParticipants = `SELECT peer, grant_id, keeps, expires, sealed FROM participants WHERE session = $1 ORDER BY seq`
	// markEnded sets a tombstone; a second one can only make it last longer.
	markEnded = `INSERT INTO ended_sessions (session, until) VALUES ($1, $2)
	ON CONFLICT (session) DO UPDATE SET until = excluded.until WHERE excluded.until > ended_sessions.until`
	// revokeJoined kills the grants that end with a session.
	revokeJoined = `INSERT INTO revoked_grants (grant_id, until)
	SELECT p.grant_id, $2 FROM participants p WHERE p.session = $1 AND p.keeps = 0
	ON CONFLICT (grant_id) DO UPDATE SET until = excluded.until WHERE excluded.until > revoked_grants.until`
	// deleteParticipants forgets those of a session.
	deleteParticipants = `DELETE FROM participants WHERE session = $1`
	// scanParticipants walks over them for the sweeper.
	scanParticipants = `SELECT seq, expires FROM participants WHERE seq > $1 ORDER BY seq LIMIT $2`
	// removeParticipants forgets the expired ones of a stretch.
	removeParticipants = `DELETE FROM participants WHERE seq > $1 AND seq <= $2 AND expires <= $3`
	// removeEnded forgets a batch of tombstones of sessions that are dead by age.
	removeEnded = `DELETE FROM ended_sessions WHERE session IN
	(SELECT session FROM ended_sessions WHERE until <= $1 ORDER BY until LIMIT $2)`
)

// Join implements login.SessionStore.
func (f *Flows) Join(ctx context.Context, p login.Participant) error {
	var added int64
	err := f.db.do(ctx, func(t *tx) (err error) {
		added, err = t.exec(insertParticipant, string(p.Session), p.Peer[:], string(p.Grant), p.Keeps, micros(p.Expires), blob(p.Sealed))
		if err != nil || added == 0 {
			return err
		}
		_, err = t.exec(trimParticipants, string(p.Session), p.Peer[:], login.MaxPerService)
		return err
	})
	if err == nil && added == 0 {
		return login.ErrNoSession
	}
	return wrap(err, "join a session")
}

// Participants implements login.SessionStore.
func (f *Flows) Participants(ctx context.Context, id login.SessionID) ([]login.Participant, error) {
	var out []login.Participant
	err := f.db.all(ctx, func(row scanner) (err error) {
		out, err = addParticipant(out, id, row)
		return err
	}, selectParticipants, string(id))
	if err != nil {
		return nil, wrap(err, "read participants")
	}
	return out, nil
}

// EndSession implements login.SessionStore.
func (f *Flows) EndSession(ctx context.Context, d [32]byte, id login.SessionID, until time.Time) ([]login.Participant, error) {
	var out []login.Participant
	err := f.db.do(ctx, func(t *tx) error {
		out = nil
		if _, err := t.exec(markEnded, string(id), micros(until)); err != nil {
			return err
		}
		if _, err := t.exec(deleteSession, d[:]); err != nil {
			return err
		}
		err := t.each(func(row scanner) (err error) {
			out, err = addParticipant(out, id, row)
			return err
		}, selectParticipants, string(id))
		if err != nil {
			return err
		}
		if _, err := t.exec(revokeJoined, string(id), micros(until)); err != nil {
			return err
		}
		_, err = t.exec(deleteParticipants, string(id))
		return err
	})
	if err != nil {
		return nil, wrap(err, "end a session")
	}
	return out, nil
}

func addParticipant(to []login.Participant, id login.SessionID, row scanner) ([]login.Participant, error) {
	p := login.Participant{Session: id}
	var peer []byte
	var grant string
	var expires int64
	if err := row.Scan(&peer, &grant, &p.Keeps, &expires, &p.Sealed); err != nil {
		return nil, err
	}
	p.Grant, p.Expires = login.GrantID(grant), fromMicros(expires)
	if err := fill(p.Peer[:], peer); err != nil {
		return nil, err
	}
	return append(to, p), nil
}

// each calls f for every row of the open transaction, in order.
func (t *tx) each(f func(scanner) error, query string, args ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
