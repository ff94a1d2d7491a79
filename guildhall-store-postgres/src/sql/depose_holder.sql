-- Ends the session that keeps the row locked, has no lease any more, and waits for a client
-- that was silent for as long as a lease holds: it is frozen or cut off in the middle of a
-- transaction, which cannot commit afterwards. One that works, such as a rebuild that takes the
-- tables' place, is left alone, and so is one that this role may not see at work.
-- $1: projector
-- $2: how long a lease holds, in seconds
SELECT
    held.lease_holder,
    held.lease_until,
    CASE
        WHEN holding.wait_event_type = 'Client'
            AND greatest(
                -- One that was renewed later than now was so under a clock that has gone back since.
                CASE WHEN held.updated_at <= pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
                    THEN held.lease_until END,
                holding.state_change + pg_catalog.make_interval(secs => $2)
            ) <= pg_catalog.clock_timestamp()
        THEN pg_catalog.pg_terminate_backend(locking.pid)
        ELSE false
    END
FROM {schema}.projector_checkpoints AS held
LEFT JOIN pg_catalog.pg_locks AS locking
    ON locking.locktype = 'transactionid' AND locking.granted AND locking.transactionid = held.xmax
LEFT JOIN pg_catalog.pg_stat_activity AS holding ON holding.pid = locking.pid
WHERE held.projector = $1
