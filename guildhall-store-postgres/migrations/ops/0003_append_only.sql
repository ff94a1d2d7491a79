-- The database itself refuses to change or remove a link of a chain, whoever asks. ENABLE ALWAYS
-- holds under session_replication_role = replica, too.

CREATE FUNCTION {schema}.custody_transitions_refuse() RETURNS trigger
LANGUAGE plpgsql AS $guildhall$
BEGIN
    RAISE EXCEPTION 'custody_transitions refuses %: a link stays as it is', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$guildhall$;

CREATE TRIGGER custody_transitions_refuse_change
BEFORE UPDATE OR DELETE ON {schema}.custody_transitions
FOR EACH ROW EXECUTE FUNCTION {schema}.custody_transitions_refuse();

CREATE TRIGGER custody_transitions_refuse_truncate
BEFORE TRUNCATE ON {schema}.custody_transitions
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.custody_transitions_refuse();

ALTER TABLE {schema}.custody_transitions
    ENABLE ALWAYS TRIGGER custody_transitions_refuse_change,
    ENABLE ALWAYS TRIGGER custody_transitions_refuse_truncate;
