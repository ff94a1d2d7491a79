-- ?1 projector.
SELECT position, leaf_hash, origin, generation, history_from, lease_holder, lease_until, fence, updated_at
FROM projector_checkpoints
WHERE projector = ?1
