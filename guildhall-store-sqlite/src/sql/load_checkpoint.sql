-- ?1 projector.
SELECT position, leaf_hash, origin, generation, lease_holder, lease_until, fence
FROM projector_checkpoints
WHERE projector = ?1
