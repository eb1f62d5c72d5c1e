-- +goose Up

-- Confirmations: when the civil registry last confirmed a person, and nothing of
-- what it said.
CREATE TABLE confirmations (
    person BLOB    NOT NULL PRIMARY KEY REFERENCES persons (id),
    time   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX confirmations_time ON confirmations (time);
