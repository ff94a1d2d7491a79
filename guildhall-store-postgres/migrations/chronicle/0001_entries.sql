-- The log, its head and its name.

CREATE TABLE {schema}.chronicle_entries (
    position bigint PRIMARY KEY CHECK (position BETWEEN 1 AND 9007199254740991),
    event_id uuid NOT NULL UNIQUE,
    stream_id uuid NOT NULL,
    version bigint NOT NULL CHECK (version BETWEEN 1 AND 9007199254740991),
    event_type text NOT NULL CHECK (length(event_type) BETWEEN 1 AND 255),
    -- The canonical JSON text of the event's data, byte for byte, which jsonb would rewrite. What
    -- is no JSON is not refused here but shown: a projector sets it aside under its code.
    payload text NOT NULL,
    metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    recorded_at timestamptz NOT NULL
        CHECK (recorded_at >= '0001-01-01 00:00:00Z' AND recorded_at < '10000-01-01 00:00:00Z'),
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    UNIQUE (stream_id, version)
);

-- The last position: the one row that every append takes in turn, which makes their order dense. A
-- page of its own keeps its versions on that page.
CREATE TABLE {schema}.chronicle_head (
    id integer PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL CHECK (position BETWEEN 0 AND 9007199254740991)
) WITH (fillfactor = 10);

INSERT INTO {schema}.chronicle_head (id, position) VALUES (1, 0);

CREATE TABLE {schema}.chronicle_origin (
    id integer PRIMARY KEY CHECK (id = 1),
    origin text NOT NULL CHECK (length(origin) BETWEEN 1 AND 255)
);
