-- OR FAIL: a row that is refused has changed nothing, so there is nothing to keep for undoing it.
INSERT OR FAIL INTO chronicle_entries (
    position,    -- ?1
    event_id,    -- ?2
    stream_id,   -- ?3
    version,     -- ?4
    event_type,  -- ?5
    payload,     -- ?6
    metadata,    -- ?7
    recorded_at, -- ?8
    leaf_hash    -- ?9
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
