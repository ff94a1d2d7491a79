-- What lists are ordered by beside their keys: deployments by target, and by how long they have been as
-- they are; accords by when they came into force. An observation that changes no health writes neither,
-- so that it stays a HOT update. An administrator of large tables may have made them beforehand,
-- CONCURRENTLY.

CREATE INDEX IF NOT EXISTS deployment_states_by_target
    ON {schema}.deployment_states (target, artifact_id);
CREATE INDEX IF NOT EXISTS deployment_states_by_since
    ON {schema}.deployment_states (health_since, artifact_id, target);
CREATE INDEX IF NOT EXISTS accord_bindings_by_effect
    ON {schema}.accord_bindings (effective_at, name, id);
