-- The checkpoint that everybody is shown where there are witnesses, with their
-- cosignatures. Without a row it is the newest.
-- +goose Up
CREATE TABLE audit_published (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB    NOT NULL CHECK (length(root) = 32),
    time INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    note BLOB    NOT NULL
) STRICT;
