-- For tables with partitions: whoever makes or retires months waits for others no longer than they can
-- wait behind it; months are made for ten years at most; and a month that was retired before, and is
-- still there, is in nobody's way.

-- Makes the months up to so many after the present one, 120 at most, and answers how many it made.
-- Runs with its owner's rights, so that a role that may only project can be let to call it.
CREATE OR REPLACE FUNCTION {schema}.extend_verification_months(months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s'
AS $guildhall$
DECLARE
    last_month constant timestamptz := date_trunc('month', now()) + make_interval(months => months_ahead);
    next_month timestamptz;
    made integer := 0;
BEGIN
    IF months_ahead > 120 THEN
        RAISE EXCEPTION '% months ahead are more than 120', months_ahead
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Looked at without a lock first: most often there is nothing to do.
    FOR attempt IN 1 .. 2 LOOP
        SELECT substring(pg_get_expr(relpartbound, oid) FROM 'FROM \(''([^'']+)''\)')
        INTO next_month
        FROM pg_class
        WHERE oid = to_regclass(format('%I.verification_results_later', {schema_literal}))
            AND relispartition;
        IF next_month IS NULL OR next_month > last_month THEN
            RETURN 0;
        END IF;
        IF attempt = 1 THEN
            LOCK TABLE {schema}.verification_results IN ACCESS EXCLUSIVE MODE;
        END IF;
    END LOOP;

    ALTER TABLE {schema}.verification_results DETACH PARTITION {schema}.verification_results_later;
    WHILE next_month <= last_month LOOP
        EXECUTE format(
            'CREATE TABLE %1$I.%2$I PARTITION OF %1$I.verification_results FOR VALUES FROM (%3$L) TO (%4$L)',
            {schema_literal}, 'verification_results_' || to_char(next_month, 'YYYY_MM'),
            next_month, next_month + interval '1 month'
        );
        next_month := next_month + interval '1 month';
        made := made + 1;
    END LOOP;
    WITH moved AS (
        DELETE FROM {schema}.verification_results_later WHERE verified_at < next_month RETURNING *
    )
    INSERT INTO {schema}.verification_results SELECT * FROM moved;
    EXECUTE format(
        'ALTER TABLE %1$I.verification_results ATTACH PARTITION %1$I.verification_results_later '
        'FOR VALUES FROM (%2$L) TO (MAXVALUE)',
        {schema_literal}, next_month
    );
    RETURN made;
END
$guildhall$;

-- Takes the oldest month out and answers the name that its table has from then on, such as
-- verification_results_2023_11_retired, or …_retired_2 where that is taken. Nobody reads it any more:
-- keep it, dump it or drop it. The present month, and those to come, stay: then the answer is null.
CREATE OR REPLACE FUNCTION {schema}.retire_verification_month() RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $guildhall$
DECLARE
    month timestamptz;
    name_of_month text;
    retired regclass;
    ending text := '_retired';
    times integer := 1;
    renamed name;
BEGIN
    SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''([^'']+)''\)')
    INTO month
    FROM pg_class
    WHERE oid = to_regclass(format('%I.verification_results_earlier', {schema_literal}))
        AND relispartition;
    IF month IS NULL OR month >= date_trunc('month', now()) THEN
        RETURN NULL;
    END IF;
    name_of_month := 'verification_results_' || to_char(month, 'YYYY_MM');
    retired := format('%I.%I', {schema_literal}, name_of_month)::regclass;
    -- A rebuild brought the month back, and what was retired the last time is still there.
    WHILE EXISTS (
        SELECT 1
        FROM pg_class AS mine
        JOIN pg_class AS other
            ON other.relnamespace = mine.relnamespace
            AND other.relname = left(mine.relname, 63 - length(ending)) || ending
        WHERE mine.oid = retired OR mine.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = retired)
    ) LOOP
        times := times + 1;
        ending := '_retired_' || times;
    END LOOP;
    EXECUTE format(
        'ALTER TABLE %1$I.verification_results DETACH PARTITION %2$s', {schema_literal}, retired
    );
    ALTER TABLE {schema}.verification_results DETACH PARTITION {schema}.verification_results_earlier;
    EXECUTE format(
        'ALTER TABLE %1$I.verification_results ATTACH PARTITION %1$I.verification_results_earlier '
        'FOR VALUES FROM (MINVALUE) TO (%2$L)',
        {schema_literal}, month + interval '1 month'
    );
    -- A rebuild makes the month anew, by its names, and artifacts that nothing else refers to.
    FOR renamed IN
        SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = retired
    LOOP
        EXECUTE format(
            'ALTER INDEX %I.%I RENAME TO %I',
            {schema_literal}, renamed, left(renamed, 63 - length(ending)) || ending
        );
    END LOOP;
    EXECUTE format(
        'ALTER TABLE %1$s DROP CONSTRAINT verification_results_artifact; ALTER TABLE %1$s RENAME TO %2$I',
        retired, name_of_month || ending
    );
    RETURN name_of_month || ending;
END
$guildhall$;
