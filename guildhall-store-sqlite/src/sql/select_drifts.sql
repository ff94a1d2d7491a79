-- Each with what the key finds after it: the first change to another health, and the first to healthy.
SELECT
    began.artifact_id, began.target, began.observed_at, began.desired_cid, began.observed_cid,
    (
        SELECT later.observed_at
        FROM deployment_changes AS later
        WHERE later.artifact_id = began.artifact_id AND later.target = began.target
            AND (later.observed_at, later.position) > (began.observed_at, began.position)
            AND later.health <> 'drifted'
        ORDER BY later.observed_at, later.position
        LIMIT 1
    ),
    (
        SELECT later.health
        FROM deployment_changes AS later
        WHERE later.artifact_id = began.artifact_id AND later.target = began.target
            AND (later.observed_at, later.position) > (began.observed_at, began.position)
            AND later.health <> 'drifted'
        ORDER BY later.observed_at, later.position
        LIMIT 1
    ),
    (
        SELECT later.observed_at
        FROM deployment_changes AS later
        WHERE later.artifact_id = began.artifact_id AND later.target = began.target
            AND (later.observed_at, later.position) > (began.observed_at, began.position)
            AND later.health = 'healthy'
        ORDER BY later.observed_at, later.position
        LIMIT 1
    ),
    began.position
FROM deployment_changes AS began
