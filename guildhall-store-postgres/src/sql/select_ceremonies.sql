-- The link after one that opened a ceremony closed it.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    {link: custody_transitions.*},
    {closing: custody_transitions.*}
FROM {schema}.custody_transitions AS link
JOIN {schema}.governed_artifacts AS artifact ON artifact.id = link.artifact_id
JOIN {schema}.accord_bindings AS accord ON accord.id = artifact.accord_binding_id
LEFT JOIN {schema}.custody_transitions AS closing
    ON closing.artifact_id = link.artifact_id AND closing.seq = link.seq + 1
WHERE link.to_state = 'ceremony_open'
