-- News for services that has not been delivered yet. Times are microseconds since
-- 1970 UTC.
-- +goose Up
CREATE TABLE notices (
    id      TEXT    NOT NULL PRIMARY KEY,
    kind    TEXT    NOT NULL,
    client  TEXT    NOT NULL,
    sealed  BLOB    NOT NULL,
    tries   INTEGER NOT NULL,
    due     INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_client ON notices (client, due);
