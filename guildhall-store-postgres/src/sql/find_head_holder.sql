-- Who keeps others from appending: a transaction under way that has written or locked the row of the
-- head, or has one of the log's tables locked.
-- $1: the schema
SELECT holding.pid, holding.usename::text, holding.application_name
FROM {schema}.chronicle_head AS head
JOIN pg_catalog.pg_locks AS held
    ON held.locktype = 'transactionid' AND held.granted AND held.transactionid = head.xmax
JOIN pg_catalog.pg_stat_activity AS holding ON holding.pid = held.pid
WHERE head.id = 1 AND held.pid <> pg_catalog.pg_backend_pid()
UNION ALL
SELECT holding.pid, holding.usename::text, holding.application_name
FROM pg_catalog.pg_class AS locked
JOIN pg_catalog.pg_locks AS held
    ON held.locktype = 'relation' AND held.granted AND held.relation = locked.oid
    AND held.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
JOIN pg_catalog.pg_database AS here
    ON here.oid = held.database AND here.datname = pg_catalog.current_database()
JOIN pg_catalog.pg_stat_activity AS holding ON holding.pid = held.pid
WHERE locked.relname IN ('chronicle_head', 'chronicle_entries', 'chronicle_origin')
    AND locked.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
    AND held.pid <> pg_catalog.pg_backend_pid()
LIMIT 1
