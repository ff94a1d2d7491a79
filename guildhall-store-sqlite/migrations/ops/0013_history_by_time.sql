-- What questions as of a time look up: what came after it.

CREATE INDEX custody_transitions_by_time ON custody_transitions (occurred_at, position);
CREATE INDEX artifact_revisions_by_time ON artifact_revisions (recorded_at, artifact_id)
    WHERE revision = 1;
