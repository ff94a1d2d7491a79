-- What questions as of a time look up: what came after it. An administrator of large tables may have made
-- them beforehand, CONCURRENTLY.

CREATE INDEX IF NOT EXISTS custody_transitions_by_time
    ON {schema}.custody_transitions (occurred_at, position);
CREATE INDEX IF NOT EXISTS artifact_revisions_by_time
    ON {schema}.artifact_revisions (recorded_at, artifact_id) WHERE revision = 1;
