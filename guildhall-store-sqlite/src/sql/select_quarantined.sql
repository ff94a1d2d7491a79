SELECT position, event_id, stream_id, event_type, code, reason
FROM quarantined_entries
