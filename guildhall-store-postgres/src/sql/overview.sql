SELECT
    (SELECT count(*) FROM {schema}.governed_artifacts WHERE tier = 0),
    (SELECT count(*) FROM {schema}.governed_artifacts WHERE tier = 1),
    (SELECT count(*) FROM {schema}.governed_artifacts WHERE tier = 2),
    (SELECT count(*) FROM {schema}.governed_artifacts WHERE tier = 3),
    (SELECT count(*) FROM {schema}.accord_bindings),
    (SELECT count(*) FROM {schema}.deployment_states WHERE health = 'drifted'),
    (SELECT count(*) FROM {schema}.deployment_states WHERE health = 'unknown'),
    (SELECT count(*) FROM {schema}.deployment_states),
    (SELECT count(*) FROM {schema}.custody_transitions),
    (SELECT count(*) FROM {schema}.verification_results),
    (SELECT count(*) FROM {schema}.quarantined_entries),
    count(*),
    min(link.occurred_at)
FROM {schema}.governed_artifacts AS artifact
JOIN {schema}.custody_transitions AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
WHERE coalesce(artifact.custody_state, '') = 'ceremony_open'
