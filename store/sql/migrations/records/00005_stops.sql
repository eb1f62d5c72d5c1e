-- +goose Up

-- What an operator has taken out of service by a command, and why.
CREATE TABLE stops (
    kind   TEXT    NOT NULL CHECK (kind IN ('client', 'provider')),
    id     TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
