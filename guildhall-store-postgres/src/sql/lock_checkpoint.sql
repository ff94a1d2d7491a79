-- $1: projector. Whoever is next waits for this transaction to end; the clock is read afterwards.
SELECT
    projector, position, leaf_hash, origin, generation, lease_holder, lease_until, fence, clock_timestamp()
FROM {schema}.projector_checkpoints
WHERE projector = $1
FOR UPDATE
