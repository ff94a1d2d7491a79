-- The roles that share a Guildhall's schema, each with the least that it needs. For psql, as a
-- superuser, or as an owner of the database who may create roles:
--
--     psql -d ops -f roles.sql
--     psql -d ops -v schema=guild_north -v owner=north_owner -v writer=north_writer \
--         -v projector=north_projector -v sealer=north_sealer -v reader=north_reader -f roles.sql
--
-- None of them can log in yet: grant the writer, the projector, the sealer and the reader to roles that
-- can, and let the owner itself log in (ALTER ROLE … LOGIN), as tables belong to the role that made them.
--
-- Run it before the store is first opened, once its tables exist, and again after an upgrade made new
-- ones: it states everything that the five may do in the schema, and changes nothing if that is
-- already so.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?schema}
\else
    \set schema guildhall
\endif
\if :{?owner}
\else
    \set owner guildhall_owner
\endif
\if :{?writer}
\else
    \set writer guildhall_writer
\endif
\if :{?projector}
\else
    \set projector guildhall_projector
\endif
\if :{?sealer}
\else
    \set sealer guildhall_sealer
\endif
\if :{?reader}
\else
    \set reader guildhall_reader
\endif

BEGIN;
SET LOCAL client_min_messages = warning;
-- No other function can stand in for a built-in.
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY[:'owner', :'writer', :'projector', :'sealer', :'reader']) AS role
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = role)
\gexec

-- A role that is not a superuser can hand things only to a role it is a member of.
SELECT format('GRANT %I TO %I', :'owner', current_user)
FROM pg_catalog.pg_roles
WHERE rolname = current_user AND NOT rolsuper AND rolname <> :'owner'
\gexec

-- The owner: opens the store to make its tables and to upgrade them, and rebuilds the Ops DB. It
-- could drop the triggers that protect the log, so no service runs as the owner.
SELECT format('CREATE SCHEMA %I AUTHORIZATION %I', :'schema', :'owner')
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :'schema')
\gexec
ALTER SCHEMA :"schema" OWNER TO :"owner";
SELECT format('ALTER TABLE %I.%I OWNER TO %I', :'schema', relname, :'owner')
FROM pg_catalog.pg_class
WHERE relnamespace = to_regnamespace(quote_ident(:'schema')) AND relkind IN ('r', 'p', 'v')
ORDER BY relispartition
\gexec
SELECT format('ALTER FUNCTION %s OWNER TO %I', oid::regprocedure, :'owner')
FROM pg_catalog.pg_proc
WHERE pronamespace = to_regnamespace(quote_ident(:'schema'))
\gexec

-- Revoke what the others hold, so that what follows is all that they have.
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC, :"writer", :"projector", :"sealer", :"reader";
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM PUBLIC, :"writer", :"projector", :"sealer", :"reader";
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC, :"writer", :"projector", :"sealer", :"reader";
GRANT USAGE ON SCHEMA :"schema" TO :"writer", :"projector", :"sealer", :"reader";

SELECT format('GRANT %s ON %I.%I TO %I', granted.privileges, :'schema', relname, granted.role)
FROM (
    VALUES
        -- The writer: appends to the log, and reads it.
        (:'writer', 'guildhall_migrations', 'SELECT'),
        (:'writer', 'chronicle_entries', 'SELECT, INSERT'),
        (:'writer', 'chronicle_origin', 'SELECT, INSERT'),
        (:'writer', 'chronicle_head', 'SELECT, UPDATE (position)'),
        -- The projector: reads the log and writes the Ops DB.
        (:'projector', 'guildhall_migrations', 'SELECT'),
        (:'projector', 'chronicle_entries', 'SELECT'),
        (:'projector', 'chronicle_origin', 'SELECT'),
        (:'projector', 'chronicle_head', 'SELECT'),
        (:'projector', 'accord_bindings', 'SELECT, INSERT'),
        (:'projector', 'governed_artifacts', 'SELECT, INSERT, UPDATE'),
        (:'projector', 'artifact_revisions', 'SELECT, INSERT'),
        (:'projector', 'custody_transitions', 'SELECT, INSERT'),
        (:'projector', 'deployment_states', 'SELECT, INSERT, UPDATE'),
        (:'projector', 'deployment_changes', 'INSERT'),
        (:'projector', 'verification_results', 'INSERT'),
        (:'projector', 'quarantined_entries', 'INSERT'),
        (:'projector', 'row_counts', 'SELECT, INSERT, UPDATE'),
        (:'projector', 'projector_checkpoints', 'SELECT, INSERT, UPDATE'),
        -- The sealer: reads the log, appends its index and keeps what proves it. It needs the key, too,
        -- which is not in the database.
        (:'sealer', 'guildhall_migrations', 'SELECT'),
        (:'sealer', 'chronicle_entries', 'SELECT, INSERT'),
        (:'sealer', 'chronicle_origin', 'SELECT, INSERT'),
        (:'sealer', 'chronicle_head', 'SELECT, UPDATE (position)'),
        (:'sealer', 'chronicle_seals', 'SELECT, INSERT'),
        (:'sealer', 'chronicle_cosignatures', 'SELECT, INSERT'),
        (:'sealer', 'chronicle_tiles', 'SELECT, INSERT'),
        (:'sealer', 'chronicle_streams', 'SELECT, INSERT, UPDATE'),
        (:'sealer', 'chronicle_sealer', 'SELECT, UPDATE')
) AS granted (role, relation, privileges)
JOIN pg_catalog.pg_class
    ON relname = granted.relation AND relnamespace = to_regnamespace(quote_ident(:'schema'))
\gexec
-- It makes the partitions of months to come, with the owner's rights.
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', oid::regprocedure, :'projector')
FROM pg_catalog.pg_proc
WHERE proname IN ('extend_verification_months', 'extend_change_months') AND pronamespace = to_regnamespace(quote_ident(:'schema'))
\gexec

-- The reader: reads everything.
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO :"reader";

COMMIT;
