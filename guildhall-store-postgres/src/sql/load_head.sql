-- Always one row: where there is no entry, position 0 and no leaf hash.
-- $1: a position whose leaf hash to return too
SELECT
    coalesce(newest.position, 0),
    newest.leaf_hash,
    (SELECT leaf_hash FROM {schema}.chronicle_entries WHERE position = $1),
    pg_catalog.pg_is_in_recovery()
FROM (VALUES (1)) AS always (id)
LEFT JOIN (
    SELECT position, leaf_hash FROM {schema}.chronicle_entries ORDER BY position DESC LIMIT 1
) AS newest ON true
