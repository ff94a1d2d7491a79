-- Moves the checkpoint of a projector, if its row is as the projector left it: nobody else wrote since.
-- Whoever has the row locked is not waited for. As in a projector's transactions, the commit does not
-- wait for the disk.
-- $1: projector
-- $2: its position
-- $3: generation
-- $4: fence
-- $5: who holds the lease
-- $6: the position that it comes to
-- $7: the leaf hash there
-- $8: origin
-- $9: until when it holds the lease
WITH mine AS (
    SELECT projector FROM {schema}.projector_checkpoints
    WHERE projector = $1 AND position = $2 AND generation = $3 AND fence = $4 AND lease_holder = $5
    FOR UPDATE NOWAIT
), turn AS (
    UPDATE {schema}.projector_checkpoints AS stands SET
        position = $6,
        leaf_hash = $7,
        origin = $8,
        lease_until = $9,
        updated_at = pg_catalog.clock_timestamp()
    FROM mine
    WHERE stands.projector = mine.projector
    RETURNING pg_catalog.set_config('synchronous_commit', 'off', true)
)
