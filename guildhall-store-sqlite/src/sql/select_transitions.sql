SELECT
    artifact_id, seq, from_state, to_state, cid, actor, reason, ceremony_id, evidence, occurred_at,
    prev_hash, hash, position
FROM custody_transitions
