-- What questions as of a moment take back, from an index alone: what came since, by entry and by time, with
-- what it went from.

DROP INDEX custody_transitions_by_position;
CREATE INDEX custody_transitions_by_position
    ON custody_transitions (position, from_state, artifact_id);
DROP INDEX custody_transitions_by_time;
CREATE INDEX custody_transitions_by_time
    ON custody_transitions (occurred_at, position, from_state, artifact_id);

DROP INDEX deployment_changes_by_position;
CREATE INDEX deployment_changes_by_position
    ON deployment_changes (position, previous_health, health, artifact_id, target);
DROP INDEX deployment_changes_by_time;
CREATE INDEX deployment_changes_by_time
    ON deployment_changes (observed_at, position, previous_health, health, artifact_id, target);
