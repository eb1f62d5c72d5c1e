-- +goose Up

-- Services that registered by API. Secrets and tokens are here as SHA-256 only.
CREATE TABLE registrations (
    client    TEXT    NOT NULL PRIMARY KEY,
    initial   TEXT    NOT NULL,
    issued    INTEGER NOT NULL,
    changed   INTEGER NOT NULL,
    metadata  BLOB    NOT NULL,
    secret    BLOB    CHECK (length(secret) = 32),
    access    BLOB    NOT NULL CHECK (length(access) = 32)
) STRICT, WITHOUT ROWID;
CREATE INDEX registrations_initial ON registrations (initial);
