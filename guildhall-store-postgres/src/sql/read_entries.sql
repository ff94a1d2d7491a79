-- $1: the position after which to read
-- $2: how many entries at most
-- $3: how many bytes of payload at most
-- $4: whether the first entry counts as fitting, however long it is
-- $5: a position whose leaf hash to return too
SELECT position, event_id, stream_id, version, event_type, payload, {metadata}, recorded_at, leaf_hash,
    -- With the first entry alone.
    CASE WHEN bytes = pg_catalog.octet_length(payload) THEN (SELECT origin FROM {schema}.chronicle_origin) END,
    CASE WHEN bytes = pg_catalog.octet_length(payload) THEN (
        SELECT leaf_hash FROM {schema}.chronicle_entries WHERE position = $5
    ) END
FROM (
    SELECT *, pg_catalog.sum(pg_catalog.octet_length(payload)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS bytes
    FROM (
        SELECT * FROM {schema}.chronicle_entries WHERE position > $1 ORDER BY position LIMIT $2
    ) AS next
) AS next
WHERE bytes <= $3 OR $4 AND bytes = pg_catalog.octet_length(payload)
ORDER BY position
