-- When the ceremony was opened that is open longest. CROSS JOIN keeps the order: the artifacts with an open one
-- first, from their index.
SELECT min(link.occurred_at)
FROM governed_artifacts AS artifact
CROSS JOIN custody_transitions AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
WHERE coalesce(artifact.custody_state, '') = 'ceremony_open'
