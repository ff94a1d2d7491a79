-- Others wait for this transaction to end, so the server does not wait indefinitely for the client.
-- $1: projector
-- $2: how long the client may be silent
SELECT
    projector, position, leaf_hash, origin, generation, history_from, lease_holder, lease_until, fence,
    updated_at, pg_catalog.clock_timestamp(),
    pg_catalog.set_config('idle_in_transaction_session_timeout', $2, true)
FROM {schema}.projector_checkpoints
WHERE projector = $1
FOR UPDATE
