-- The database itself refuses to change or remove what is recorded, or to record it out of order,
-- whatever connection asks. REPLACE removes rows without firing DELETE triggers unless the
-- connection turned `recursive_triggers` on; so an INSERT of an existing key is refused before it
-- can replace anything. RAISE(ROLLBACK) would end a caller's transaction: ABORT undoes the
-- statement and holds against OR IGNORE and OR REPLACE alike.

CREATE TRIGGER chronicle_entries_refuse_update
BEFORE UPDATE ON chronicle_entries
BEGIN
    SELECT RAISE(ABORT, 'chronicle_entries is append-only');
END;

CREATE TRIGGER chronicle_entries_refuse_delete
BEFORE DELETE ON chronicle_entries
BEGIN
    SELECT RAISE(ABORT, 'chronicle_entries is append-only');
END;

-- A position that is the next one cannot exist, so this refuses the REPLACE of one, too. A rowid
-- that was left out is -1 before the insert, and refused like any other. One trigger for all three,
-- and FAIL, which refuses as ABORT does but has no changes to undo: both for speed.
CREATE TRIGGER chronicle_entries_refuse_insert
BEFORE INSERT ON chronicle_entries
BEGIN
    SELECT CASE
        WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM chronicle_entries)
            THEN RAISE(FAIL, 'chronicle_entries takes only the next position')
        WHEN EXISTS (SELECT 1 FROM chronicle_entries WHERE event_id = NEW.event_id)
            THEN RAISE(FAIL, 'chronicle_entries has this event_id already')
        WHEN NEW.version IS NOT (
            SELECT coalesce(max(version), 0) + 1 FROM chronicle_entries
            WHERE stream_id = NEW.stream_id
        )
            THEN RAISE(FAIL, 'chronicle_entries takes only the next version of a stream')
    END;
END;

CREATE TRIGGER chronicle_origin_refuse_update
BEFORE UPDATE ON chronicle_origin
BEGIN
    SELECT RAISE(ABORT, 'the origin of a Chronicle is fixed');
END;

CREATE TRIGGER chronicle_origin_refuse_delete
BEFORE DELETE ON chronicle_origin
BEGIN
    SELECT RAISE(ABORT, 'the origin of a Chronicle is fixed');
END;

CREATE TRIGGER chronicle_origin_refuse_second
BEFORE INSERT ON chronicle_origin
WHEN EXISTS (SELECT 1 FROM chronicle_origin)
BEGIN
    SELECT RAISE(ABORT, 'the origin of a Chronicle is fixed');
END;
