-- The verdicts of one verifier on one target of an artifact, in order: the last of them stands. Without,
-- all that other verifiers said later would be read for each verdict of one that has fallen silent. No
-- target counts as an empty one, which a query tells apart. An administrator of large tables may have made
-- it beforehand, CONCURRENTLY.

CREATE INDEX IF NOT EXISTS verification_results_by_series
    ON {schema}.verification_results (
        artifact_id, pg_catalog.left(verifier, 128), coalesce(pg_catalog.left(target, 128), ''), verified_at, position
    );
