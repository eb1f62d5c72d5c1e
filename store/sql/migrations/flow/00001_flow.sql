-- Short-lived state: losing the last moments of it costs a login, nothing more.
-- Times are microseconds since 1970 UTC. seq gives the sweeper an order to walk
-- in, so that expires needs no index that every write would have to maintain.
-- +goose Up

-- Flows: sealed but for the stage and the revision.
CREATE TABLE flows (
    seq      INTEGER PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    stage    INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    sealed   BLOB    NOT NULL
) STRICT;

-- Single sign-on sessions, keyed by the digest of the cookie's handle.
CREATE TABLE sessions (
    seq     INTEGER PRIMARY KEY,
    digest  BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    expires INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;

-- Codes and tokens, keyed by their digests.
CREATE TABLE grants (
    seq      INTEGER PRIMARY KEY,
    digest   BLOB    NOT NULL CHECK (length(digest) = 32),
    kind     TEXT    NOT NULL,
    grant_id TEXT    NOT NULL,
    expires  INTEGER NOT NULL,
    sealed   BLOB    NOT NULL,
    UNIQUE (digest, kind)
) STRICT;

-- Tombstones: a grant named here is dead, whenever it was put.
CREATE TABLE revoked_grants (
    grant_id TEXT    NOT NULL PRIMARY KEY,
    until    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_grants_until ON revoked_grants (until);

-- One row that Ping rewrites, so that readiness is a real write.
CREATE TABLE canary (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
