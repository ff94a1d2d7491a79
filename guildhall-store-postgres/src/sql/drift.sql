-- The earliest and the latest target of each health.
LEFT JOIN LATERAL (
    SELECT
        min(health_since) FILTER (WHERE health = 'drifted') AS first_drifted,
        max(health_since) FILTER (WHERE health = 'drifted') AS last_drifted,
        min(health_since) FILTER (WHERE health = 'unknown') AS first_unknown,
        max(health_since) FILTER (WHERE health = 'unknown') AS last_unknown,
        min(health_since) FILTER (WHERE health = 'healthy') AS first_healthy,
        max(health_since) FILTER (WHERE health = 'healthy') AS last_healthy
    FROM {schema}.deployment_states AS target
    WHERE target.artifact_id = artifact.id
) AS since ON true
