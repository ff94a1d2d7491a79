-- The state in the join, so that what follows can begin with WHERE. CROSS JOIN keeps the order: the
-- few artifacts with an open ceremony first.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    link.artifact_id, link.seq, link.from_state, link.to_state, link.cid, link.actor, link.reason,
    link.ceremony_id, link.evidence, link.occurred_at, link.prev_hash, link.hash, link.position
FROM governed_artifacts AS artifact
CROSS JOIN custody_transitions AS link
    ON coalesce(artifact.custody_state, '') = 'ceremony_open'
    AND link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
CROSS JOIN accord_bindings AS accord ON accord.id = artifact.accord_binding_id
