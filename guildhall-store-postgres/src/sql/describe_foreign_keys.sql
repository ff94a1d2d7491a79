-- The statements that make a table's foreign keys on its copy, among copies.
-- $1: the schema
-- $2: the table
-- $3: what the copy's name ends with
-- $4: the tables that are copied
SELECT pg_catalog.format(
    'ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $1, $2 || $3, key.conname,
    CASE WHEN parent.relname = ANY ($4) AND parent.relnamespace = original.relnamespace THEN pg_catalog.replace(
        pg_catalog.pg_get_constraintdef(key.oid),
        'REFERENCES ' || key.confrelid::regclass,
        pg_catalog.format('REFERENCES %I.%I', $1, parent.relname || $3)
    ) ELSE pg_catalog.pg_get_constraintdef(key.oid) END
)
FROM pg_catalog.pg_class AS original
JOIN pg_catalog.pg_constraint AS key ON key.conrelid = original.oid AND key.contype = 'f'
JOIN pg_catalog.pg_class AS parent ON parent.oid = key.confrelid
WHERE original.relname = $2
    AND original.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
    AND key.conparentid = 0
ORDER BY key.oid
