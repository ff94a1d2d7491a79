-- What appends are judged against, as of one moment.
-- $1: the streams that they name
-- $2: their event ids
-- $3: a position whose leaf hash to return too
SELECT
    (SELECT position FROM {schema}.chronicle_head WHERE id = 1) AS head,
    (SELECT origin FROM {schema}.chronicle_origin) AS origin,
    -- In the order of $1.
    ARRAY(
        SELECT coalesce(
            (
                SELECT version FROM {schema}.chronicle_entries
                WHERE stream_id = named.stream_id
                ORDER BY version DESC
                LIMIT 1
            ),
            0
        )
        FROM pg_catalog.unnest($1::uuid[]) WITH ORDINALITY AS named (stream_id, nth)
        ORDER BY nth
    ) AS versions,
    ARRAY(SELECT event_id FROM {schema}.chronicle_entries WHERE event_id = ANY ($2::uuid[])) AS recorded,
    (SELECT leaf_hash FROM {schema}.chronicle_entries WHERE position = $3) AS mark,
    pg_catalog.pg_is_in_recovery() AS is_standby
