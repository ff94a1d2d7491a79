-- What an overview counts, at ?1: what there is now, and what came after that moment taken back. {after table}
-- lets those rows through that came later; of the changes of a target those are the last ones, so what they
-- went from and to says how it was.
WITH since AS MATERIALIZED (
    SELECT
        coalesce(sum((previous_health IS 'drifted') - (health = 'drifted')), 0) AS drifted,
        coalesce(sum((previous_health IS 'unknown') - (health = 'unknown')), 0) AS unknown,
        coalesce(sum(previous_health IS NULL), 0) AS first_seen
    FROM deployment_changes
    WHERE {after deployment_changes}
)
SELECT
    (SELECT count(*) FROM accord_bindings) - (SELECT count(*) FROM accord_bindings WHERE {after accord_bindings}),
    (SELECT count(*) FROM deployment_states WHERE health = 'drifted') + since.drifted,
    (SELECT count(*) FROM deployment_states WHERE health = 'unknown') + since.unknown,
    (SELECT count(*) FROM deployment_states) - since.first_seen,
    (SELECT count(*) FROM custody_transitions)
        - (SELECT count(*) FROM custody_transitions WHERE {after custody_transitions}),
    (SELECT count(*) FROM verification_results)
        - (SELECT count(*) FROM verification_results WHERE {after verification_results}),
    (SELECT count(*) FROM quarantined_entries)
        - (SELECT count(*) FROM quarantined_entries WHERE {after quarantined_entries})
FROM since
