//! A schema that somebody changed is named piece by piece when it is opened; so are rows that somebody
//! wrote.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod projecting;
mod read_tables;
mod server;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use guildhall_core::{
    ApplyError, ArtifactQuery, Batch, Chronicle, Disagreement, OpsDb, Position, Projector,
    ReadLimit, VerificationQuery,
};
use guildhall_projector::{Settings as RuntimeSettings, catch_up, rebuild};
use guildhall_store_postgres::{
    OpenError, Partitions, PostgresOptions, PostgresStore, SchemaFault,
};
use projecting::{append_all, log};
use server::{Database, Server, Settings, execute};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};

/// What is told when the file is no longer right.
const EXPECTED: &str = "src/schema/expected.txt";

#[tokio::test]
async fn the_expected_schema_is_what_the_migrations_make() {
    let database = Database::create();
    PostgresStore::open(database.url()).await.map(drop).unwrap_or_else(|error| {
        // What is to be compared is there all the same.
        assert!(matches!(error, OpenError::AlteredSchema { .. }), "{error:?}");
    });
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'guildhall'::regnamespace AND relkind IN ('r', 'v')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let rows = sqlx::query(include_str!("../src/sql/describe_schema.sql"))
        .bind("guildhall")
        .bind(tables)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let line = |row: &PgRow| {
        let fields: Vec<String> = (0..4).map(|nth| row.get(nth)).collect();
        fields.join("\t") + "\n"
    };
    let mut made: Vec<String> = rows.iter().map(line).collect();
    made.sort();
    let made = made.concat();
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join(EXPECTED);
    if fs::read_to_string(expected).unwrap() != made {
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("expected.txt");
        fs::write(&written, made).unwrap();
        panic!("migrations make what is in {}: it belongs in {EXPECTED}", written.display());
    }
}

