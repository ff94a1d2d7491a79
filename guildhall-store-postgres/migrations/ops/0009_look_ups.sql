-- What is looked up by a value of its own: an artifact by the CID of its content, a ceremony by its
-- id, verdicts by their verifier and by their target. An administrator of large tables may have made
-- them beforehand, CONCURRENTLY.

CREATE INDEX IF NOT EXISTS governed_artifacts_by_cid ON {schema}.governed_artifacts (cid, name, id);

CREATE INDEX IF NOT EXISTS custody_transitions_opening ON {schema}.custody_transitions (ceremony_id, position)
    WHERE to_state = 'ceremony_open';

-- Verifiers, and the targets of verdicts, may be longer than what a page of an index takes.
CREATE INDEX IF NOT EXISTS verification_results_by_verifier
    ON {schema}.verification_results (pg_catalog.left(verifier, 128), verified_at, position);
CREATE INDEX IF NOT EXISTS verification_results_by_target
    ON {schema}.verification_results (pg_catalog.left(target, 128), verified_at, position)
    WHERE target IS NOT NULL;
