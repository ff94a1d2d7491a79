-- ?1 artifact. The content that it has and which one that is, the newest link of its chain, and who opened the ceremony that is
-- open (found in one look at the key).
SELECT
    artifact.position,
    (SELECT max(revision) FROM artifact_revisions AS content WHERE content.artifact_id = artifact.id),
    artifact.cid,
    link.seq,
    link.to_state,
    link.hash,
    link.occurred_at,
    link.ceremony_id,
    CASE WHEN link.to_state = 'ceremony_open' THEN (
        SELECT opening.actor
        FROM custody_transitions AS opening
        WHERE opening.artifact_id = artifact.id
            AND opening.to_state = 'ceremony_open' AND opening.from_state <> 'ceremony_open'
        ORDER BY opening.seq DESC
        LIMIT 1
    ) END
FROM governed_artifacts AS artifact
LEFT JOIN custody_transitions AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
WHERE artifact.id = ?1
