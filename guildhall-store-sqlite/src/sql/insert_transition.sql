INSERT INTO custody_transitions (
    artifact_id, seq, from_state, to_state, cid, actor, reason, ceremony_id, evidence, occurred_at,
    prev_hash, hash, position
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
