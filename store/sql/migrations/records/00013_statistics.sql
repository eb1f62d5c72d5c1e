-- How often what happened on a day: made from the audit entries, and of no use against
-- anybody, since a number is all that there is of a person.
-- +goose Up

-- Days that are over and counted, and up to which entry.
CREATE TABLE stats_days (
    date  TEXT    NOT NULL PRIMARY KEY,
    up_to INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE stats_cells (
    date    TEXT    NOT NULL REFERENCES stats_days (date),
    service TEXT    NOT NULL,
    level   TEXT    NOT NULL,
    outcome TEXT    NOT NULL,
    whole   INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    people  INTEGER NOT NULL,
    PRIMARY KEY (date, service, level, outcome, whole)
) STRICT, WITHOUT ROWID;
