SELECT
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 0),
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 1),
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 2),
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 3),
    (SELECT pg_catalog.count(*) FROM {schema}.accord_bindings),
    (SELECT pg_catalog.count(*) FROM {schema}.deployment_states WHERE health = 'drifted'),
    (SELECT pg_catalog.count(*) FROM {schema}.deployment_states WHERE health = 'unknown'),
    (SELECT pg_catalog.count(*) FROM {schema}.deployment_states),
    (SELECT pg_catalog.count(*) FROM {schema}.custody_transitions),
    (SELECT pg_catalog.count(*) FROM {schema}.verification_results),
    (SELECT pg_catalog.count(*) FROM {schema}.quarantined_entries),
    pg_catalog.count(*),
    pg_catalog.min(link.occurred_at)
FROM {schema}.governed_artifacts AS artifact
JOIN {schema}.custody_transitions AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
WHERE coalesce(artifact.custody_state, '') = 'ceremony_open'
