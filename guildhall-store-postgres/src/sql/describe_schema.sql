-- What the schema has of what migrations make: kind, table, name, how it is, and a function's body.
-- Names of generations and partitions do not come into it.
-- $1: the schema
-- $2: the tables, and views
WITH ours AS (
    SELECT oid, relname, relkind, relrowsecurity FROM pg_catalog.pg_class
    WHERE relname = ANY ($2) AND relkind IN ('r', 'p', 'v')
        AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
)
SELECT
    CASE ours.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind, ours.relname::text AS home, ours.relname::text AS name,
    CASE
        -- Its definition, without what is a matter of printing.
        WHEN ours.relkind = 'v' THEN pg_catalog.translate(pg_catalog.regexp_replace(
            pg_catalog.replace(
                pg_catalog.pg_get_viewdef(ours.oid),
                pg_catalog.concat(pg_catalog.quote_ident($1::text), '.'), ''
            ), '[[:space:]]', '', 'g'
        ), '()"', '')
        WHEN ours.relrowsecurity
            AND ours.relname IN ('chronicle_entries', 'chronicle_head', 'chronicle_origin')
        THEN 'with row security'
        ELSE 'plain'
    END AS how,
    NULL::text AS body
FROM ours
UNION ALL
SELECT
    'column', ours.relname::text, held.attname::text,
    pg_catalog.format_type(held.atttypid, held.atttypmod)
        || CASE WHEN held.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN collated.collname = 'C' THEN ' C' ELSE '' END,
    NULL
FROM ours
JOIN pg_catalog.pg_attribute AS held
    ON held.attrelid = ours.oid AND held.attnum > 0 AND NOT held.attisdropped
LEFT JOIN pg_catalog.pg_collation AS collated ON collated.oid = held.attcollation
UNION ALL
SELECT
    'constraint', ours.relname::text, held.conname::text,
    held.contype::text || CASE WHEN held.convalidated THEN ' ' ELSE ' not valid ' END
    -- With partitions, the column that divides the table is part of the key.
    || CASE WHEN held.conname = 'verification_results_key' THEN '' ELSE pg_catalog.array_to_string(ARRAY(
        SELECT part.attname::text
        FROM pg_catalog.unnest(held.conkey) WITH ORDINALITY AS key (number, nth)
        JOIN pg_catalog.pg_attribute AS part ON part.attrelid = ours.oid AND part.attnum = key.number
        ORDER BY nth
    ), ', '::text) END,
    NULL
FROM ours
JOIN pg_catalog.pg_constraint AS held
    ON held.conrelid = ours.oid AND held.contype IN ('c', 'p', 'u', 'f')
UNION ALL
SELECT
    'index', ours.relname::text, named.relname::text,
    method.amname::text || ' ' || held.indkey::text
        || CASE WHEN held.indisunique THEN ' unique' ELSE '' END
        || CASE WHEN held.indpred IS NULL THEN '' ELSE ' partial' END
        || CASE WHEN held.indisvalid THEN '' ELSE ' invalid' END,
    NULL
FROM ours
JOIN pg_catalog.pg_index AS held ON held.indrelid = ours.oid
JOIN pg_catalog.pg_class AS named ON named.oid = held.indexrelid
JOIN pg_catalog.pg_am AS method ON method.oid = named.relam
WHERE NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_constraint AS made
    WHERE made.conindid = held.indexrelid AND made.contype IN ('p', 'u')
)
UNION ALL
SELECT
    'trigger', ours.relname::text, held.tgname::text,
    CASE held.tgenabled
        WHEN 'A' THEN 'enabled always' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled for replicas alone'
        ELSE 'enabled, but not for replicas' END
    || ' ' || held.tgtype::text || ' ' || run.proname::text,
    NULL
FROM ours
JOIN pg_catalog.pg_trigger AS held ON held.tgrelid = ours.oid AND NOT held.tgisinternal
JOIN pg_catalog.pg_proc AS run ON run.oid = held.tgfoid
UNION ALL
-- Partitions inherit the one, for as long as nobody disables it, and not the other.
SELECT
    'part', part.relname::text, needed.name,
    coalesce((
        SELECT CASE held.tgenabled WHEN 'A' THEN 'enabled always' ELSE 'not enabled always' END
        FROM pg_catalog.pg_trigger AS held
        WHERE held.tgrelid = part.oid AND held.tgname::text = needed.name
    ), ''),
    NULL
FROM ours
JOIN pg_catalog.pg_inherits AS inherits ON inherits.inhparent = ours.oid
JOIN pg_catalog.pg_class AS part ON part.oid = inherits.inhrelid
CROSS JOIN LATERAL (
    VALUES
        (pg_catalog.concat(ours.relname, '_refuse_change')),
        (pg_catalog.concat(ours.relname, '_refuse_truncate'))
) AS needed (name)
WHERE ours.relname IN ('custody_transitions', 'deployment_changes')
UNION ALL
SELECT 'rule', ours.relname::text, held.rulename::text, '', NULL
FROM ours
JOIN pg_catalog.pg_rewrite AS held ON held.ev_class = ours.oid
-- A view is one.
WHERE ours.relkind <> 'v'
UNION ALL
SELECT
    'function', '', held.proname::text,
    pg_catalog.pg_get_function_identity_arguments(held.oid)
        || CASE WHEN held.prosecdef THEN ' security definer ' ELSE ' ' END
        || coalesce(pg_catalog.array_to_string(held.proconfig, '; '::text), ''),
    held.prosrc
FROM pg_catalog.pg_proc AS held
WHERE held.pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
