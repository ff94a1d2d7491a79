-- ?1 artifact.
SELECT
    artifact.id, artifact.accord_binding_id, artifact.name, artifact.artifact_type, artifact.tier,
    artifact.cid, artifact.content, artifact.content_schema, artifact.custody_state,
    artifact.custody_seq, artifact.registered_at, artifact.revised_at, artifact.position,
    accord.id, accord.name, accord.accord_terms, accord.bound_by, accord.effective_at, accord.position
FROM governed_artifacts AS artifact
JOIN accord_bindings AS accord ON accord.id = artifact.accord_binding_id
WHERE artifact.id = ?1
