INSERT INTO deployment_states (
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at, position
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
