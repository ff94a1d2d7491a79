-- Keeps everybody else from appending until the transaction ends. It writes to the write-ahead log, so
-- that its commit waits for the disk, and for the standbys, that a commit before it may not have reached.
SELECT
    position,
    CASE WHEN pg_catalog.current_setting('synchronous_commit') = 'off'
        THEN pg_catalog.set_config('synchronous_commit', 'on', true) END
FROM {schema}.chronicle_head
WHERE id = 1
FOR UPDATE
