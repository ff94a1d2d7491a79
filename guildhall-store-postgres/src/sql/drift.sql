-- Since when each health has a target of the artifact.
LEFT JOIN LATERAL (
    SELECT
        min(health_since) FILTER (WHERE health = 'drifted') AS drifted,
        min(health_since) FILTER (WHERE health = 'unknown') AS unknown,
        min(health_since) FILTER (WHERE health = 'healthy') AS healthy
    FROM {schema}.deployment_states AS target
    WHERE target.artifact_id = artifact.id
) AS since ON true
