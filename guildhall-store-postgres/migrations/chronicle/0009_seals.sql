-- What proves the log to somebody who does not trust this database: its seals, who cosigned them, the
-- full tiles of its Merkle tree above the leaf hashes, and where each stream ended when it was last
-- sealed. Appends write none of it.

CREATE TABLE {schema}.chronicle_seals (
    size bigint PRIMARY KEY CHECK (size BETWEEN 1 AND 9007199254740991),
    root bytea NOT NULL CHECK (length(root) = 32),
    note text NOT NULL CHECK (length(note) > 0),
    sealed_at timestamptz NOT NULL
        CHECK (sealed_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z')
);

CREATE TABLE {schema}.chronicle_cosignatures (
    size bigint NOT NULL REFERENCES {schema}.chronicle_seals (size),
    key_name text NOT NULL CHECK (length(key_name) > 0),
    line text NOT NULL CHECK (length(line) > 0),
    PRIMARY KEY (size, key_name)
);

-- Hashes do not compress.
CREATE TABLE {schema}.chronicle_tiles (
    level smallint NOT NULL CHECK (level BETWEEN 1 AND 63),
    tile bigint NOT NULL CHECK (tile >= 0),
    hashes bytea NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, tile)
);
ALTER TABLE {schema}.chronicle_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE {schema}.chronicle_streams (
    bucket integer NOT NULL CHECK (bucket BETWEEN 0 AND 65535),
    stream_id uuid NOT NULL,
    version bigint NOT NULL CHECK (version BETWEEN 1 AND 9007199254740991),
    leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
    PRIMARY KEY (bucket, stream_id)
);

-- Who seals, one at a time: whoever saves a seal locks this row.
CREATE TABLE {schema}.chronicle_sealer (
    id integer PRIMARY KEY CHECK (id = 1),
    lease_holder uuid,
    lease_until timestamptz,
    renewed_at timestamptz,
    CHECK ((lease_holder IS NULL) = (lease_until IS NULL))
);

INSERT INTO {schema}.chronicle_sealer (id) VALUES (1);

-- What is signed is told to others: it is durable first, and each seal is of more entries than the one
-- before. Logical replication brings seals that another server has judged, in an order of its own.
CREATE FUNCTION {schema}.chronicle_seals_made() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET search_path = pg_catalog, pg_temp AS $guildhall$
BEGIN
    IF current_setting('session_replication_role') = 'replica'
        AND EXISTS (SELECT 1 FROM pg_stat_get_subscription(NULL) WHERE pid = pg_backend_pid())
    THEN
        RETURN NEW;
    END IF;
    IF NEW.size <= (SELECT max(size) FROM {schema}.chronicle_seals) THEN
        RAISE EXCEPTION 'chronicle_seals takes only a larger size'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM {schema}.chronicle_entries WHERE position = NEW.size) THEN
        RAISE EXCEPTION 'chronicle_seals takes no size that the log does not have'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN NEW;
END
$guildhall$;

CREATE TRIGGER chronicle_seals_made
BEFORE INSERT ON {schema}.chronicle_seals
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_seals_made();

CREATE TRIGGER chronicle_seals_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.chronicle_seals
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_seals_refuse_truncate
BEFORE TRUNCATE ON {schema}.chronicle_seals
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_cosignatures_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.chronicle_cosignatures
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_cosignatures_refuse_truncate
BEFORE TRUNCATE ON {schema}.chronicle_cosignatures
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_tiles_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.chronicle_tiles
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_tiles_refuse_truncate
BEFORE TRUNCATE ON {schema}.chronicle_tiles
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.chronicle_refuse();

ALTER TABLE {schema}.chronicle_seals
    ENABLE ALWAYS TRIGGER chronicle_seals_made,
    ENABLE ALWAYS TRIGGER chronicle_seals_refuse_change,
    ENABLE ALWAYS TRIGGER chronicle_seals_refuse_truncate;
ALTER TABLE {schema}.chronicle_cosignatures
    ENABLE ALWAYS TRIGGER chronicle_cosignatures_refuse_change,
    ENABLE ALWAYS TRIGGER chronicle_cosignatures_refuse_truncate;
ALTER TABLE {schema}.chronicle_tiles
    ENABLE ALWAYS TRIGGER chronicle_tiles_refuse_change,
    ENABLE ALWAYS TRIGGER chronicle_tiles_refuse_truncate;

COMMENT ON TABLE {schema}.chronicle_seals IS
    'The seals: signed statements of how many entries the log has, and of the root of its Merkle tree.';
COMMENT ON COLUMN {schema}.chronicle_seals.size IS 'How many entries; the position of the last.';
COMMENT ON COLUMN {schema}.chronicle_seals.root IS 'The root of the tree over their leaf hashes (RFC 6962).';
COMMENT ON COLUMN {schema}.chronicle_seals.note IS 'The signed note, to the byte (C2SP tlog-checkpoint).';
COMMENT ON COLUMN {schema}.chronicle_seals.sealed_at IS 'When it was made.';

COMMENT ON TABLE {schema}.chronicle_cosignatures IS 'What witnesses signed beside the seals.';
COMMENT ON COLUMN {schema}.chronicle_cosignatures.size IS 'The size of the seal.';
COMMENT ON COLUMN {schema}.chronicle_cosignatures.key_name IS 'The name of the key that signed.';
COMMENT ON COLUMN {schema}.chronicle_cosignatures.line IS 'The line that it adds to the note (C2SP signed-note).';

COMMENT ON TABLE {schema}.chronicle_tiles IS
    'The full tiles of the Merkle tree above the leaf hashes (C2SP tlog-tiles); the entries give them again.';
COMMENT ON COLUMN {schema}.chronicle_tiles.level IS 'The level, from 1.';
COMMENT ON COLUMN {schema}.chronicle_tiles.tile IS 'Which of its level, from 0.';
COMMENT ON COLUMN {schema}.chronicle_tiles.hashes IS '256 hashes of 32 bytes.';

COMMENT ON TABLE {schema}.chronicle_streams IS
    'Where each stream ended when the log was last sealed: the records of the stream index.';
COMMENT ON COLUMN {schema}.chronicle_streams.bucket IS
    'The leaf of the index that it belongs to: the first 16 bits of the SHA-256 of its id.';
COMMENT ON COLUMN {schema}.chronicle_streams.stream_id IS 'The stream: an artifact, an accord, the index itself.';
COMMENT ON COLUMN {schema}.chronicle_streams.version IS 'The version of its last entry.';
COMMENT ON COLUMN {schema}.chronicle_streams.leaf_hash IS 'The leaf hash of that entry.';

COMMENT ON TABLE {schema}.chronicle_sealer IS 'Who seals. Of several sealers, one does.';
COMMENT ON COLUMN {schema}.chronicle_sealer.id IS 'Always 1.';
COMMENT ON COLUMN {schema}.chronicle_sealer.lease_holder IS 'The sealer that holds the lease; null where none does.';
COMMENT ON COLUMN {schema}.chronicle_sealer.lease_until IS 'Until when, unless it renews it.';
COMMENT ON COLUMN {schema}.chronicle_sealer.renewed_at IS 'When it was last taken or renewed.';
