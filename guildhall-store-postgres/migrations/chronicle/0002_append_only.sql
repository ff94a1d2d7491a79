-- The database itself refuses to change or remove what is recorded, or to record it out of order,
-- whoever asks. ENABLE ALWAYS holds under session_replication_role = replica, too. The owner of
-- the tables can still take the triggers away: a service's role should not be the owner.

CREATE FUNCTION {schema}.chronicle_refuse() RETURNS trigger
LANGUAGE plpgsql AS $guildhall$
BEGIN
    RAISE EXCEPTION '% refuses %: what is recorded stays as it is', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$guildhall$;

-- After an append, the log must still be dense: the new positions are one run, it begins where the
-- log ended, the head stands at its end, and versions follow their stream. Whoever appended, it is
-- durable and told to those who wait.
--
-- Without enable_seqscan = off, a session that began on a small log would keep plans that scan it
-- while it grows. Every table here is reached by an index: a scan all the same would cost so much
-- on paper that the server compiles the statement (jit) each time.
CREATE FUNCTION {schema}.chronicle_entries_appended() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off AS $guildhall$
DECLARE
    last_position bigint;
    is_next boolean;
BEGIN
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

-- The head moves forward, onto the last entry.
CREATE FUNCTION {schema}.chronicle_head_moved() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off AS $guildhall$
BEGIN
    IF NEW.position <= OLD.position
        OR NOT EXISTS (SELECT 1 FROM {schema}.chronicle_entries WHERE position = NEW.position)
    THEN
        RAISE EXCEPTION 'chronicle_head stands at the last entry'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$guildhall$;

CREATE TRIGGER chronicle_entries_appended
AFTER INSERT ON {schema}.chronicle_entries
REFERENCING NEW TABLE AS appended
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.chronicle_entries_appended();

CREATE TRIGGER chronicle_entries_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.chronicle_entries
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_entries_refuse_truncate
BEFORE TRUNCATE ON {schema}.chronicle_entries
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_head_moved
AFTER UPDATE ON {schema}.chronicle_head
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_head_moved();

CREATE TRIGGER chronicle_head_refuse_delete
BEFORE DELETE ON {schema}.chronicle_head
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_head_refuse_truncate
BEFORE TRUNCATE ON {schema}.chronicle_head
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_origin_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.chronicle_origin
FOR EACH ROW EXECUTE FUNCTION {schema}.chronicle_refuse();

CREATE TRIGGER chronicle_origin_refuse_truncate
BEFORE TRUNCATE ON {schema}.chronicle_origin
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.chronicle_refuse();

ALTER TABLE {schema}.chronicle_entries
    ENABLE ALWAYS TRIGGER chronicle_entries_appended,
    ENABLE ALWAYS TRIGGER chronicle_entries_refuse_change,
    ENABLE ALWAYS TRIGGER chronicle_entries_refuse_truncate;
ALTER TABLE {schema}.chronicle_head
    ENABLE ALWAYS TRIGGER chronicle_head_moved,
    ENABLE ALWAYS TRIGGER chronicle_head_refuse_delete,
    ENABLE ALWAYS TRIGGER chronicle_head_refuse_truncate;
ALTER TABLE {schema}.chronicle_origin
    ENABLE ALWAYS TRIGGER chronicle_origin_refuse_change,
    ENABLE ALWAYS TRIGGER chronicle_origin_refuse_truncate;
