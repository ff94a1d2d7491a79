-- ?1 projector, ?2 position, ?3 leaf_hash, ?4 origin, ?5 updated_at, ?6 generation,
-- ?7 history_from, ?8 lease_holder, ?9 lease_until, ?10 fence.
INSERT INTO projector_checkpoints (
    projector, position, leaf_hash, origin, updated_at, generation, history_from,
    lease_holder, lease_until, fence
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (projector) DO UPDATE SET
    position = excluded.position,
    leaf_hash = excluded.leaf_hash,
    origin = excluded.origin,
    updated_at = excluded.updated_at,
    generation = excluded.generation,
    history_from = excluded.history_from,
    lease_holder = excluded.lease_holder,
    lease_until = excluded.lease_until,
    fence = excluded.fence
