SELECT
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at, position
FROM deployment_states
