-- A publication that has one of the tables, or a partition of it.
-- $1: the schema
-- $2: the tables
SELECT published.pubname::text, whole.relname::text
FROM pg_catalog.pg_publication_tables AS published
JOIN pg_catalog.pg_class AS part ON part.relname = published.tablename
JOIN pg_catalog.pg_namespace AS home ON home.oid = part.relnamespace AND home.nspname = published.schemaname
JOIN pg_catalog.pg_class AS whole
    ON whole.oid = coalesce(pg_catalog.pg_partition_root(part.oid), part.oid)
WHERE published.schemaname = $1 AND whole.relname = ANY ($2)
LIMIT 1
