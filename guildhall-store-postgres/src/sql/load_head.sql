-- $1: a position whose leaf hash to tell too
SELECT
    position,
    leaf_hash,
    (SELECT leaf_hash FROM {schema}.chronicle_entries WHERE position = $1)
FROM {schema}.chronicle_entries
ORDER BY position DESC
LIMIT 1
