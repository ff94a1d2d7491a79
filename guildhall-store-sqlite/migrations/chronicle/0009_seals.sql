-- What proves the log to somebody who does not trust this database: its seals, who cosigned them, the
-- full tiles of its Merkle tree above the leaf hashes, and where each stream ended when it was last
-- sealed. Appends write none of it.

CREATE TABLE chronicle_seals (
    size INTEGER PRIMARY KEY CHECK (size BETWEEN 1 AND 9007199254740991),
    root BLOB NOT NULL CHECK (length(root) = 32),
    note TEXT NOT NULL CHECK (length(note) > 0),
    sealed_at TEXT NOT NULL CHECK (length(sealed_at) = 27)
) STRICT;

CREATE TABLE chronicle_cosignatures (
    size INTEGER NOT NULL REFERENCES chronicle_seals (size),
    key_name TEXT NOT NULL CHECK (length(key_name) > 0),
    line TEXT NOT NULL CHECK (length(line) > 0),
    PRIMARY KEY (size, key_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE chronicle_tiles (
    level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 63),
    tile INTEGER NOT NULL CHECK (tile >= 0),
    hashes BLOB NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, tile)
) STRICT;

CREATE TABLE chronicle_streams (
    bucket INTEGER NOT NULL CHECK (bucket BETWEEN 0 AND 65535),
    stream_id BLOB NOT NULL CHECK (length(stream_id) = 16),
    version INTEGER NOT NULL CHECK (version BETWEEN 1 AND 9007199254740991),
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    PRIMARY KEY (bucket, stream_id)
) STRICT, WITHOUT ROWID;

-- Who seals, one at a time.
CREATE TABLE chronicle_sealer (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    lease_holder BLOB CHECK (length(lease_holder) = 16),
    lease_until TEXT CHECK (length(lease_until) = 27),
    renewed_at TEXT CHECK (length(renewed_at) = 27),
    CHECK ((lease_holder IS NULL) = (lease_until IS NULL))
) STRICT;

INSERT INTO chronicle_sealer (id) VALUES (1);

-- What was signed stays, and so do the hashes that it rests on. REPLACE removes rows without firing
-- DELETE triggers unless `recursive_triggers` is on, so the INSERT of a known key is refused first.

CREATE TRIGGER chronicle_seals_refuse_update
BEFORE UPDATE ON chronicle_seals
BEGIN
    SELECT RAISE(ABORT, 'chronicle_seals is append-only');
END;

CREATE TRIGGER chronicle_seals_refuse_delete
BEFORE DELETE ON chronicle_seals
BEGIN
    SELECT RAISE(ABORT, 'chronicle_seals is append-only');
END;

CREATE TRIGGER chronicle_seals_refuse_insert
BEFORE INSERT ON chronicle_seals
BEGIN
    SELECT CASE
        WHEN NEW.size <= (SELECT max(size) FROM chronicle_seals)
            THEN RAISE(ABORT, 'chronicle_seals takes only a larger size')
        WHEN NEW.size > (SELECT coalesce(max(position), 0) FROM chronicle_entries)
            THEN RAISE(ABORT, 'chronicle_seals takes no size that the log does not have')
    END;
END;

CREATE TRIGGER chronicle_cosignatures_refuse_update
BEFORE UPDATE ON chronicle_cosignatures
BEGIN
    SELECT RAISE(ABORT, 'chronicle_cosignatures is append-only');
END;

CREATE TRIGGER chronicle_cosignatures_refuse_delete
BEFORE DELETE ON chronicle_cosignatures
BEGIN
    SELECT RAISE(ABORT, 'chronicle_cosignatures is append-only');
END;

CREATE TRIGGER chronicle_cosignatures_refuse_insert
BEFORE INSERT ON chronicle_cosignatures
BEGIN
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM chronicle_seals WHERE size = NEW.size)
            THEN RAISE(ABORT, 'chronicle_cosignatures takes only those of a seal')
        WHEN EXISTS (
            SELECT 1 FROM chronicle_cosignatures
            WHERE size = NEW.size AND key_name = NEW.key_name
        )
            THEN RAISE(ABORT, 'chronicle_cosignatures has this one already')
    END;
END;

CREATE TRIGGER chronicle_tiles_refuse_update
BEFORE UPDATE ON chronicle_tiles
BEGIN
    SELECT RAISE(ABORT, 'chronicle_tiles is append-only');
END;

CREATE TRIGGER chronicle_tiles_refuse_delete
BEFORE DELETE ON chronicle_tiles
BEGIN
    SELECT RAISE(ABORT, 'chronicle_tiles is append-only');
END;

CREATE TRIGGER chronicle_tiles_refuse_known
BEFORE INSERT ON chronicle_tiles
WHEN EXISTS (SELECT 1 FROM chronicle_tiles WHERE level = NEW.level AND tile = NEW.tile)
BEGIN
    SELECT RAISE(ABORT, 'chronicle_tiles has this one already');
END;
