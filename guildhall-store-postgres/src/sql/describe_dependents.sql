-- What has to be recreated once the copies have the names: triggers, and views that read the tables.
-- $1: the schema
-- $2: the tables
WITH original AS (
    SELECT oid FROM pg_catalog.pg_class
    WHERE relname = ANY ($2)
        AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
)
SELECT pg_catalog.format(
    '%s; ALTER TABLE %s %s TRIGGER %I',
    pg_catalog.pg_get_triggerdef(trigger.oid),
    trigger.tgrelid::regclass,
    CASE trigger.tgenabled
        WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE'
    END,
    trigger.tgname
)
FROM pg_catalog.pg_trigger AS trigger
JOIN original ON original.oid = trigger.tgrelid
WHERE NOT trigger.tgisinternal
UNION ALL
SELECT DISTINCT pg_catalog.format(
    'CREATE OR REPLACE VIEW %s %s AS %s', reader.oid::regclass,
    'WITH (' || pg_catalog.array_to_string(reader.reloptions, ', ') || ')', pg_catalog.pg_get_viewdef(reader.oid)
)
FROM original
JOIN pg_catalog.pg_depend AS needed
    ON needed.refclassid = 'pg_class'::regclass AND needed.refobjid = original.oid
    AND needed.classid = 'pg_rewrite'::regclass
JOIN pg_catalog.pg_rewrite AS rule ON rule.oid = needed.objid
JOIN pg_catalog.pg_class AS reader ON reader.oid = rule.ev_class AND reader.relkind = 'v'
