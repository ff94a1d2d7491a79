SELECT position, event_id, stream_id, version, event_type, payload, metadata, recorded_at, leaf_hash
FROM chronicle_entries
WHERE stream_id = ?1 AND version > ?2
ORDER BY version
LIMIT ?3
