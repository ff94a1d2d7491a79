-- What somebody may create in a schema that everybody may create in: functions and operators that have
-- the names of built-ins and fit a call more closely. Each notes that it was run, so that a transaction
-- that is rolled back does not forget it.
SET search_path = pg_catalog;
CREATE SEQUENCE public.runs;
DO $plant$
DECLARE
    all_types constant text[] := ARRAY[
        'text', 'name', '"char"', 'int2', 'int4', 'int8', 'bool', 'oid', 'uuid', 'bytea', 'jsonb',
        'timestamptz', 'interval', 'float8', 'regclass', 'regprocedure', 'aclitem[]', 'name[]', 'uuid[]',
        'text[]', 'int8[]', 'bytea[]', 'timestamptz[]'];
    some_types constant text[] := ARRAY[
        'text', 'name', '"char"', 'int2', 'int4', 'int8', 'oid', 'uuid', 'jsonb', 'timestamptz', 'text[]',
        'uuid[]'];
    few_types constant text[] := ARRAY['text', 'name', 'int4', 'int8', 'bool'];
    body constant text := $body$
        LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.nextval(''public.runs''); RAISE EXCEPTION ''planted''; END'
    $body$;
    planted record;
BEGIN
    FOR planted IN
        SELECT DISTINCT proname AS name, least(pronargs + (provariadic <> 0)::int, 3) AS arguments
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ({names})
    LOOP
        IF planted.arguments = 1 THEN
            FOR i IN 1 .. cardinality(all_types) LOOP
                EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS text', planted.name, all_types[i]) || body;
            END LOOP;
        ELSIF planted.arguments = 2 THEN
            FOR i IN 1 .. cardinality(some_types) LOOP
                FOR j IN 1 .. cardinality(some_types) LOOP
                    EXECUTE format(
                        'CREATE FUNCTION public.%I(%s, %s) RETURNS text', planted.name, some_types[i], some_types[j]
                    ) || body;
                END LOOP;
            END LOOP;
        ELSIF planted.arguments = 3 THEN
            FOR i IN 1 .. cardinality(few_types) LOOP
                FOR j IN 1 .. cardinality(few_types) LOOP
                    FOR k IN 1 .. cardinality(few_types) LOOP
                        EXECUTE format(
                            'CREATE FUNCTION public.%I(%s, %s, %s) RETURNS text',
                            planted.name, few_types[i], few_types[j], few_types[k]
                        ) || body;
                    END LOOP;
                END LOOP;
            END LOOP;
        END IF;
    END LOOP;

    FOR i IN 1 .. cardinality(some_types) LOOP
        FOR j IN 1 .. cardinality(some_types) LOOP
            EXECUTE format(
                'CREATE FUNCTION public.planted(%s, %s) RETURNS boolean', some_types[i], some_types[j]
            ) || body;
            FOR planted IN
                SELECT name
                FROM unnest(ARRAY['=', '<>', '<', '>', '<=', '>=', '+', '-', '||', '@>', '|', '<<', '~']) AS name
                WHERE NOT EXISTS (
                    SELECT 1 FROM pg_operator
                    WHERE oprname = name AND oprnamespace = 'pg_catalog'::regnamespace
                        AND oprleft = some_types[i]::regtype AND oprright = some_types[j]::regtype
                )
            LOOP
                EXECUTE format(
                    'CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.planted)',
                    planted.name, some_types[i], some_types[j]
                );
            END LOOP;
        END LOOP;
    END LOOP;
END
$plant$;
