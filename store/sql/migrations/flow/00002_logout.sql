-- What it takes to end a session everywhere.
-- +goose Up

-- Sessions: the id stays when the handle changes. A session of before has none and
-- is not used any more: she signs in again.
ALTER TABLE sessions ADD COLUMN id TEXT NOT NULL DEFAULT '';

-- Who takes part in a session: one row for each sign-in at a service, only ever added.
CREATE TABLE participants (
    seq      INTEGER PRIMARY KEY,
    session  TEXT    NOT NULL,
    peer     BLOB    NOT NULL CHECK (length(peer) = 32),
    grant_id TEXT    NOT NULL,
    keeps    INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    sealed   BLOB    NOT NULL
) STRICT;
CREATE INDEX participants_session ON participants (session, peer);

-- Tombstones: a session named here is dead, whatever was put before or after.
CREATE TABLE ended_sessions (
    session TEXT    NOT NULL PRIMARY KEY,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_sessions_until ON ended_sessions (until);
