-- Does the schema hold Guildhall's tables, and if not, some relation of others? What is the server?
SELECT
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'guildhall_migrations' AND c.relkind = 'r'
    ) AS is_ours,
    (
        SELECT pg_catalog.min(c.relname::text) FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1
    ) AS relation,
    pg_catalog.current_setting('server_encoding') AS encoding,
    pg_catalog.current_setting('server_version') AS server_version,
    pg_catalog.current_setting('server_version_num')::int AS server_version_number
