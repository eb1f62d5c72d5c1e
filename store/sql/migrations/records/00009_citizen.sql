-- Whom audit entries are about, for the person herself.
-- +goose Up

-- person is a keyed digest: without the keys nobody can tell whose entries these are,
-- and not even that two of other tables are hers. A row goes with the personal part of
-- its entry.
CREATE TABLE audit_people (
    person BLOB    NOT NULL CHECK (length(person) = 32),
    seq    INTEGER NOT NULL,
    PRIMARY KEY (person, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_people_seq ON audit_people (seq);
CREATE INDEX aliases_person ON aliases (person);
