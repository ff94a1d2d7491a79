INSERT INTO governed_artifacts (
    id, accord_binding_id, name, artifact_type, tier, cid, content, content_schema,
    custody_state, custody_seq, registered_at, revised_at, position
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
