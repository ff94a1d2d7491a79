-- $1: the schema. One rebuild at a time: the transaction of an unfinished one holds this lock, and
-- is ended with its session. A lock of 64 bits is told in two halves.
SELECT count(pg_catalog.pg_terminate_backend(pid))
FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_catalog.pg_backend_pid()
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = hashtextextended('guildhall rebuild ' || $1, 0)
