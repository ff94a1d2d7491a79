-- $1: artifacts
-- $2: their states
-- $3: their newest links
-- $4: the entries that wrote last
UPDATE {schema}.governed_artifacts{next} AS artifact
SET custody_state = moved.state, custody_seq = moved.seq, position = moved.position
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) AS moved (id, state, seq, position)
WHERE artifact.id = moved.id
