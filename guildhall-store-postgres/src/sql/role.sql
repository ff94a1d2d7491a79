-- What a server is: whether its transactions may not write unless they say otherwise, and the timeline
-- that it writes, which every promotion raises. A standby writes none.
SELECT
    pg_catalog.current_setting('transaction_read_only')::bool,
    CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN
        pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)
    END
