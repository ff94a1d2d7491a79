-- $1: projector
-- $2: position
-- $3: leaf hash
-- $4: origin
-- $5: generation
-- $6: who holds the lease
-- $7: until when
-- $8: fence
-- $9: from where on the tables have their history
UPDATE {schema}.projector_checkpoints SET
    position = $2,
    leaf_hash = $3,
    origin = $4,
    updated_at = pg_catalog.clock_timestamp(),
    generation = $5,
    lease_holder = $6,
    lease_until = $7,
    fence = $8,
    history_from = $9
WHERE projector = $1
