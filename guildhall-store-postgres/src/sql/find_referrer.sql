-- What refers to one of our tables and cannot be made anew for the next generation: a foreign key of
-- somebody else's table, a materialized view, a function whose body is parsed. It would refer to the old
-- one, or keep it from being dropped.
-- $1: the schema
-- $2: the tables
WITH ours AS (
    SELECT oid, reltype, relname, relnamespace FROM pg_catalog.pg_class
    WHERE relname = ANY ($2)
        AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
)
SELECT pg_catalog.format('a foreign key of %s', key.conrelid::regclass), ours.oid::regclass::text
FROM ours
JOIN pg_catalog.pg_constraint AS key ON key.confrelid = ours.oid
WHERE key.contype = 'f'
    AND key.conparentid = 0
    AND NOT EXISTS (SELECT 1 FROM ours AS referring WHERE referring.oid = key.conrelid)
UNION ALL
SELECT pg_catalog.format('the materialized view %s', reader.oid::regclass), ours.oid::regclass::text
FROM ours
JOIN pg_catalog.pg_depend AS needed
    ON needed.refclassid = 'pg_class'::regclass AND needed.refobjid = ours.oid
    AND needed.classid = 'pg_rewrite'::regclass
JOIN pg_catalog.pg_rewrite AS rule ON rule.oid = needed.objid
JOIN pg_catalog.pg_class AS reader ON reader.oid = rule.ev_class AND reader.relkind = 'm'
UNION ALL
SELECT pg_catalog.format('the function %s', needed.objid::regprocedure), ours.oid::regclass::text
FROM ours
JOIN pg_catalog.pg_depend AS needed
    ON (needed.refclassid = 'pg_class'::regclass AND needed.refobjid = ours.oid)
    OR (needed.refclassid = 'pg_type'::regclass AND needed.refobjid = ours.reltype)
WHERE needed.classid = 'pg_proc'::regclass
LIMIT 1
