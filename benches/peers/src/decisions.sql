-- What disintegrate-postgres 4.0.1 makes when it is opened (src/event_store/sql and the columns of
-- its domain identifiers), with the one literal that PostgreSQL reads since version 16 in decimal.

CREATE SEQUENCE seq_event_event_id;

CREATE TABLE event (
    event_id bigint PRIMARY KEY DEFAULT nextval('seq_event_event_id'),
    event_type varchar(255),
    payload bytea,
    inserted_at timestamp DEFAULT now()
);

CREATE INDEX idx_event_type_btree ON event (event_type);

ALTER TABLE event ADD COLUMN accord_id uuid;
CREATE INDEX idx_event_accord_id ON event (accord_id) WHERE accord_id IS NOT NULL;
ALTER TABLE event ADD COLUMN artifact_id uuid;
CREATE INDEX idx_event_artifact_id ON event (artifact_id) WHERE artifact_id IS NOT NULL;

CREATE FUNCTION event_store_begin_epoch() RETURNS void AS $$
DECLARE
    id bigint;
    db_id int;
BEGIN
    SELECT last_value INTO id FROM seq_event_event_id;
    SELECT oid INTO db_id FROM pg_database WHERE datname = current_database();

    PERFORM pg_try_advisory_xact_lock_shared(db_id, 0);
    PERFORM pg_try_advisory_xact_lock_shared(1, (id & 4294967295)::bit(32)::integer);
    PERFORM pg_try_advisory_xact_lock_shared(2, (id >> 32)::bit(32)::integer);
END;
$$ LANGUAGE plpgsql;

CREATE FUNCTION event_store_current_epoch() RETURNS bigint AS $$
DECLARE
    persisted_event_id bigint;
    pending_event_id bigint;
    db_id int;
BEGIN
    SELECT coalesce(max(event_id), 0) INTO persisted_event_id FROM event;
    SELECT oid INTO db_id FROM pg_database WHERE datname = current_database();

    SELECT min((l3.objid::bigint << 32) + l2.objid::bigint)
    INTO pending_event_id
    FROM pg_locks l1
    INNER JOIN pg_locks l2 ON l1.pid = l2.pid
    INNER JOIN pg_locks l3 ON l1.pid = l3.pid
    WHERE
        l1.classid = db_id
        AND l2.classid = 1
        AND l3.classid = 2
        AND l1.locktype = 'advisory';

    RETURN least(coalesce(pending_event_id, persisted_event_id), persisted_event_id);
END;
$$ LANGUAGE plpgsql;
