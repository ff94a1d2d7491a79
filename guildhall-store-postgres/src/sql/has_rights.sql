-- Whether the role has rights, on a column at least.
-- $1: the schema
-- $2: tables
-- $3: a right on each
SELECT pg_catalog.has_any_column_privilege(relation.oid, wanted.privilege)
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS wanted (relation, privilege, nth)
JOIN pg_catalog.pg_class AS relation
    ON relation.relname = wanted.relation
    AND relation.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
ORDER BY nth
