-- ?1 artifact. The content that it has, and the newest link of its chain.
SELECT
    artifact.position,
    artifact.cid,
    link.seq,
    link.to_state,
    link.hash,
    link.occurred_at,
    link.ceremony_id
FROM governed_artifacts AS artifact
LEFT JOIN custody_transitions AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
WHERE artifact.id = ?1
