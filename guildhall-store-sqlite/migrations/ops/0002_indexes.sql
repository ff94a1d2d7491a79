-- Keys first, then what the queries read by. An index cannot be renamed, so each may also be found
-- under its name with `_2` added: a rebuild makes the next generation's under the other one.

CREATE UNIQUE INDEX accord_bindings_key ON accord_bindings (id);
CREATE UNIQUE INDEX governed_artifacts_key ON governed_artifacts (id);
CREATE UNIQUE INDEX custody_transitions_key ON custody_transitions (artifact_id, seq);
CREATE UNIQUE INDEX deployment_states_key ON deployment_states (artifact_id, target);
CREATE UNIQUE INDEX verification_results_key ON verification_results (id);

CREATE INDEX accord_bindings_by_name ON accord_bindings (name, id);

-- One for each order in which artifacts are listed.
CREATE INDEX governed_artifacts_by_name ON governed_artifacts (name, id);
CREATE INDEX governed_artifacts_by_type ON governed_artifacts (artifact_type, name, id);
CREATE INDEX governed_artifacts_by_tier ON governed_artifacts (tier, name, id);
CREATE INDEX governed_artifacts_by_position ON governed_artifacts (position);
-- Null compares with nothing, so a page could not go on after one; the empty text sorts first too.
CREATE INDEX governed_artifacts_by_state ON governed_artifacts (coalesce(custody_state, ''), name, id);
CREATE INDEX governed_artifacts_by_accord ON governed_artifacts (accord_binding_id);

-- Most targets are healthy and most verifications pass; only the others are worth finding, and an
-- observation that stays healthy writes no index at all.
CREATE INDEX deployment_states_drifted ON deployment_states (artifact_id, target) WHERE health = 'drifted';
CREATE INDEX deployment_states_unknown ON deployment_states (artifact_id, target) WHERE health = 'unknown';

CREATE INDEX verification_results_by_time ON verification_results (verified_at, position);
CREATE INDEX verification_results_by_artifact ON verification_results (artifact_id, verified_at, position);
CREATE INDEX verification_results_failed ON verification_results (verified_at, position)
    WHERE outcome = 'failed';
CREATE INDEX verification_results_inconclusive ON verification_results (verified_at, position)
    WHERE outcome = 'inconclusive';
