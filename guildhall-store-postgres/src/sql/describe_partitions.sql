-- The statements that give partitions the owner, and them and their indexes the names, of what they are
-- parts of, and the parts of the append-only tables the trigger that no partition inherits.
-- $1: the schema
-- $2: the tables
-- $3: what the partitions' names have in the middle until now
WITH parent AS (
    SELECT oid, relname, relowner FROM pg_catalog.pg_class
    WHERE relname = ANY ($2)
        AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
),
part AS (
    SELECT
        child.oid,
        child.relname,
        CASE WHEN child.relowner <> parent.relowner THEN parent.relowner END AS owner,
        parent.oid AS parent,
        parent.relname AS whole,
        -- After the table's name and what it had until now.
        pg_catalog.substr(child.relname, 1 + pg_catalog.length(parent.relname || $3)) AS ending
    FROM parent
    JOIN pg_catalog.pg_inherits AS inherits ON inherits.inhparent = parent.oid
    JOIN pg_catalog.pg_class AS child ON child.oid = inherits.inhrelid
)
SELECT pg_catalog.format('ALTER INDEX %I.%I RENAME TO %I', $1, of_part.relname, of_whole.relname || ending)
FROM part
JOIN pg_catalog.pg_index AS described ON described.indrelid = part.oid
JOIN pg_catalog.pg_class AS of_part ON of_part.oid = described.indexrelid
JOIN pg_catalog.pg_inherits AS inherits ON inherits.inhrelid = of_part.oid
JOIN pg_catalog.pg_class AS of_whole ON of_whole.oid = inherits.inhparent
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %I.%I RENAME TO %I', $1, relname, whole || ending)
FROM part
UNION ALL
SELECT pg_catalog.format(
    'CREATE TRIGGER %3$I BEFORE TRUNCATE ON %1$I.%2$I FOR EACH STATEMENT EXECUTE FUNCTION %1$I.%5$I(); '
    'ALTER TABLE %1$I.%2$I ENABLE ALWAYS TRIGGER %3$I, ENABLE ALWAYS TRIGGER %4$I',
    $1, whole || ending, whole || '_refuse_truncate', whole || '_refuse_change', whole || '_refuse'
)
FROM part
WHERE whole IN ('custody_transitions', 'deployment_changes')
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %I.%I OWNER TO %I', $1, whole || ending, pg_catalog.pg_get_userbyid(owner))
FROM part
WHERE owner IS NOT NULL
