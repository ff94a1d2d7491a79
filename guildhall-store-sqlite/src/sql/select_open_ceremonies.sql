-- The state in the join, so that what follows can begin with WHERE. CROSS JOIN keeps the order: the
-- few artifacts with an open ceremony first.
SELECT
    artifact.name, artifact.artifact_type, artifact.tier, accord.name,
    {link: custody_transitions.*}
FROM governed_artifacts AS artifact
CROSS JOIN custody_transitions AS link
    ON coalesce(artifact.custody_state, '') = 'ceremony_open'
    AND link.artifact_id = artifact.id AND link.seq = artifact.custody_seq
CROSS JOIN accord_bindings AS accord ON accord.id = artifact.accord_binding_id
