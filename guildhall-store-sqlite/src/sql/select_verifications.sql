SELECT id, artifact_id, target, verifier, outcome, evidence, verified_at, position
FROM verification_results AS verdict
