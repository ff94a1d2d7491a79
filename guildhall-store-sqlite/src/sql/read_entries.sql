SELECT position, event_id, stream_id, version, event_type, payload, metadata, recorded_at, leaf_hash
FROM chronicle_entries
WHERE position > ?1
ORDER BY position
LIMIT ?2
