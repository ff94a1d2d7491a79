-- $1: the schema. One rebuild at a time: the transaction of an unfinished one has the list of
-- migrations locked, as only the tables' owner can, and is ended with its session. A session that this
-- role may not end is waited for.
SELECT pg_catalog.pg_terminate_backend(held.pid)
FROM pg_catalog.pg_class AS locked
JOIN pg_catalog.pg_locks AS held
    ON held.locktype = 'relation' AND held.granted AND held.relation = locked.oid
    AND held.mode = 'ShareUpdateExclusiveLock'
JOIN pg_catalog.pg_database AS here
    ON here.oid = held.database AND here.datname = pg_catalog.current_database()
JOIN pg_catalog.pg_stat_activity AS holding ON holding.pid = held.pid
WHERE locked.relname = 'guildhall_migrations'
    AND locked.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
    AND held.pid <> pg_catalog.pg_backend_pid()
    AND holding.backend_type = 'client backend'
    AND pg_catalog.pg_has_role(holding.usesysid, 'USAGE')
