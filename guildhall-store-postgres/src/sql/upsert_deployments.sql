-- A column a parameter, in the order of the table.
INSERT INTO {schema}.deployment_states{next} (
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at, position
)
SELECT
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail::jsonb, observed_at, position
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
    $8::timestamptz[], $9::bigint[]
) AS seen (
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at, position
)
ON CONFLICT (artifact_id, target) DO UPDATE SET
    desired_cid = excluded.desired_cid,
    observed_cid = excluded.observed_cid,
    health = excluded.health,
    health_since = excluded.health_since,
    detail = excluded.detail,
    observed_at = excluded.observed_at,
    position = excluded.position