async fn faults(url: &str) -> Vec<String> {
    match PostgresStore::open(url).await {
        Ok(_) => Vec::new(),
        Err(OpenError::AlteredSchema { schema, faults }) => {
            assert_eq!(schema, "guildhall");
            faults.iter().map(ToString::to_string).collect()
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_somebody_changed_is_named_at_opening() {
    for (change, named) in [
        (
            "DROP TRIGGER chronicle_entries_refuse_change ON guildhall.chronicle_entries",
            "trigger chronicle_entries_refuse_change of chronicle_entries is missing",
        ),
        (
            "ALTER TABLE guildhall.custody_transitions DISABLE TRIGGER custody_transitions_refuse_truncate",
            "trigger custody_transitions_refuse_truncate of custody_transitions is disabled ",
        ),
        (
            "ALTER TABLE guildhall.chronicle_head ENABLE TRIGGER chronicle_head_moved",
            "trigger chronicle_head_moved of chronicle_head is enabled, but not for replicas ",
        ),
        (
            "CREATE TRIGGER mine BEFORE INSERT ON guildhall.chronicle_entries
             FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "trigger mine on chronicle_entries is not Guildhall's",
        ),
        (
            "CREATE RULE nothing AS ON INSERT TO guildhall.quarantined_entries DO INSTEAD NOTHING",
            "rule nothing on quarantined_entries is not Guildhall's",
        ),
        (
            "CREATE OR REPLACE FUNCTION guildhall.chronicle_refuse() RETURNS trigger LANGUAGE plpgsql
             SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NEW; END'",
            "function chronicle_refuse is another, not the migrations'",
        ),
        (
            "ALTER FUNCTION guildhall.chronicle_head_moved() RESET search_path",
            "function chronicle_head_moved is ",
        ),
        ("DROP TABLE guildhall.quarantined_entries", "table quarantined_entries is missing"),
        ("DROP VIEW guildhall.artifact_drift", "view artifact_drift is missing"),
        (
            "DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW guildhall.artifact_drift AS ' || pg_catalog.replace(
                pg_catalog.pg_get_viewdef('guildhall.artifact_drift'::regclass), 'drifted', 'well'
             ); END $$",
            "view artifact_drift is another, not the migrations'",
        ),
        (
            "ALTER TABLE guildhall.deployment_states DROP COLUMN detail",
            "column detail of deployment_states is missing",
        ),
        (
            "ALTER TABLE guildhall.quarantined_entries ALTER COLUMN reason TYPE varchar(80)",
            "column reason of quarantined_entries is character varying(80) not null, not text not null",
        ),
        (
            "ALTER TABLE guildhall.chronicle_entries DROP CONSTRAINT chronicle_entries_event_id_key",
            "constraint chronicle_entries_event_id_key of chronicle_entries is missing",
        ),
        (
            "ALTER TABLE guildhall.custody_transitions DROP CONSTRAINT custody_transitions_artifact",
            "constraint custody_transitions_artifact of custody_transitions is missing",
        ),
        (
            "DROP INDEX guildhall.governed_artifacts_by_name",
            "index governed_artifacts_by_name of governed_artifacts is missing",
        ),
        (
            "ALTER TABLE guildhall.chronicle_entries ENABLE ROW LEVEL SECURITY",
            "table chronicle_entries is with row security, not plain",
        ),
    ] {
        let database = Database::create();
        assert_eq!(faults(database.url()).await, [""; 0]);
        execute(database.url(), change);
        let found = faults(database.url()).await;
        assert!(found.len() == 1 && found[0].starts_with(named), "{change}: {found:?}");
    }
}

/// What an embedder may add, and every shape that a rebuild gives the tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_added_and_rebuilt_is_not_in_the_way() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append_all(&*chronicle, &log(100)).await;
    execute(
        database.url(),
        "CREATE TABLE guildhall.notes (about uuid);
         CREATE INDEX mine ON guildhall.governed_artifacts (registered_at);
         CREATE VIEW guildhall.names AS SELECT name FROM guildhall.governed_artifacts;
         CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER mine AFTER INSERT ON guildhall.governed_artifacts
             FOR EACH ROW EXECUTE FUNCTION public.note()",
    );
    assert_eq!(faults(database.url()).await, [""; 0]);
    for partitions in [Partitions::Off, Partitions::On, Partitions::AsLive, Partitions::Off] {
        let builder = store.projector().partitions(partitions).start().unwrap();
        rebuild(chronicle.clone(), &builder, &RuntimeSettings::default(), |_| {}).await.unwrap();
        builder.release_lease().await.unwrap();
        assert_eq!(faults(database.url()).await, [""; 0]);
        if partitions == Partitions::AsLive {
            execute(database.url(), "SELECT guildhall.retire_verification_month()");
            assert_eq!(faults(database.url()).await, [""; 0]);
            let part = "guildhall.custody_transitions_3";
            let trigger = "TRIGGER custody_transitions_refuse_truncate";
            execute(database.url(), &format!("ALTER TABLE {part} DISABLE {trigger}"));
            let found = faults(database.url()).await;
            assert!(
                found.len() == 1
                    && found[0].contains("custody_transitions_3 is not enabled always"),
                "{found:?}"
            );
            execute(database.url(), &format!("ALTER TABLE {part} ENABLE ALWAYS {trigger}"));
        }
    }
}

#[tokio::test]
async fn a_right_that_was_taken_away_is_named_at_opening() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    PostgresStore::open(database.url()).await.unwrap();
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/roles.sql"));
    server.psql(database.url(), &[], script).unwrap();
    for (role, right, table, name) in [
        ("writer", "UPDATE (position)", "chronicle_head", "UPDATE"),
        ("writer", "INSERT", "chronicle_origin", "INSERT"),
        ("projector", "UPDATE", "deployment_states", "UPDATE"),
        ("projector", "SELECT", "chronicle_entries", "SELECT"),
        ("reader", "SELECT", "chronicle_origin", "SELECT"),
    ] {
        let login = format!("as_{role}_of_{table}");
        execute(database.url(), &format!("CREATE ROLE {login} LOGIN IN ROLE guildhall_{role}"));
        let url = database.url().replace("user=guildhall", &format!("user={login}"));
        PostgresStore::open(&url).await.unwrap();
        let change = |how: &str, to: &str| {
            execute(
                database.url(),
                &format!("{how} {right} ON guildhall.{table} {to} guildhall_{role}"),
            );
        };
        change("REVOKE", "FROM");
        match PostgresStore::open(&url).await {
            Err(OpenError::AlteredSchema { faults, .. }) => {
                let (right, table) = (name.to_owned(), table.to_owned());
                assert_eq!(faults, [SchemaFault::Right { right, table }]);
            }
            other => panic!("{role}: {other:?}"),
        }
        change("GRANT", "TO");
    }
}

