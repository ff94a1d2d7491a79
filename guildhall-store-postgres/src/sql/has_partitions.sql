-- $1: the schema
SELECT EXISTS (
    SELECT 1 FROM pg_catalog.pg_class
    WHERE relname = 'verification_results' AND relkind = 'p'
        AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
)
