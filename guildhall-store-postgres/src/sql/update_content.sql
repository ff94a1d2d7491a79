-- $1: artifacts
-- $2: the CIDs of their contents
-- $3: the contents
-- $4: the schemas that they follow
-- $5: when they were revised
-- $6: the entries that wrote last
UPDATE {schema}.governed_artifacts{next} AS artifact
SET
    cid = revised.cid,
    content = revised.content::jsonb,
    content_schema = revised.content_schema,
    revised_at = revised.revised_at,
    position = revised.position
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[])
    AS revised (id, cid, content, content_schema, revised_at, position)
WHERE artifact.id = revised.id
