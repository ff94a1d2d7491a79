-- $1: projector. Ends the session of whoever keeps the row locked although its lease has lapsed: it
-- is frozen or cut off in the middle of a transaction, which cannot commit any more afterwards.
SELECT
    held.lease_holder,
    held.lease_until,
    CASE
        WHEN held.lease_until <= clock_timestamp() THEN pg_catalog.pg_terminate_backend(locking.pid)
        ELSE false
    END
FROM {schema}.projector_checkpoints AS held
LEFT JOIN pg_catalog.pg_locks AS locking
    ON locking.locktype = 'transactionid' AND locking.granted AND locking.transactionid = held.xmax
WHERE held.projector = $1
