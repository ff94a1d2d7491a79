-- What questions as of a moment take back, from an index alone: what came since, by entry and by time, with
-- what it went from. Whoever writes waits while these are built, a few seconds for a million rows.

DROP INDEX IF EXISTS {schema}.custody_transitions_by_position;
CREATE INDEX custody_transitions_by_position
    ON {schema}.custody_transitions (position) INCLUDE (from_state, artifact_id);
DROP INDEX IF EXISTS {schema}.custody_transitions_by_time;
CREATE INDEX custody_transitions_by_time
    ON {schema}.custody_transitions (occurred_at, position) INCLUDE (from_state, artifact_id);

DROP INDEX IF EXISTS {schema}.deployment_changes_by_position;
CREATE INDEX deployment_changes_by_position
    ON {schema}.deployment_changes (position) INCLUDE (previous_health, health, artifact_id, target);
DROP INDEX IF EXISTS {schema}.deployment_changes_by_time;
CREATE INDEX deployment_changes_by_time
    ON {schema}.deployment_changes (observed_at, position)
    INCLUDE (previous_health, health, artifact_id, target);
