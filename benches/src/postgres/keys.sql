-- The statements that take every key, index and foreign key from tables, and that make them again.
-- $1: the tables
WITH keys AS (
    SELECT
        format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname) AS undo,
        format(
            'ALTER TABLE %s ADD CONSTRAINT %I %s;', conrelid::regclass, conname,
            pg_get_constraintdef(oid)
        ) AS make,
        -- A foreign key needs the key that it refers to.
        CASE contype WHEN 'p' THEN 1 ELSE 3 END AS nth
    FROM pg_constraint
    WHERE conrelid = ANY ($1::regclass[]) AND contype IN ('p', 'f')
    UNION ALL
    SELECT format('DROP INDEX %s;', indexrelid::regclass), pg_get_indexdef(indexrelid) || ';', 2
    FROM pg_index
    WHERE indrelid = ANY ($1::regclass[]) AND NOT indisprimary
)
SELECT string_agg(undo, E'\n' ORDER BY nth DESC), string_agg(make, E'\n' ORDER BY nth) FROM keys
