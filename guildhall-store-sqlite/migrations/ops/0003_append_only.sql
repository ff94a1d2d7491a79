-- The database itself refuses to change or remove a link, whatever connection asks. REPLACE removes
-- rows without firing DELETE triggers unless the connection turned `recursive_triggers` on; so an
-- INSERT of an existing key is refused before it can replace anything.

CREATE TRIGGER custody_transitions_refuse_update
BEFORE UPDATE ON custody_transitions
BEGIN
    SELECT RAISE(ABORT, 'custody_transitions is append-only');
END;

CREATE TRIGGER custody_transitions_refuse_delete
BEFORE DELETE ON custody_transitions
BEGIN
    SELECT RAISE(ABORT, 'custody_transitions is append-only');
END;

CREATE TRIGGER custody_transitions_refuse_known_key
BEFORE INSERT ON custody_transitions
WHEN EXISTS (
    SELECT 1 FROM custody_transitions WHERE artifact_id = NEW.artifact_id AND seq = NEW.seq
)
BEGIN
    SELECT RAISE(ABORT, 'custody_transitions has this link already');
END;

-- A rowid can be named, and REPLACE takes its row's place. One that is left out is -1 here.
CREATE TRIGGER custody_transitions_refuse_known_rowid
BEFORE INSERT ON custody_transitions
WHEN EXISTS (SELECT 1 FROM custody_transitions WHERE rowid = NEW.rowid)
BEGIN
    SELECT RAISE(ABORT, 'custody_transitions has this row already');
END;
