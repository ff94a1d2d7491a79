-- What questions to the past look up: links by their entry, ceremonies by who opened or closed them,
-- changes of targets by their time, and the beginnings of drifts. Numbered as on PostgreSQL.

CREATE INDEX custody_transitions_by_position ON custody_transitions (position);
CREATE INDEX custody_transitions_by_actor ON custody_transitions (actor, position)
    WHERE to_state = 'ceremony_open' OR from_state = 'ceremony_open';

CREATE INDEX deployment_changes_by_time ON deployment_changes (observed_at, position);
CREATE INDEX deployment_changes_drifting ON deployment_changes (observed_at, position)
    WHERE health = 'drifted' AND previous_health IS NOT 'drifted';
