-- What was: every content that an artifact had, and every change of what runs on a target.

CREATE TABLE {schema}.artifact_revisions (
    artifact_id uuid NOT NULL,
    revision bigint NOT NULL CHECK (revision >= 1),
    cid text COLLATE "C" NOT NULL,
    content jsonb NOT NULL,
    content_schema text NOT NULL,
    recorded_at timestamptz NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT artifact_revisions_key PRIMARY KEY (artifact_id, revision)
);

CREATE TABLE {schema}.deployment_changes (
    artifact_id uuid NOT NULL,
    target text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    desired_cid text COLLATE "C" NOT NULL,
    observed_cid text COLLATE "C",
    previous_health text COLLATE "C" CHECK (previous_health IN ('unknown', 'healthy', 'drifted')),
    health text COLLATE "C" NOT NULL CHECK (health IN ('unknown', 'healthy', 'drifted')),
    health_since timestamptz NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT deployment_changes_key PRIMARY KEY (artifact_id, target, observed_at, position)
);

ALTER TABLE {schema}.artifact_revisions
    ADD CONSTRAINT artifact_revisions_artifact
    FOREIGN KEY (artifact_id) REFERENCES {schema}.governed_artifacts (id);
ALTER TABLE {schema}.deployment_changes
    ADD CONSTRAINT deployment_changes_artifact
    FOREIGN KEY (artifact_id) REFERENCES {schema}.governed_artifacts (id);

CREATE INDEX artifact_revisions_by_position ON {schema}.artifact_revisions (position);
CREATE INDEX deployment_changes_by_position ON {schema}.deployment_changes (position);

-- Where the tables stand already, their history begins with how they stand: what came before is in the
-- Chronicle, and a rebuild brings it in. A content that is not the first has a number that is not 1.
ALTER TABLE {schema}.projector_checkpoints
    ADD COLUMN history_from bigint NOT NULL DEFAULT 0 CHECK (history_from >= 0);
UPDATE {schema}.projector_checkpoints SET history_from = position WHERE projector = 'ops_db';

INSERT INTO {schema}.artifact_revisions (
    artifact_id, revision, cid, content, content_schema, recorded_at, position
)
SELECT
    id, CASE WHEN revised_at IS NULL THEN 1 ELSE 2 END, cid, content, content_schema,
    coalesce(revised_at, registered_at), position
FROM {schema}.governed_artifacts;

INSERT INTO {schema}.deployment_changes (
    artifact_id, target, observed_at, desired_cid, observed_cid, previous_health, health,
    health_since, position
)
SELECT
    artifact_id, target, health_since, desired_cid, observed_cid, NULL, health, health_since, position
FROM {schema}.deployment_states;

-- The database itself refuses to change or remove a row of either, as it does with links.

CREATE FUNCTION {schema}.artifact_revisions_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $guildhall$
BEGIN
    RAISE EXCEPTION 'artifact_revisions refuses %: a content stays as it is', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$guildhall$;

CREATE TRIGGER artifact_revisions_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.artifact_revisions
FOR EACH ROW EXECUTE FUNCTION {schema}.artifact_revisions_refuse();

CREATE TRIGGER artifact_revisions_refuse_truncate
BEFORE TRUNCATE ON {schema}.artifact_revisions
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.artifact_revisions_refuse();

ALTER TABLE {schema}.artifact_revisions
    ENABLE ALWAYS TRIGGER artifact_revisions_refuse_change,
    ENABLE ALWAYS TRIGGER artifact_revisions_refuse_truncate;

CREATE FUNCTION {schema}.deployment_changes_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $guildhall$
BEGIN
    RAISE EXCEPTION 'deployment_changes refuses %: a change stays as it is', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$guildhall$;

CREATE TRIGGER deployment_changes_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.deployment_changes
FOR EACH ROW EXECUTE FUNCTION {schema}.deployment_changes_refuse();

CREATE TRIGGER deployment_changes_refuse_truncate
BEFORE TRUNCATE ON {schema}.deployment_changes
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.deployment_changes_refuse();

ALTER TABLE {schema}.deployment_changes
    ENABLE ALWAYS TRIGGER deployment_changes_refuse_change,
    ENABLE ALWAYS TRIGGER deployment_changes_refuse_truncate;

COMMENT ON TABLE {schema}.artifact_revisions IS
    'Every content that an artifact had. Append-only.';
COMMENT ON COLUMN {schema}.artifact_revisions.artifact_id IS 'The artifact.';
COMMENT ON COLUMN {schema}.artifact_revisions.revision IS
    'Which of its contents: 1 is the registration''s.';
COMMENT ON COLUMN {schema}.artifact_revisions.cid IS 'The content address (CIDv1) of the content.';
COMMENT ON COLUMN {schema}.artifact_revisions.content IS 'The content.';
COMMENT ON COLUMN {schema}.artifact_revisions.content_schema IS
    'The URI of the schema that the content follows.';
COMMENT ON COLUMN {schema}.artifact_revisions.recorded_at IS
    'When the registration or the revision was recorded.';
COMMENT ON COLUMN {schema}.artifact_revisions.position IS 'The entry that wrote the row.';

COMMENT ON TABLE {schema}.deployment_changes IS
    'The observations that found another health, or another CID, than the one before. Append-only.';
COMMENT ON COLUMN {schema}.deployment_changes.artifact_id IS 'The artifact.';
COMMENT ON COLUMN {schema}.deployment_changes.target IS 'Where.';
COMMENT ON COLUMN {schema}.deployment_changes.observed_at IS 'When it was seen.';
COMMENT ON COLUMN {schema}.deployment_changes.desired_cid IS
    'The content that should run there from then on.';
COMMENT ON COLUMN {schema}.deployment_changes.observed_cid IS
    'The content that does; null where nothing was seen.';
COMMENT ON COLUMN {schema}.deployment_changes.previous_health IS
    'The health until then; null for the first observation.';
COMMENT ON COLUMN {schema}.deployment_changes.health IS 'The health from then on.';
COMMENT ON COLUMN {schema}.deployment_changes.health_since IS
    'When the observation that last changed the health was made.';
COMMENT ON COLUMN {schema}.deployment_changes.position IS 'The entry that wrote the row.';
COMMENT ON COLUMN {schema}.projector_checkpoints.history_from IS
    'From which entry on the tables have the history of what they show; 0: from the first on.';
