-- How many ceremonies were open at ?1, and since when the oldest: one was open that is still, or was closed
-- since, if it was opened by then. {shown table} lets those rows through that were there, {after table} those
-- that came later.
SELECT count(*), min(opened.occurred_at)
FROM (
    SELECT link.artifact_id, link.occurred_at
    FROM governed_artifacts AS artifact
    CROSS JOIN custody_transitions AS link
        ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
    WHERE coalesce(artifact.custody_state, '') = 'ceremony_open' AND {shown link: custody_transitions}
    UNION ALL
    SELECT link.artifact_id, link.occurred_at
    FROM custody_transitions AS closed
    CROSS JOIN custody_transitions AS link
        ON link.artifact_id = closed.artifact_id AND link.seq = closed.seq - 1
    WHERE closed.from_state = 'ceremony_open' AND {after closed: custody_transitions}
        AND {shown link: custody_transitions}
) AS opened
CROSS JOIN governed_artifacts AS artifact
    ON artifact.id = opened.artifact_id AND {shown artifact: governed_artifacts}
