-- CROSS JOIN keeps the order: the links that opened the ceremony first, from their index. The link
-- after such a one closed it.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    link.artifact_id, link.seq, link.from_state, link.to_state, link.cid, link.actor, link.reason,
    link.ceremony_id, link.evidence, link.occurred_at, link.prev_hash, link.hash, link.position,
    closing.artifact_id, closing.seq, closing.from_state, closing.to_state, closing.cid, closing.actor,
    closing.reason, closing.ceremony_id, closing.evidence, closing.occurred_at, closing.prev_hash,
    closing.hash, closing.position
FROM custody_transitions AS link
CROSS JOIN governed_artifacts AS artifact ON artifact.id = link.artifact_id
CROSS JOIN accord_bindings AS accord ON accord.id = artifact.accord_binding_id
LEFT JOIN custody_transitions AS closing
    ON closing.artifact_id = link.artifact_id AND closing.seq = link.seq + 1
