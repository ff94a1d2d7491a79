-- The months of deployment_changes, for a generation that was built with partitions. None is retired: as of
-- any later time, a target that changed no more is what it became then.

-- Makes the months up to so many after the present one, 120 at most, and answers how many it made.
-- Runs with its owner's rights, so that a role that may only project can be let to call it.
CREATE FUNCTION {schema}.extend_change_months(months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s'
SET standard_conforming_strings = on
AS $guildhall$
DECLARE
    last_month constant timestamptz := date_trunc('month', now()) + make_interval(months => months_ahead);
    next_month timestamptz;
    part text;
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
        WHERE oid = to_regclass(format('%I.deployment_changes_later', {schema_literal}))
            AND relispartition;
        IF next_month IS NULL OR next_month > last_month THEN
            RETURN 0;
        END IF;
        IF attempt = 1 THEN
            LOCK TABLE {schema}.deployment_changes IN ACCESS EXCLUSIVE MODE;
        END IF;
    END LOOP;

    -- What is detached has no longer the trigger that refuses to remove rows.
    ALTER TABLE {schema}.deployment_changes DETACH PARTITION {schema}.deployment_changes_later;
    WHILE next_month <= last_month LOOP
        part := 'deployment_changes_' || to_char(next_month, 'YYYY_MM');
        EXECUTE format(
            'CREATE TABLE %1$I.%2$I PARTITION OF %1$I.deployment_changes FOR VALUES FROM (%3$L) TO (%4$L); '
            'CREATE TRIGGER deployment_changes_refuse_truncate BEFORE TRUNCATE ON %1$I.%2$I '
            'FOR EACH STATEMENT EXECUTE FUNCTION %1$I.deployment_changes_refuse(); '
            'ALTER TABLE %1$I.%2$I ENABLE ALWAYS TRIGGER deployment_changes_refuse_truncate, '
            'ENABLE ALWAYS TRIGGER deployment_changes_refuse_change',
            {schema_literal}, part, next_month, next_month + interval '1 month'
        );
        next_month := next_month + interval '1 month';
        made := made + 1;
    END LOOP;
    WITH moved AS (
        DELETE FROM {schema}.deployment_changes_later WHERE observed_at < next_month RETURNING *
    )
    INSERT INTO {schema}.deployment_changes SELECT * FROM moved;
    EXECUTE format(
        'ALTER TABLE %1$I.deployment_changes ATTACH PARTITION %1$I.deployment_changes_later '
        'FOR VALUES FROM (%2$L) TO (MAXVALUE); '
        'ALTER TABLE %1$I.deployment_changes_later ENABLE ALWAYS TRIGGER deployment_changes_refuse_change',
        {schema_literal}, next_month
    );
    RETURN made;
END
$guildhall$;

REVOKE ALL ON FUNCTION {schema}.extend_change_months(integer) FROM PUBLIC;
