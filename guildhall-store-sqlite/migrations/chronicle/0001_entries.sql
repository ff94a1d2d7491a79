-- The log and its name. An ordinary rowid table: `position` is the rowid, so appends go to its end
-- and a range of positions is one run of pages.

CREATE TABLE chronicle_entries (
    position INTEGER PRIMARY KEY CHECK (position BETWEEN 1 AND 9007199254740991),
    event_id BLOB NOT NULL UNIQUE CHECK (length(event_id) = 16),
    stream_id BLOB NOT NULL CHECK (length(stream_id) = 16),
    version INTEGER NOT NULL CHECK (version BETWEEN 1 AND 9007199254740991),
    event_type TEXT NOT NULL CHECK (length(event_type) BETWEEN 1 AND 255),
    -- The canonical JSON text of the event's data, byte for byte. What is no JSON is not refused
    -- here but shown: a projector sets it aside under its code.
    payload TEXT NOT NULL,
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    recorded_at TEXT NOT NULL CHECK (length(recorded_at) = 27),
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    UNIQUE (stream_id, version)
) STRICT;

CREATE TABLE chronicle_origin (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL CHECK (length(origin) BETWEEN 1 AND 255)
) STRICT;
