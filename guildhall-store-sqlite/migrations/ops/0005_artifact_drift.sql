-- Every artifact with its drift, for people with a SQL prompt: the rule is that of the queries, which a
-- test holds it to.

CREATE VIEW artifact_drift AS
SELECT
    id, accord_binding_id, name, artifact_type, tier, cid, custody_state,
    CASE
        WHEN first_drifted IS NOT NULL THEN 'drifted'
        WHEN first_unknown IS NOT NULL THEN 'unknown'
        WHEN last_healthy IS NOT NULL THEN 'healthy'
        ELSE 'undeployed'
    END AS drift,
    coalesce(first_drifted, first_unknown, last_healthy) AS drift_since,
    position
FROM (
    SELECT
        artifact.*,
        (SELECT min(health_since) FROM deployment_states
            WHERE artifact_id = artifact.id AND health = 'drifted') AS first_drifted,
        (SELECT min(health_since) FROM deployment_states
            WHERE artifact_id = artifact.id AND health = 'unknown') AS first_unknown,
        (SELECT max(health_since) FROM deployment_states
            WHERE artifact_id = artifact.id AND health = 'healthy') AS last_healthy
    FROM governed_artifacts AS artifact
);
