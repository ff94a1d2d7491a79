INSERT INTO verification_results (
    id, artifact_id, target, verifier, outcome, evidence, verified_at, position
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
