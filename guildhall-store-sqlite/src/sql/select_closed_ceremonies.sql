-- CROSS JOIN keeps the order: the links that closed a ceremony first, from their index. The link
-- before such a one opened it.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    opening.actor, opening.occurred_at,
    {link: custody_transitions.*}
FROM custody_transitions AS link
CROSS JOIN custody_transitions AS opening
    ON opening.artifact_id = link.artifact_id AND opening.seq = link.seq - 1
CROSS JOIN governed_artifacts AS artifact ON artifact.id = link.artifact_id
CROSS JOIN accord_bindings AS accord ON accord.id = artifact.accord_binding_id
