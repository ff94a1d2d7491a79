-- The link before one that closed a ceremony opened it.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    opening.actor, opening.occurred_at,
    {link: custody_transitions.*}
FROM {schema}.custody_transitions AS link
JOIN {schema}.custody_transitions AS opening
    ON opening.artifact_id = link.artifact_id AND opening.seq = link.seq - 1
JOIN {schema}.governed_artifacts AS artifact ON artifact.id = link.artifact_id
JOIN {schema}.accord_bindings AS accord ON accord.id = artifact.accord_binding_id
WHERE link.from_state = 'ceremony_open'
