-- What was: every content that an artifact had, and every change of what runs on a target. Numbered as
-- on PostgreSQL.

CREATE TABLE artifact_revisions (
    artifact_id BLOB NOT NULL REFERENCES governed_artifacts (id),
    revision INTEGER NOT NULL CHECK (revision >= 1),
    cid TEXT NOT NULL,
    content TEXT NOT NULL CHECK (json_valid(content)),
    content_schema TEXT NOT NULL,
    recorded_at TEXT NOT NULL CHECK (length(recorded_at) = 27),
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE deployment_changes (
    artifact_id BLOB NOT NULL REFERENCES governed_artifacts (id),
    target TEXT NOT NULL,
    observed_at TEXT NOT NULL CHECK (length(observed_at) = 27),
    desired_cid TEXT NOT NULL,
    observed_cid TEXT,
    previous_health TEXT CHECK (
        previous_health = 'unknown' OR previous_health = 'healthy' OR previous_health = 'drifted'),
    health TEXT NOT NULL CHECK (health = 'unknown' OR health = 'healthy' OR health = 'drifted'),
    health_since TEXT NOT NULL CHECK (length(health_since) = 27),
    position INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX artifact_revisions_key ON artifact_revisions (artifact_id, revision);
CREATE UNIQUE INDEX deployment_changes_key ON deployment_changes (artifact_id, target, observed_at, position);
CREATE INDEX artifact_revisions_by_position ON artifact_revisions (position);
CREATE INDEX deployment_changes_by_position ON deployment_changes (position);

-- Where the tables stand already, their history begins with how they stand: what came before is in the
-- Chronicle, and a rebuild brings it in. A content that is not the first has a number that is not 1.
ALTER TABLE projector_checkpoints
    ADD COLUMN history_from INTEGER NOT NULL DEFAULT 0 CHECK (history_from >= 0);
UPDATE projector_checkpoints SET history_from = position WHERE projector = 'ops_db';

INSERT INTO artifact_revisions (
    artifact_id, revision, cid, content, content_schema, recorded_at, position
)
SELECT
    id, CASE WHEN revised_at IS NULL THEN 1 ELSE 2 END, cid, content, content_schema,
    coalesce(revised_at, registered_at), position
FROM governed_artifacts;

INSERT INTO deployment_changes (
    artifact_id, target, observed_at, desired_cid, observed_cid, previous_health, health,
    health_since, position
)
SELECT
    artifact_id, target, health_since, desired_cid, observed_cid, NULL, health, health_since, position
FROM deployment_states;

-- The database itself refuses to change or remove a row of either, as it does with links.

CREATE TRIGGER artifact_revisions_refuse_update
BEFORE UPDATE ON artifact_revisions
BEGIN
    SELECT RAISE(ABORT, 'artifact_revisions is append-only');
END;

CREATE TRIGGER artifact_revisions_refuse_delete
BEFORE DELETE ON artifact_revisions
BEGIN
    SELECT RAISE(ABORT, 'artifact_revisions is append-only');
END;

CREATE TRIGGER artifact_revisions_refuse_known_key
BEFORE INSERT ON artifact_revisions
WHEN EXISTS (
    SELECT 1 FROM artifact_revisions WHERE artifact_id = NEW.artifact_id AND revision = NEW.revision
)
BEGIN
    SELECT RAISE(ABORT, 'artifact_revisions has this revision already');
END;

CREATE TRIGGER artifact_revisions_refuse_known_rowid
BEFORE INSERT ON artifact_revisions
WHEN EXISTS (SELECT 1 FROM artifact_revisions WHERE rowid = NEW.rowid)
BEGIN
    SELECT RAISE(ABORT, 'artifact_revisions has this row already');
END;

CREATE TRIGGER deployment_changes_refuse_update
BEFORE UPDATE ON deployment_changes
BEGIN
    SELECT RAISE(ABORT, 'deployment_changes is append-only');
END;

CREATE TRIGGER deployment_changes_refuse_delete
BEFORE DELETE ON deployment_changes
BEGIN
    SELECT RAISE(ABORT, 'deployment_changes is append-only');
END;

CREATE TRIGGER deployment_changes_refuse_known_key
BEFORE INSERT ON deployment_changes
WHEN EXISTS (
    SELECT 1 FROM deployment_changes WHERE artifact_id = NEW.artifact_id AND target = NEW.target AND observed_at = NEW.observed_at AND position = NEW.position
)
BEGIN
    SELECT RAISE(ABORT, 'deployment_changes has this change already');
END;

CREATE TRIGGER deployment_changes_refuse_known_rowid
BEFORE INSERT ON deployment_changes
WHEN EXISTS (SELECT 1 FROM deployment_changes WHERE rowid = NEW.rowid)
BEGIN
    SELECT RAISE(ABORT, 'deployment_changes has this row already');
END;
