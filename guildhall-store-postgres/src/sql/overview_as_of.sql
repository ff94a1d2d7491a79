-- What an overview counts, at $1: what there is now, and what came after that moment taken back. {after table}
-- lets those rows through that came later, {shown table} those that were there. Of the changes of a target those
-- that came later are the last ones, so what they went from and to says how it was. A ceremony was open that is
-- still, or was closed since, if it was opened by then.
WITH since AS (
    SELECT
        pg_catalog.count(*) FILTER (WHERE previous_health = 'drifted')
            - pg_catalog.count(*) FILTER (WHERE health = 'drifted') AS drifted,
        pg_catalog.count(*) FILTER (WHERE previous_health = 'unknown')
            - pg_catalog.count(*) FILTER (WHERE health = 'unknown') AS unknown,
        pg_catalog.count(*) FILTER (WHERE previous_health IS NULL) AS first_seen
    FROM {schema}.deployment_changes
    WHERE {after deployment_changes}
),
registered AS (
    SELECT
        pg_catalog.count(*) FILTER (WHERE artifact.tier = 0) AS tier_0,
        pg_catalog.count(*) FILTER (WHERE artifact.tier = 1) AS tier_1,
        pg_catalog.count(*) FILTER (WHERE artifact.tier = 2) AS tier_2,
        pg_catalog.count(*) FILTER (WHERE artifact.tier = 3) AS tier_3
    FROM (
        SELECT artifact_id FROM {schema}.artifact_revisions
        WHERE revision = 1 AND {after artifact_revisions}
    ) AS later
    JOIN {schema}.governed_artifacts AS artifact ON artifact.id = later.artifact_id
),
opened AS (
    SELECT link.artifact_id, link.occurred_at
    FROM {schema}.governed_artifacts AS artifact
    JOIN {schema}.custody_transitions AS link
        ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
    WHERE coalesce(artifact.custody_state, '') = 'ceremony_open' AND {shown link: custody_transitions}
    UNION ALL
    SELECT link.artifact_id, link.occurred_at
    FROM (
        SELECT artifact_id, seq FROM {schema}.custody_transitions
        WHERE from_state = 'ceremony_open' AND {after custody_transitions}
    ) AS closed
    JOIN {schema}.custody_transitions AS link
        ON link.artifact_id = closed.artifact_id AND link.seq = closed.seq - 1
        AND {shown link: custody_transitions}
),
ceremonies AS (
    SELECT pg_catalog.count(*) AS open, pg_catalog.min(opened.occurred_at) AS oldest
    FROM opened
    JOIN {schema}.governed_artifacts AS artifact ON artifact.id = opened.artifact_id
    WHERE {shown artifact: governed_artifacts}
)
SELECT
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 0) - registered.tier_0,
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 1) - registered.tier_1,
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 2) - registered.tier_2,
    (SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts WHERE tier = 3) - registered.tier_3,
    (SELECT pg_catalog.count(*) FROM {schema}.accord_bindings WHERE {shown accord_bindings}),
    (SELECT pg_catalog.count(*) FROM {schema}.deployment_states WHERE health = 'drifted') + since.drifted,
    (SELECT pg_catalog.count(*) FROM {schema}.deployment_states WHERE health = 'unknown') + since.unknown,
    (SELECT pg_catalog.count(*) FROM {schema}.deployment_states) - since.first_seen,
    (SELECT pg_catalog.count(*) FROM {schema}.custody_transitions WHERE {shown custody_transitions}),
    (SELECT pg_catalog.count(*) FROM {schema}.verification_results WHERE {shown verification_results}),
    (SELECT pg_catalog.count(*) FROM {schema}.quarantined_entries WHERE {shown quarantined_entries}),
    ceremonies.open,
    ceremonies.oldest
FROM since, registered, ceremonies
