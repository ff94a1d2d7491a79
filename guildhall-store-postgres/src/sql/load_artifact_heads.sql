-- $1: artifacts. The content that each has and which one that is, the newest link of its chain, who opened the ceremony that
-- is open (found in one look at the key), what the chain ratified.
SELECT
    artifact.id,
    artifact.position,
    (
        SELECT content.revision
        FROM {schema}.artifact_revisions{next} AS content
        WHERE content.artifact_id = artifact.id
        ORDER BY content.revision DESC
        LIMIT 1
    ),
    artifact.cid,
    link.seq,
    link.to_state,
    link.hash,
    link.occurred_at,
    link.ceremony_id,
    CASE WHEN link.to_state = 'ceremony_open' THEN (
        SELECT opening.actor
        FROM {schema}.custody_transitions{next} AS opening
        WHERE opening.artifact_id = artifact.id
            AND opening.to_state = 'ceremony_open' AND opening.from_state <> 'ceremony_open'
        ORDER BY opening.seq DESC
        LIMIT 1
    ) END,
    ARRAY(
        SELECT DISTINCT ratifying.cid
        FROM {schema}.custody_transitions{next} AS ratifying
        WHERE ratifying.artifact_id = artifact.id AND ratifying.to_state = 'ratified'
    )
FROM {schema}.governed_artifacts{next} AS artifact
LEFT JOIN {schema}.custody_transitions{next} AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
WHERE artifact.id = ANY ($1::uuid[])
