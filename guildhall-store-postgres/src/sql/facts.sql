-- The size counts tables with their indexes and long values; partitions are tables too.
-- $1: schema
SELECT
    pg_catalog.current_setting('server_version'),
    pg_catalog.pg_is_in_recovery(),
    (SELECT roles.rolsuper FROM pg_catalog.pg_roles AS roles
        WHERE roles.rolname OPERATOR(pg_catalog.=) CURRENT_USER),
    pg_catalog.current_setting('fsync')::bool AND pg_catalog.current_setting('full_page_writes')::bool,
    (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(relations.oid)), 0)::int8
        FROM pg_catalog.pg_class AS relations
        JOIN pg_catalog.pg_namespace AS schemas
            ON schemas.oid OPERATOR(pg_catalog.=) relations.relnamespace
        WHERE schemas.nspname OPERATOR(pg_catalog.=) $1::name
            AND relations.relkind OPERATOR(pg_catalog.=) 'r')
