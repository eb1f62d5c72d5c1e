-- The Merkle tree over the audit entries.
-- +goose Up

-- Leaves: which entry has which index. The commitment stays when the sealed part of
-- the entry goes.
CREATE TABLE audit_leaves (
    idx        INTEGER PRIMARY KEY,
    seq        INTEGER NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    commitment BLOB    NOT NULL CHECK (length(commitment) = 32)
) STRICT;

-- Tiles of the tree, as C2SP tlog-tiles has them; the last one of a level grows.
CREATE TABLE audit_tiles (
    level  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (level, n)
) STRICT;

-- Checkpoints: the newest, and of earlier ones the last of each ten minutes.
-- seq is the place of the last entry in it.
CREATE TABLE audit_checkpoints (
    size      INTEGER PRIMARY KEY,
    root      BLOB    NOT NULL CHECK (length(root) = 32),
    time      INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    note      BLOB    NOT NULL
) STRICT;

-- Who extends the tree, and until when nobody else should.
CREATE TABLE audit_lease (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    holder BLOB    NOT NULL CHECK (length(holder) = 16),
    until  INTEGER NOT NULL
) STRICT;

-- Where the personal parts end that have gone, so that a sweep need not look again.
CREATE TABLE audit_expired (
    id  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    idx INTEGER NOT NULL
) STRICT;
