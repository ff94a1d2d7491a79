-- Every artifact with its drift, for people with a SQL prompt: the rule is that of the queries, which a
-- test holds it to.

CREATE OR REPLACE VIEW {schema}.artifact_drift AS
SELECT
    artifact.id, artifact.accord_binding_id, artifact.name, artifact.artifact_type, artifact.tier,
    artifact.cid, artifact.custody_state,
    CASE
        WHEN since.first_drifted IS NOT NULL THEN 'drifted'
        WHEN since.first_unknown IS NOT NULL THEN 'unknown'
        WHEN since.last_healthy IS NOT NULL THEN 'healthy'
        ELSE 'undeployed'
    END AS drift,
    coalesce(since.first_drifted, since.first_unknown, since.last_healthy) AS drift_since,
    artifact.position
FROM {schema}.governed_artifacts AS artifact
CROSS JOIN LATERAL (
    SELECT
        pg_catalog.min(health_since) FILTER (WHERE health = 'drifted') AS first_drifted,
        pg_catalog.min(health_since) FILTER (WHERE health = 'unknown') AS first_unknown,
        pg_catalog.max(health_since) FILTER (WHERE health = 'healthy') AS last_healthy
    FROM {schema}.deployment_states AS target
    WHERE target.artifact_id = artifact.id
) AS since;
