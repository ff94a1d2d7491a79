-- Who makes or rebuilds tables of the schema: the session that has the list of its migrations locked.
-- $1: the schema
SELECT holding.pid, holding.usename::text, holding.application_name
FROM pg_catalog.pg_class AS locked
JOIN pg_catalog.pg_locks AS held
    ON held.locktype = 'relation' AND held.granted AND held.relation = locked.oid
    AND held.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
JOIN pg_catalog.pg_database AS here
    ON here.oid = held.database AND here.datname = pg_catalog.current_database()
JOIN pg_catalog.pg_stat_activity AS holding ON holding.pid = held.pid
WHERE locked.relname = 'guildhall_migrations'
    AND locked.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
    AND held.pid <> pg_catalog.pg_backend_pid()
LIMIT 1
