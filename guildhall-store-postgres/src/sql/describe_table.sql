-- The statements that make an empty copy of a table, without its keys, indexes, foreign keys and
-- triggers, for the same owner, with the same rights and under the same comment.
-- $1: the schema
-- $2: the table
-- $3: what the copy's name ends with
-- $4: how it is divided into partitions, or null
WITH original AS (
    SELECT relation.*, pg_catalog.format('%I.%I', $1, relname || $3) AS copy
    FROM pg_catalog.pg_class AS relation
    WHERE relname = $2
        AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
)
SELECT pg_catalog.format(
    'CREATE TABLE %s (LIKE %I.%I INCLUDING ALL EXCLUDING INDEXES) %s', copy, $1, $2,
    coalesce($4, 'WITH (' || pg_catalog.array_to_string(reloptions, ', ') || ')')
)
FROM original
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %s OWNER TO %I', copy, pg_catalog.pg_get_userbyid(relowner))
FROM original
WHERE pg_catalog.pg_get_userbyid(relowner) <> current_user
UNION ALL
SELECT pg_catalog.format(
    'GRANT %s ON %s TO %s%s', given.privilege_type, copy,
    CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(given.grantee)) END,
    CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' END
)
FROM original, pg_catalog.aclexplode(relacl) AS given
WHERE given.grantee <> relowner
UNION ALL
SELECT pg_catalog.format('COMMENT ON TABLE %s IS %L', copy, pg_catalog.obj_description(oid, 'pg_class'))
FROM original
WHERE pg_catalog.obj_description(oid, 'pg_class') IS NOT NULL
