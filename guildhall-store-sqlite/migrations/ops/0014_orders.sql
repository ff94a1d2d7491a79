-- What lists are ordered by beside their keys: deployments by target, and by how long they have been as
-- they are; accords by when they came into force. An observation that changes no health writes neither.

CREATE INDEX deployment_states_by_target ON deployment_states (target, artifact_id);
CREATE INDEX deployment_states_by_since ON deployment_states (health_since, artifact_id, target);
CREATE INDEX accord_bindings_by_effect ON accord_bindings (effective_at, name, id);
