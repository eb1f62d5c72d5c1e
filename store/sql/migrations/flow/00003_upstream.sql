-- How the provider that a session came from names it, to say later that it is over:
-- keyed digests, NULL where there is no name.
-- +goose Up

ALTER TABLE sessions ADD COLUMN upstream_subject BLOB CHECK (length(upstream_subject) = 32);
ALTER TABLE sessions ADD COLUMN upstream_session BLOB CHECK (length(upstream_session) = 32);
CREATE INDEX sessions_upstream_subject ON sessions (upstream_subject) WHERE upstream_subject IS NOT NULL;
CREATE INDEX sessions_upstream_session ON sessions (upstream_session) WHERE upstream_session IS NOT NULL;
