SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    link.artifact_id, link.seq, link.from_state, link.to_state, link.cid, link.actor, link.reason,
    link.ceremony_id, link.evidence, link.occurred_at, link.prev_hash, link.hash, link.position
FROM {schema}.governed_artifacts AS artifact
JOIN {schema}.custody_transitions AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
JOIN {schema}.accord_bindings AS accord ON accord.id = artifact.accord_binding_id
WHERE coalesce(artifact.custody_state, '') = 'ceremony_open'
