-- What runs on a target, the latest content with that CID, the latest link that ratified it, and the one
-- before that, which opened the ceremony.
SELECT
    {state: deployment_states.*},
    {content: artifact_revisions.*},
    {ratified: custody_transitions.*},
    {opened: custody_transitions.*}
FROM {schema}.deployment_states AS state
LEFT JOIN LATERAL (
    SELECT * FROM {schema}.artifact_revisions AS had
    WHERE had.artifact_id = state.artifact_id AND had.cid = state.observed_cid
    ORDER BY had.revision DESC
    LIMIT 1
) AS content ON true
LEFT JOIN LATERAL (
    SELECT * FROM {schema}.custody_transitions AS link
    WHERE link.artifact_id = state.artifact_id AND link.cid = state.observed_cid
        AND link.to_state = 'ratified'
    ORDER BY link.seq DESC
    LIMIT 1
) AS ratified ON true
LEFT JOIN {schema}.custody_transitions AS opened
    ON opened.artifact_id = ratified.artifact_id AND opened.seq = ratified.seq - 1
