-- What services may do while a person is away.
-- +goose Up

-- Until when she agreed, or was told, that the service may come back without her.
ALTER TABLE receipts ADD COLUMN offline_until INTEGER;

-- Families of refresh tokens: one row for each sign-in that allowed one, however often
-- it was used. A row without a family is that of a grant which was ended before its
-- family began: none can begin any more.
CREATE TABLE refresh_families (
    grant_id TEXT    NOT NULL PRIMARY KEY,
    person   BLOB    CHECK (length(person) = 16),
    client   TEXT,
    family   BLOB    UNIQUE CHECK (length(family) = 32),
    current  BLOB    CHECK (length(current) = 32),
    sealed   BLOB,
    expires  INTEGER NOT NULL,
    ended    INTEGER NOT NULL CHECK (ended IN (0, 1)),
    CHECK (ended = 1 OR family IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- When all families of a person at a client were ended last: an answer of hers from
-- before begins none any more, though its code may still be on its way.
CREATE TABLE refresh_ends (
    person BLOB    NOT NULL CHECK (length(person) = 16),
    client TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (person, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_ends_at ON refresh_ends (at);
CREATE INDEX refresh_families_person ON refresh_families (person, client);
CREATE INDEX refresh_families_expires ON refresh_families (expires);
