-- Answers that end, and withdrawals that are on record and not yet carried out.
-- +goose Up

-- The receipt of the answer that was reused, or that ended.
ALTER TABLE receipts ADD COLUMN about BLOB;

-- Withdrawals of which something is left to do, in their order.
CREATE TABLE withdrawals (
    seq     INTEGER PRIMARY KEY,
    receipt BLOB    NOT NULL UNIQUE REFERENCES receipts (id)
) STRICT;

-- The grants whose tokens they kill.
CREATE TABLE withdrawn_grants (
    receipt  BLOB NOT NULL,
    grant_id TEXT NOT NULL,
    PRIMARY KEY (receipt, grant_id)
) STRICT, WITHOUT ROWID;
