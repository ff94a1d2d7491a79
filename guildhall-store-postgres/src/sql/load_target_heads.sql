-- $1, $2: artifacts, and a target of each.
SELECT state.artifact_id, state.target, state.desired_cid, state.observed_cid, state.health, state.health_since, state.observed_at,
    state.position
FROM unnest($1::uuid[], $2::text[]) AS wanted (artifact_id, target)
JOIN {schema}.deployment_states{next} AS state USING (artifact_id, target)
