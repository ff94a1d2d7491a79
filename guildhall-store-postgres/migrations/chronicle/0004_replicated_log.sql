-- Logical replication may bring the log from another server, whose own triggers have judged it. It
-- writes the tables in another order than an append (the head before its entry, a table at a time when
-- it begins), so that these two would stop it; it is let pass. Whoever merely plays a replica
-- (session_replication_role) is no worker of a subscription, and is judged as ever.

CREATE OR REPLACE FUNCTION {schema}.chronicle_entries_appended() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET search_path = pg_catalog, pg_temp AS $guildhall$
DECLARE
    last_position bigint;
    is_next boolean;
BEGIN
    IF current_setting('session_replication_role') = 'replica'
        AND EXISTS (SELECT 1 FROM pg_stat_get_subscription(NULL) WHERE pid = pg_backend_pid())
    THEN
        RETURN NULL;
    END IF;
    SELECT
        max(position),
        max(position) - min(position) + 1 = count(*)
        AND max(position) = (SELECT position FROM {schema}.chronicle_head WHERE id = 1)
        AND (
            min(position) = 1
            OR EXISTS (
                SELECT 1 FROM {schema}.chronicle_entries AS before
                WHERE before.position = min(appended.position) - 1
            )
        )
        AND bool_and(
            version = 1
            OR EXISTS (
                SELECT 1 FROM {schema}.chronicle_entries AS before
                WHERE before.stream_id = appended.stream_id
                    AND before.version = appended.version - 1
            )
        )
    INTO last_position, is_next
    FROM appended;
    -- Unknown where nothing was appended.
    IF NOT is_next THEN
        RAISE EXCEPTION 'chronicle_entries takes only the next position and version'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF last_position IS NULL THEN
        RETURN NULL;
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM pg_notify('guildhall:' || TG_TABLE_SCHEMA, last_position::text);
    RETURN NULL;
END
$guildhall$;

CREATE OR REPLACE FUNCTION {schema}.chronicle_head_moved() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET search_path = pg_catalog, pg_temp AS $guildhall$
BEGIN
    IF current_setting('session_replication_role') = 'replica'
        AND EXISTS (SELECT 1 FROM pg_stat_get_subscription(NULL) WHERE pid = pg_backend_pid())
    THEN
        RETURN NULL;
    END IF;
    IF NEW.position <= OLD.position
        OR NOT EXISTS (SELECT 1 FROM {schema}.chronicle_entries WHERE position = NEW.position)
    THEN
        RAISE EXCEPTION 'chronicle_head stands at the last entry'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$guildhall$;
