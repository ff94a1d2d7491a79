-- Each with the one before it, which the key finds.
SELECT {changed: deployment_changes.*}, {earlier: deployment_changes.*}
FROM deployment_changes AS changed
LEFT JOIN deployment_changes AS earlier
    ON earlier.position = (
        SELECT known.position
        FROM deployment_changes AS known
        WHERE known.artifact_id = changed.artifact_id AND known.target = changed.target
            AND (known.observed_at, known.position) < (changed.observed_at, changed.position)
        ORDER BY known.observed_at DESC, known.position DESC
        LIMIT 1
    )
