-- What the queries read by.

CREATE INDEX accord_bindings_by_name ON {schema}.accord_bindings (name, id);
CREATE INDEX accord_bindings_terms ON {schema}.accord_bindings USING gin (accord_terms jsonb_path_ops);

-- One for each order in which artifacts are listed.
CREATE INDEX governed_artifacts_by_name ON {schema}.governed_artifacts (name, id);
CREATE INDEX governed_artifacts_by_type ON {schema}.governed_artifacts (artifact_type, name, id);
CREATE INDEX governed_artifacts_by_tier ON {schema}.governed_artifacts (tier, name, id);
CREATE INDEX governed_artifacts_by_position ON {schema}.governed_artifacts (position);
-- Null compares with nothing, so a page could not go on after one; the empty text sorts first too.
CREATE INDEX governed_artifacts_by_state ON {schema}.governed_artifacts (coalesce(custody_state, ''), name, id);
CREATE INDEX governed_artifacts_by_accord ON {schema}.governed_artifacts (accord_binding_id);
CREATE INDEX governed_artifacts_content ON {schema}.governed_artifacts USING gin (content jsonb_path_ops);

-- The links that closed a ceremony, in the order in which they are listed.
CREATE INDEX custody_transitions_closing ON {schema}.custody_transitions (occurred_at, position)
    WHERE from_state = 'ceremony_open';

-- Most targets are healthy and most verifications pass; only the others are worth finding, and an
-- observation that stays healthy writes no index at all.
CREATE INDEX deployment_states_drifted ON {schema}.deployment_states (artifact_id, target)
    WHERE health = 'drifted';
CREATE INDEX deployment_states_unknown ON {schema}.deployment_states (artifact_id, target)
    WHERE health = 'unknown';

CREATE INDEX verification_results_by_time ON {schema}.verification_results (verified_at, position);
CREATE INDEX verification_results_by_artifact ON {schema}.verification_results (artifact_id, verified_at, position);
CREATE INDEX verification_results_failed ON {schema}.verification_results (verified_at, position)
    WHERE outcome = 'failed';
CREATE INDEX verification_results_inconclusive ON {schema}.verification_results (verified_at, position)
    WHERE outcome = 'inconclusive';
