-- The tables of the Ops DB, filled from the Chronicle `log` the way somebody good at SQL would,
-- without checking a single invariant: one statement a table, and the upserts in the order of the
-- log, so that late observations are ignored and `health_since` stays where health does.

INSERT INTO accord_bindings (id, name, accord_terms, bound_by, effective_at, position)
SELECT
    stream_id, payload ->> '$.name', payload -> '$.accord_terms', payload ->> '$.bound_by',
    payload ->> '$.effective_at', position
FROM log.chronicle_entries
WHERE event_type = 'dev.guildhouse.chronicle.accord.bound.v1';

INSERT INTO governed_artifacts (
    id, accord_binding_id, name, artifact_type, tier, cid, content, content_schema, registered_at,
    position)
SELECT
    stream_id, unhex(payload ->> '$.accord_id', '-'), payload ->> '$.name',
    payload ->> '$.artifact_type', payload ->> '$.tier', payload ->> '$.cid',
    payload -> '$.content', payload ->> '$.content_schema', recorded_at, position
FROM log.chronicle_entries
WHERE event_type = 'dev.guildhouse.chronicle.artifact.registered.v1';

INSERT INTO custody_transitions (
    artifact_id, seq, from_state, to_state, cid, actor, reason, ceremony_id, evidence, occurred_at,
    prev_hash, hash, position)
SELECT
    stream_id, payload ->> '$.seq', payload ->> '$.from_state', payload ->> '$.to_state',
    payload ->> '$.cid', payload ->> '$.actor', payload ->> '$.reason',
    unhex(payload ->> '$.ceremony_id', '-'), payload -> '$.evidence', payload ->> '$.occurred_at',
    unhex(payload ->> '$.prev_hash'), unhex(payload ->> '$.hash'), position
FROM log.chronicle_entries
WHERE event_type = 'dev.guildhouse.chronicle.custody.transitioned.v1';

-- Of one artifact's transitions, the newest: SQLite takes the other columns from max()'s row.
UPDATE governed_artifacts
SET custody_state = newest.to_state, custody_seq = newest.seq, position = newest.position
FROM (
    SELECT artifact_id, to_state, max(seq) AS seq, position
    FROM custody_transitions
    GROUP BY artifact_id
) AS newest
WHERE newest.artifact_id = governed_artifacts.id;

UPDATE governed_artifacts
SET
    cid = newest.payload ->> '$.cid', content = newest.payload -> '$.content',
    content_schema = newest.payload ->> '$.content_schema', revised_at = newest.recorded_at,
    position = max(governed_artifacts.position, newest.position)
FROM (
    SELECT stream_id, payload, recorded_at, max(position) AS position
    FROM log.chronicle_entries
    WHERE event_type = 'dev.guildhouse.chronicle.artifact.revised.v1'
    GROUP BY stream_id
) AS newest
WHERE newest.stream_id = governed_artifacts.id;

INSERT INTO deployment_states (
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at,
    position)
SELECT
    stream_id, payload ->> '$.target', payload ->> '$.desired_cid', payload ->> '$.observed_cid',
    CASE
        WHEN payload ->> '$.observed_cid' IS NULL THEN 'unknown'
        WHEN payload ->> '$.observed_cid' = payload ->> '$.desired_cid' THEN 'healthy'
        ELSE 'drifted'
    END,
    payload ->> '$.observed_at', payload -> '$.detail', payload ->> '$.observed_at', position
FROM log.chronicle_entries
WHERE event_type = 'dev.guildhouse.chronicle.deployment.observed.v1'
ORDER BY position
ON CONFLICT (artifact_id, target) DO UPDATE SET
    desired_cid = excluded.desired_cid,
    observed_cid = excluded.observed_cid,
    health_since = iif(excluded.health = health, health_since, excluded.health_since),
    health = excluded.health,
    detail = excluded.detail,
    observed_at = excluded.observed_at,
    position = excluded.position
WHERE excluded.observed_at >= observed_at;

INSERT INTO verification_results (
    id, artifact_id, target, verifier, outcome, evidence, verified_at, position)
SELECT
    event_id, stream_id, payload ->> '$.target', payload ->> '$.verifier',
    payload ->> '$.outcome', payload -> '$.evidence', payload ->> '$.verified_at', position
FROM log.chronicle_entries
WHERE event_type = 'dev.guildhouse.chronicle.verification.recorded.v1';
