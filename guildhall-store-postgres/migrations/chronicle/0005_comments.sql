-- What the tables and columns of the log hold, where psql (\d+) and other tools show it.

COMMENT ON TABLE {schema}.chronicle_entries IS
    'The Chronicle: the append-only, totally ordered log of everything that was decided or observed.';
COMMENT ON COLUMN {schema}.chronicle_entries.position IS
    'Where the entry stands in the log: 1, 2, 3 … without a gap.';
COMMENT ON COLUMN {schema}.chronicle_entries.event_id IS 'The id of the event; no other entry has it.';
COMMENT ON COLUMN {schema}.chronicle_entries.stream_id IS 'The artifact or accord that it belongs to.';
COMMENT ON COLUMN {schema}.chronicle_entries.version IS 'Where it stands in its stream: 1, 2, 3 …';
COMMENT ON COLUMN {schema}.chronicle_entries.event_type IS
    'Its type, such as dev.guildhouse.chronicle.custody.transitioned.v1.';
COMMENT ON COLUMN {schema}.chronicle_entries.payload IS
    'Its data as canonical JSON (RFC 8785), byte for byte as it is hashed.';
COMMENT ON COLUMN {schema}.chronicle_entries.metadata IS
    'What ties it to its cause: correlationid, causationid, traceparent.';
COMMENT ON COLUMN {schema}.chronicle_entries.recorded_at IS 'When it was recorded.';
COMMENT ON COLUMN {schema}.chronicle_entries.leaf_hash IS
    'SHA-256 that commits to the entry, 32 bytes: its leaf in the Merkle tree over the log (RFC 6962).';

COMMENT ON TABLE {schema}.chronicle_head IS
    'The last position of the log. Appends lock this one row in turn.';
COMMENT ON COLUMN {schema}.chronicle_head.id IS 'Always 1.';
COMMENT ON COLUMN {schema}.chronicle_head.position IS 'The last position; 0 while there is no entry.';

COMMENT ON TABLE {schema}.chronicle_origin IS
    'What names this Chronicle, for ever.';
COMMENT ON COLUMN {schema}.chronicle_origin.id IS 'Always 1.';
COMMENT ON COLUMN {schema}.chronicle_origin.origin IS 'The name; part of every leaf hash.';

COMMENT ON TABLE {schema}.guildhall_migrations IS
    'What made these tables: the migrations that have run.';
COMMENT ON COLUMN {schema}.guildhall_migrations.family IS 'chronicle or ops.';
COMMENT ON COLUMN {schema}.guildhall_migrations.number IS '1, 2, 3 …';
COMMENT ON COLUMN {schema}.guildhall_migrations.name IS 'What it does.';
COMMENT ON COLUMN {schema}.guildhall_migrations.applied_at IS 'When it ran.';
