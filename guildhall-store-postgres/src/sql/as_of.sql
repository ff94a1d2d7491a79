-- The tables as they were at $1, under the names that they have: {shown table} selects the rows that
-- were there. Names, types, tiers and accords never change.
WITH accord_bindings AS NOT MATERIALIZED (
    SELECT * FROM {schema}.accord_bindings WHERE {shown accord_bindings}
),
governed_artifacts AS NOT MATERIALIZED (
    SELECT
        artifact.id, artifact.accord_binding_id, artifact.name, artifact.artifact_type, artifact.tier,
        content.cid, content.content, content.content_schema,
        link.to_state AS custody_state, link.seq AS custody_seq,
        artifact.registered_at,
        CASE WHEN content.revision > 1 THEN content.recorded_at END AS revised_at,
        greatest(content.position, link.position) AS position
    FROM {schema}.governed_artifacts AS artifact
    CROSS JOIN LATERAL (
        SELECT *
        FROM {schema}.artifact_revisions AS known
        WHERE known.artifact_id = artifact.id AND {shown artifact_revisions}
        ORDER BY known.revision DESC
        LIMIT 1
    ) AS content
    LEFT JOIN LATERAL (
        SELECT known.to_state, known.seq, known.position
        FROM {schema}.custody_transitions AS known
        WHERE known.artifact_id = artifact.id AND {shown custody_transitions}
        ORDER BY known.seq DESC
        LIMIT 1
    ) AS link ON true
    WHERE {shown governed_artifacts}
),
artifact_revisions AS NOT MATERIALIZED (
    SELECT * FROM {schema}.artifact_revisions WHERE {shown artifact_revisions}
),
custody_transitions AS NOT MATERIALIZED (
    SELECT * FROM {schema}.custody_transitions WHERE {shown custody_transitions}
),
deployment_states AS NOT MATERIALIZED (
    SELECT
        state.artifact_id, state.target, last.desired_cid, last.observed_cid, last.health,
        last.health_since, 'null'::jsonb AS detail, last.observed_at, last.position
    FROM {schema}.deployment_states AS state
    CROSS JOIN LATERAL (
        SELECT *
        FROM {schema}.deployment_changes AS known
        WHERE known.artifact_id = state.artifact_id AND known.target = state.target
            AND {shown deployment_changes}
        ORDER BY known.observed_at DESC, known.position DESC
        LIMIT 1
    ) AS last
),
deployment_changes AS NOT MATERIALIZED (
    SELECT * FROM {schema}.deployment_changes WHERE {shown deployment_changes}
),
verification_results AS NOT MATERIALIZED (
    SELECT * FROM {schema}.verification_results WHERE {shown verification_results}
),
quarantined_entries AS NOT MATERIALIZED (
    SELECT * FROM {schema}.quarantined_entries WHERE {shown quarantined_entries}
)
