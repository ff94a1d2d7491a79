-- Appends entries if the log still ends where it did when they were judged; otherwise nothing.
-- $1: where the log ended
-- $2: event ids
-- $3: streams
-- $4: versions
-- $5: types
-- $6: payloads
-- $7: metadata
-- $8: recorded times
-- $9: leaf hashes
WITH head AS (
    -- A faster appender holds this row until it commits; the position has moved by then.
    UPDATE {schema}.chronicle_head
    SET position = $1 + pg_catalog.cardinality($2::uuid[])
    WHERE id = 1 AND position = $1
    RETURNING 1
)
INSERT INTO {schema}.chronicle_entries (
    position, event_id, stream_id, version, event_type, payload, metadata, recorded_at, leaf_hash
)
SELECT $1 + nth, event_id, stream_id, version, event_type, payload, metadata::jsonb, recorded_at, leaf_hash
FROM head, unnest(
    $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::bytea[]
) WITH ORDINALITY AS new (
    event_id, stream_id, version, event_type, payload, metadata, recorded_at, leaf_hash, nth
)
