SELECT
    {artifact: governed_artifacts.*},
    {accord: accord_bindings.*}
FROM governed_artifacts AS artifact
JOIN accord_bindings AS accord ON accord.id = artifact.accord_binding_id
WHERE artifact.id = ?
