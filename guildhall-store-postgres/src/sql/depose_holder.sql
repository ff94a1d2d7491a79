-- Ends the session of whoever keeps the row locked for longer than a lease holds, and has none any
-- more: it is frozen or cut off in the middle of a transaction, which cannot commit afterwards. One
-- that is just taking the lease, so that none shows yet, has the time of a lease for it.
-- $1: projector
-- $2: how long a lease holds, in seconds
SELECT
    held.lease_holder,
    held.lease_until,
    CASE
        WHEN greatest(held.lease_until, holding.xact_start + make_interval(secs => $2)) <= clock_timestamp()
        THEN pg_catalog.pg_terminate_backend(locking.pid)
        ELSE false
    END
FROM {schema}.projector_checkpoints AS held
LEFT JOIN pg_catalog.pg_locks AS locking
    ON locking.locktype = 'transactionid' AND locking.granted AND locking.transactionid = held.xmax
LEFT JOIN pg_catalog.pg_stat_activity AS holding ON holding.pid = locking.pid
WHERE held.projector = $1
