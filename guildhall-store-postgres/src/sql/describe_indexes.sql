-- The indexes of a table: each one's name, the name that it has until the swap, whether it is the
-- key, and the statement that makes it on the copy.
-- $1: the schema
-- $2: the table
-- $3: what the copy's name ends with
-- $4: the copy's key, or null where it is the table's
SELECT
    index.relname::text,
    made.name,
    described.indisprimary,
    CASE WHEN described.indisprimary THEN pg_catalog.format(
        'ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $1, $2 || $3, made.name,
        coalesce($4, (
            SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint
            WHERE conindid = index.oid AND contype = 'p'
        ))
    ) ELSE pg_catalog.format(
        'CREATE %sINDEX %I ON %I.%I%s', made.uniqueness, made.name, $1, $2 || $3,
        -- The statement goes on after the names that are exchanged here.
        pg_catalog.substr(
            pg_catalog.pg_get_indexdef(index.oid),
            1 + pg_catalog.length(pg_catalog.format(
                'CREATE %sINDEX %I ON %s%I.%I', made.uniqueness, index.relname,
                CASE WHEN original.relkind = 'p' THEN 'ONLY ' END, $1, $2
            ))
        )
    ) END
FROM pg_catalog.pg_class AS original
JOIN pg_catalog.pg_index AS described ON described.indrelid = original.oid
JOIN pg_catalog.pg_class AS index ON index.oid = described.indexrelid
CROSS JOIN LATERAL (
    SELECT
        'guildhall_' || index.oid || $3 AS name,
        CASE WHEN described.indisunique THEN 'UNIQUE ' END AS uniqueness
) AS made
WHERE original.relname = $2
    AND original.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
    AND described.indisvalid
ORDER BY described.indisprimary DESC, index.oid
