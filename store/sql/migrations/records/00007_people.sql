-- +goose Up

-- People whom an operator has taken out of service. lifted is when one was put back, 0
-- while she is not: the row stays, because what she began before counts no more.
CREATE TABLE person_stops (
    person BLOB    NOT NULL PRIMARY KEY REFERENCES persons (id),
    reason TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    lifted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What people have said of providers: whether one must not be used in their name; '*' is
-- every one of which nothing is said.
CREATE TABLE provider_choices (
    person   BLOB    NOT NULL REFERENCES persons (id),
    provider TEXT    NOT NULL,
    blocked  INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    PRIMARY KEY (person, provider)
) STRICT, WITHOUT ROWID;
