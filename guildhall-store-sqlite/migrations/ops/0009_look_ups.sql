-- What is looked up by a value of its own: an artifact by the CID of its content, a ceremony by its
-- id, verdicts by their verifier and by their target. Numbered as on PostgreSQL.

CREATE INDEX governed_artifacts_by_cid ON governed_artifacts (cid, name, id);

CREATE INDEX custody_transitions_opening ON custody_transitions (ceremony_id, position)
    WHERE to_state = 'ceremony_open';

CREATE INDEX verification_results_by_verifier ON verification_results (verifier, verified_at, position);
CREATE INDEX verification_results_by_target ON verification_results (target, verified_at, position)
    WHERE target IS NOT NULL;
