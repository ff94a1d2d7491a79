INSERT INTO deployment_states (
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at, position
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (artifact_id, target) DO UPDATE SET
    desired_cid = excluded.desired_cid,
    observed_cid = excluded.observed_cid,
    health = excluded.health,
    health_since = excluded.health_since,
    detail = excluded.detail,
    observed_at = excluded.observed_at,
    position = excluded.position
