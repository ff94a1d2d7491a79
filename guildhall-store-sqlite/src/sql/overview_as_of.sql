-- As overview.sql, at ?1: what is counted now, and what came after that moment taken back. {after table}
-- lets those rows through that came later.
WITH moved AS MATERIALIZED (
    SELECT DISTINCT artifact_id, target
    FROM deployment_changes
    WHERE {after deployment_changes}
),
health AS MATERIALIZED (
    SELECT
        (
            SELECT state.health
            FROM deployment_states AS state
            WHERE state.artifact_id = moved.artifact_id AND state.target = moved.target
        ) AS now,
        (
            SELECT known.health
            FROM deployment_changes AS known
            WHERE known.artifact_id = moved.artifact_id AND known.target = moved.target
                AND NOT {after deployment_changes}
            ORDER BY known.observed_at DESC, known.position DESC
            LIMIT 1
        ) AS then_was
    FROM moved
)
SELECT
    (SELECT count(*) FROM accord_bindings) - (SELECT count(*) FROM accord_bindings WHERE {after accord_bindings}),
    (SELECT count(*) FROM deployment_states WHERE health = 'drifted')
        - (SELECT count(*) FROM health WHERE now = 'drifted')
        + (SELECT count(*) FROM health WHERE then_was = 'drifted'),
    (SELECT count(*) FROM deployment_states WHERE health = 'unknown')
        - (SELECT count(*) FROM health WHERE now = 'unknown')
        + (SELECT count(*) FROM health WHERE then_was = 'unknown'),
    (SELECT count(*) FROM deployment_states) - (SELECT count(*) FROM health WHERE then_was IS NULL),
    (SELECT count(*) FROM custody_transitions)
        - (SELECT count(*) FROM custody_transitions WHERE {after custody_transitions}),
    (SELECT count(*) FROM verification_results)
        - (SELECT count(*) FROM verification_results WHERE {after verification_results}),
    (SELECT count(*) FROM quarantined_entries)
        - (SELECT count(*) FROM quarantined_entries WHERE {after quarantined_entries})
