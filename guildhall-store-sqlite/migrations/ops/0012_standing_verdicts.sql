-- The verdicts of one verifier on one target of an artifact, in order: the last of them stands. Numbered
-- as on PostgreSQL.

CREATE INDEX verification_results_by_series
    ON verification_results (artifact_id, verifier, target, verified_at, position);
