SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    {link: custody_transitions.*}
FROM {schema}.governed_artifacts AS artifact
JOIN {schema}.custody_transitions AS link
    ON link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
JOIN {schema}.accord_bindings AS accord ON accord.id = artifact.accord_binding_id
WHERE coalesce(artifact.custody_state, '') = 'ceremony_open'
