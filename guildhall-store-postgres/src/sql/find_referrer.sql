-- A table of others whose foreign key refers to one of ours: it would refer to the old generation.
-- $1: the schema
-- $2: the tables
SELECT key.conrelid::regclass::text, key.confrelid::regclass::text
FROM pg_catalog.pg_constraint AS key
JOIN pg_catalog.pg_class AS ours ON ours.oid = key.confrelid
JOIN pg_catalog.pg_class AS referring ON referring.oid = key.conrelid
WHERE key.contype = 'f'
    AND key.conparentid = 0
    AND ours.relname = ANY ($2)
    AND ours.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
    AND NOT (referring.relname = ANY ($2) AND referring.relnamespace = ours.relnamespace)
LIMIT 1
