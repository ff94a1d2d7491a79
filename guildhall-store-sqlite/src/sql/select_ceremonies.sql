-- CROSS JOIN keeps the order: the links that opened the ceremony first, from their index. The link
-- after such a one closed it.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    {link: custody_transitions.*},
    {closing: custody_transitions.*}
FROM custody_transitions AS link
CROSS JOIN governed_artifacts AS artifact ON artifact.id = link.artifact_id
CROSS JOIN accord_bindings AS accord ON accord.id = artifact.accord_binding_id
LEFT JOIN custody_transitions AS closing
    ON closing.artifact_id = link.artifact_id AND closing.seq = link.seq + 1
