-- The link after one that opened a ceremony closed it.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    link.artifact_id, link.seq, link.from_state, link.to_state, link.cid, link.actor, link.reason,
    link.ceremony_id, link.evidence, link.occurred_at, link.prev_hash, link.hash, link.position,
    closing.artifact_id, closing.seq, closing.from_state, closing.to_state, closing.cid, closing.actor,
    closing.reason, closing.ceremony_id, closing.evidence, closing.occurred_at, closing.prev_hash,
    closing.hash, closing.position
FROM {schema}.custody_transitions AS link
JOIN {schema}.governed_artifacts AS artifact ON artifact.id = link.artifact_id
JOIN {schema}.accord_bindings AS accord ON accord.id = artifact.accord_binding_id
LEFT JOIN {schema}.custody_transitions AS closing
    ON closing.artifact_id = link.artifact_id AND closing.seq = link.seq + 1
WHERE link.to_state = 'ceremony_open'
