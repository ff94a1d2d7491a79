-- How many follow this server physically, backups left out: of those, a role without pg_read_all_stats
-- is shown that they are there. And whether a commit waits until one of them has it.
SELECT
    (SELECT pg_catalog.count(*)
        FROM pg_catalog.pg_stat_replication AS senders
        WHERE coalesce(senders.state, '') OPERATOR(pg_catalog.<>) 'backup'
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_replication_slots AS slots
                WHERE slots.active_pid OPERATOR(pg_catalog.=) senders.pid
                    AND slots.slot_type OPERATOR(pg_catalog.=) 'logical')),
    pg_catalog.current_setting('synchronous_standby_names') OPERATOR(pg_catalog.<>) ''
        AND pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.<>) 'local'
