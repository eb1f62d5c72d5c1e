-- Records: what must survive a power cut. Times are microseconds since 1970 UTC.
-- +goose Up

-- Persons: a random id and a wrapped key, nothing else.
CREATE TABLE persons (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    seal_key BLOB    NOT NULL,
    created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Aliases: digests of civil identities or accounts, each leading to one person.
CREATE TABLE aliases (
    alias   BLOB    NOT NULL PRIMARY KEY CHECK (length(alias) = 32),
    person  BLOB    NOT NULL REFERENCES persons (id),
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Audit entries in the order in which they became durable; never changed.
CREATE TABLE audit_entries (
    seq    INTEGER PRIMARY KEY,
    id     BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    time   INTEGER NOT NULL,
    public BLOB    NOT NULL,
    sealed BLOB    NOT NULL,
    leaf   BLOB    NOT NULL CHECK (length(leaf) = 32)
) STRICT;

-- Consent receipts; never changed. Claim names are separated by one space.
CREATE TABLE receipts (
    seq            INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    time           INTEGER NOT NULL,
    act            TEXT    NOT NULL,
    person         BLOB    NOT NULL CHECK (length(person) = 16),
    client         TEXT    NOT NULL,
    policy_id      TEXT    NOT NULL,
    policy_version INTEGER NOT NULL,
    basis          TEXT    NOT NULL,
    rule           TEXT    NOT NULL,
    shown          TEXT    NOT NULL,
    released       TEXT    NOT NULL,
    acr            TEXT    NOT NULL,
    provider       TEXT    NOT NULL,
    language       TEXT    NOT NULL,
    notice         BLOB    NOT NULL,
    until          INTEGER,
    grant_id       TEXT    NOT NULL,
    audit          BLOB    NOT NULL REFERENCES audit_entries (id)
) STRICT;
CREATE INDEX receipts_person ON receipts (person);

-- Standing answers: the newest remembered one of a person to a client.
CREATE TABLE standing (
    person         BLOB    NOT NULL,
    client         TEXT    NOT NULL,
    policy_id      TEXT    NOT NULL,
    policy_version INTEGER NOT NULL,
    basis          TEXT    NOT NULL,
    shown          TEXT    NOT NULL,
    agreed         TEXT    NOT NULL,
    until          INTEGER NOT NULL,
    receipt        BLOB    NOT NULL,
    PRIMARY KEY (person, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX standing_until ON standing (until);

-- One-time use: the row is the proof that something has happened already.
CREATE TABLE once_keys (
    key   BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Signing keys: their lives, never the keys.
CREATE TABLE key_metadata (
    kid       TEXT    NOT NULL PRIMARY KEY,
    alg       TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    activated INTEGER,
    retired   INTEGER
) STRICT, WITHOUT ROWID;

-- One row that Ping rewrites, so that readiness is a real write.
CREATE TABLE canary (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
