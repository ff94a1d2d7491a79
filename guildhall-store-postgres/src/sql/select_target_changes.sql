-- Each with the one before it, which the key finds.
SELECT {changed: deployment_changes.*}, {earlier: deployment_changes.*}
FROM {schema}.deployment_changes AS changed
LEFT JOIN LATERAL (
    SELECT *
    FROM {schema}.deployment_changes AS known
    WHERE known.artifact_id = changed.artifact_id AND known.target = changed.target
        AND (known.observed_at, known.position) < (changed.observed_at, changed.position)
    ORDER BY known.observed_at DESC, known.position DESC
    LIMIT 1
) AS earlier ON true
