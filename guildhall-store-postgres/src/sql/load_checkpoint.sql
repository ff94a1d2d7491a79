-- $1: projectors
SELECT
    projector, position, leaf_hash, origin, generation, history_from, lease_holder, lease_until, fence,
    updated_at
FROM {schema}.projector_checkpoints
WHERE projector = ANY ($1::text[])
