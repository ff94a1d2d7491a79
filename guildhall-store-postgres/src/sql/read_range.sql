-- The next entries, if all of them fit; otherwise nothing. Positions are dense, so their end is known,
-- and adding up lengths first takes a third of the time of adding them up row by row.
-- $1: the position after which to read
-- $2: how many entries at most
-- $3: how many bytes of payload at most
-- $4: a position whose leaf hash to return too
SELECT position, event_id, stream_id, version, event_type, payload, {metadata}, recorded_at, leaf_hash,
    -- With the first entry alone.
    CASE WHEN position = $1 + 1 THEN (SELECT origin FROM {schema}.chronicle_origin) END,
    CASE WHEN position = $1 + 1 THEN (
        SELECT leaf_hash FROM {schema}.chronicle_entries WHERE position = $4
    ) END
FROM {schema}.chronicle_entries
WHERE position > $1 AND position <= $1 + $2
    AND $3 >= (
        SELECT pg_catalog.sum(pg_catalog.octet_length(payload)) FROM {schema}.chronicle_entries
        WHERE position > $1 AND position <= $1 + $2
    )
ORDER BY position
