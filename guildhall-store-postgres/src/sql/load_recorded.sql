-- The entries that have event ids already. A payload of another length than the new one is not
-- needed to know that it differs, and left out.
-- $1: the event ids
-- $2: how many bytes the new payload of each has
SELECT e.position, e.event_id, e.stream_id, e.version, e.event_type,
    CASE WHEN pg_catalog.octet_length(e.payload) = new.bytes THEN e.payload ELSE '' END,
    e.metadata::text, e.recorded_at
FROM unnest($1::uuid[], $2::bigint[]) AS new (event_id, bytes)
JOIN {schema}.chronicle_entries AS e USING (event_id)
