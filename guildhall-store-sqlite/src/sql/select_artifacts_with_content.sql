SELECT id, accord_binding_id, name, artifact_type, tier, cid, custody_state, position, content
FROM governed_artifacts
