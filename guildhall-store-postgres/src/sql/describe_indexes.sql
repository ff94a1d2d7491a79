-- The indexes of a table: each one's name, the name that it has until the swap, whether it is the
-- key, and the statements that make it on the copy.
-- $1: the schema
-- $2: the table
-- $3: what the copy's name ends with
SELECT
    index.relname::text,
    made.name,
    described.indisprimary,
    format(
        'CREATE %sINDEX %I ON %I.%I%s', made.uniqueness, made.name, $1, $2 || $3,
        -- The statement goes on after the names that are exchanged here.
        substr(
            pg_catalog.pg_get_indexdef(described.indexrelid),
            1 + length(format(
                'CREATE %sINDEX %I ON %s%I.%I', made.uniqueness, index.relname,
                CASE WHEN original.relkind = 'p' THEN 'ONLY ' END, $1, $2
            ))
        )
    ),
    CASE WHEN described.indisprimary THEN
        format('ALTER TABLE %I.%I ADD PRIMARY KEY USING INDEX %I', $1, $2 || $3, made.name)
    END
FROM pg_catalog.pg_class AS original
JOIN pg_catalog.pg_index AS described ON described.indrelid = original.oid
JOIN pg_catalog.pg_class AS index ON index.oid = described.indexrelid
CROSS JOIN LATERAL (
    SELECT
        'guildhall_' || described.indexrelid || $3 AS name,
        CASE WHEN described.indisunique THEN 'UNIQUE ' END AS uniqueness
) AS made
WHERE original.relname = $2
    AND original.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
    AND described.indisvalid
ORDER BY described.indisprimary DESC, described.indexrelid
