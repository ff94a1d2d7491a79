-- The counts that are kept, each beside when the ceremony was opened that is open longest.
SELECT {row_counts.*}, oldest.opened_at
FROM (
    SELECT pg_catalog.min(link.occurred_at) AS opened_at
    FROM {schema}.governed_artifacts AS artifact
    JOIN {schema}.custody_transitions AS link
        ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
    WHERE coalesce(artifact.custody_state, '') = 'ceremony_open'
) AS oldest
CROSS JOIN {schema}.row_counts
