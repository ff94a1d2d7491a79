-- For a generation that was built with partitions: months are made ahead of time, and retired. The
-- months are without a gap; what is earlier and what is later has a partition each, so that every
-- verification has its place. On tables without partitions both do nothing.

-- Makes the months up to so many after the present one, and answers how many it made. Runs with its
-- owner's rights, so that a role that may only project can be let to call it.
CREATE FUNCTION {schema}.extend_verification_months(months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $guildhall$
DECLARE
    last_month constant timestamptz := date_trunc('month', now()) + make_interval(months => months_ahead);
    next_month timestamptz;
    made integer := 0;
BEGIN
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
-- verification_results_2023_11_retired. Nobody reads it any more: keep it, dump it or drop it. The
-- present month, and those to come, stay: then the answer is null.
CREATE FUNCTION {schema}.retire_verification_month() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $guildhall$
DECLARE
    month timestamptz;
    retired text;
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
    retired := 'verification_results_' || to_char(month, 'YYYY_MM');
    EXECUTE format(
        'ALTER TABLE %1$I.verification_results DETACH PARTITION %1$I.%2$I', {schema_literal}, retired
    );
    ALTER TABLE {schema}.verification_results DETACH PARTITION {schema}.verification_results_earlier;
    EXECUTE format(
        'ALTER TABLE %1$I.verification_results ATTACH PARTITION %1$I.verification_results_earlier '
        'FOR VALUES FROM (MINVALUE) TO (%2$L)',
        {schema_literal}, month + interval '1 month'
    );
    -- A rebuild makes the month anew, by its names, and artifacts that nothing else refers to.
    FOR renamed IN
        SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = to_regclass(format('%I.%I', {schema_literal}, retired))
    LOOP
        EXECUTE format(
            'ALTER INDEX %I.%I RENAME TO %I', {schema_literal}, renamed, left(renamed, 55) || '_retired'
        );
    END LOOP;
    EXECUTE format(
        'ALTER TABLE %1$I.%2$I DROP CONSTRAINT verification_results_artifact; '
        'ALTER TABLE %1$I.%2$I RENAME TO %3$I',
        {schema_literal}, retired, retired || '_retired'
    );
    RETURN retired || '_retired';
END
$guildhall$;

REVOKE ALL ON FUNCTION {schema}.extend_verification_months(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION {schema}.retire_verification_month() FROM PUBLIC;
