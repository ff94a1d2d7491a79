-- What questions to the past look up: links by their entry, ceremonies by who opened or closed them,
-- changes of targets by their time, and the beginnings of drifts. An administrator of large tables may
-- have made them beforehand, CONCURRENTLY.

CREATE INDEX IF NOT EXISTS custody_transitions_by_position ON {schema}.custody_transitions (position);
-- An actor's name may be longer than what a page of an index takes.
CREATE INDEX IF NOT EXISTS custody_transitions_by_actor
    ON {schema}.custody_transitions (pg_catalog.left(actor, 128), position)
    WHERE to_state = 'ceremony_open' OR from_state = 'ceremony_open';

CREATE INDEX IF NOT EXISTS deployment_changes_by_time
    ON {schema}.deployment_changes (observed_at, position);
CREATE INDEX IF NOT EXISTS deployment_changes_drifting
    ON {schema}.deployment_changes (observed_at, position)
    WHERE health = 'drifted' AND previous_health IS DISTINCT FROM 'drifted';
