-- $1: projector
INSERT INTO {schema}.projector_checkpoints (projector, position, updated_at, generation, fence)
VALUES ($1, 0, pg_catalog.clock_timestamp(), 0, 0)
ON CONFLICT (projector) DO NOTHING
