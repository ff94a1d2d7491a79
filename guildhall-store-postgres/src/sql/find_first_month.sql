-- $1: the schema. From when on the live verifications are, as an SQL literal; no row where they have no
-- partitions. What is earlier may have been retired.
SELECT pg_catalog.quote_literal(
    pg_catalog.substring(pg_catalog.pg_get_expr(relpartbound, oid), 'TO \(''([^'']+)''\)')
)
FROM pg_catalog.pg_class
WHERE relname = 'verification_results_earlier' AND relispartition
    AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