/// The Ops DB, projected, of a log of so many entries.
async fn projected(database: &Database, entries: usize) -> PostgresStore {
    let store = PostgresStore::open_with(PostgresOptions::at(database.url())).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append_all(&*chronicle, &log(entries)).await;
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(chronicle, projector.clone(), &RuntimeSettings::default(), |_| {}).await.unwrap();
    projector.release_lease().await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_somebody_wrote_is_named_with_table_column_and_position() {
    let database = Database::create();
    let store = projected(&database, 200).await;
    let said = |error: guildhall_core::StoreError, named: &str| {
        let source = error.source.to_string();
        assert!(!error.is_transient() && source.contains(named), "{source}");
        assert!(source.contains(" at position "), "{source}");
    };
    execute(database.url(), "UPDATE guildhall.governed_artifacts SET cid = 'nonsense'");
    let ops_db = store.ops_db();
    let error = ops_db.artifacts(&ArtifactQuery::default()).await.unwrap_err();
    said(error, "cid");
    execute(database.url(), "UPDATE guildhall.verification_results SET position = -1");
    let error = ops_db.verifications(&VerificationQuery::default()).await.unwrap_err();
    said(error, "verification_results.position");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_was_set_back_or_deleted_is_named_as_what_it_is() {
    for change in [
        "UPDATE guildhall.projector_checkpoints SET position = 150, leaf_hash =
            (SELECT leaf_hash FROM guildhall.chronicle_entries WHERE position = 150)",
        "DELETE FROM guildhall.projector_checkpoints",
    ] {
        let database = Database::create();
        let store = projected(&database, 300).await;
        execute(database.url(), change);
        let projector = store.projector().start().unwrap();
        let at = projector.checkpoint().await.unwrap().position;
        let chronicle = store.chronicle();
        let entries = chronicle.read(at, ReadLimit::entries(300)).await.unwrap();
        let origin = chronicle.origin().await.unwrap().unwrap();
        let error = projector.apply(Batch::decode(origin, entries).unwrap()).await.unwrap_err();
        assert!(matches!(error, ApplyError::Disagrees { .. }), "{error:?}");
        assert!(!error.is_transient());
    }
    // Where only a verification comes again, no head tells.
    let database = Database::create();
    let store = projected(&database, 300).await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let last: i64 = sqlx::query_scalar("SELECT max(position) FROM guildhall.verification_results")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    execute(
        database.url(),
        &format!(
            "UPDATE guildhall.projector_checkpoints SET position = {before}, leaf_hash =
                (SELECT leaf_hash FROM guildhall.chronicle_entries WHERE position = {before})",
            before = last - 1
        ),
    );
    let chronicle = store.chronicle();
    let at = Position::from_i64(last - 1).unwrap();
    let entries = chronicle.read(at, ReadLimit::entries(1)).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let projector = store.projector().start().unwrap();
    match projector.apply(Batch::decode(origin, entries).unwrap()).await {
        Err(ApplyError::Disagrees { found: Disagreement::RowExists { constraint }, .. }) => {
            assert_eq!(constraint, "verification_results, verification_results_key");
        }
        other => panic!("{other:?}"),
    }
}

/// The heads that it remembers are of rows that somebody deleted; a unique index of the embedder's own is
/// not mended by a rebuild.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_somebody_deleted_is_named_and_a_key_of_the_embedder_is_no_disagreement() {
    let referring = ["custody_transitions", "artifact_revisions", "deployment_changes"];
    let undo = referring
        .map(|table| format!("ALTER TABLE guildhall.{table} DISABLE TRIGGER USER"))
        .join("; ");
    let delete = referring
        .into_iter()
        .chain(["deployment_states", "verification_results", "governed_artifacts"])
        .map(|table| format!("DELETE FROM guildhall.{table}"))
        .collect::<Vec<_>>()
        .join("; ");
    let own = "CREATE UNIQUE INDEX mine ON guildhall.quarantined_entries ((true)); \
        CREATE UNIQUE INDEX mine_too ON guildhall.custody_transitions ((seq > 0))";
    for (change, is_disagreement) in [(format!("{undo}; {delete}"), true), (own.to_owned(), false)]
    {
        let database = Database::create();
        let store = PostgresStore::open(database.url()).await.unwrap();
        let chronicle = store.chronicle();
        append_all(&chronicle, &log(300)).await;
        let origin = chronicle.origin().await.unwrap().unwrap();
        let projector = store.projector().start().unwrap();
        let entries = chronicle
            .read(Position::ZERO, ReadLimit::entries(if is_disagreement { 200 } else { 1 }))
            .await
            .unwrap();
        let last = entries.last().unwrap().position;
        projector.apply(Batch::decode(origin.clone(), entries).unwrap()).await.unwrap();
        execute(database.url(), &change);
        let entries = chronicle.read(last, ReadLimit::entries(300)).await.unwrap();
        let error = projector.apply(Batch::decode(origin, entries).unwrap()).await.unwrap_err();
        let is_named =
            matches!(error, ApplyError::Disagrees { found: Disagreement::RowMissing { .. }, .. });
        assert_eq!(is_named, is_disagreement, "{error:?}");
        assert_eq!(matches!(error, ApplyError::Store(_)), !is_disagreement, "{error:?}");
    }
}
