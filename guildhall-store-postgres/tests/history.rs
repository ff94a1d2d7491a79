//! A schema from before there was any history: it is migrated, says from where on it has some, and a
//! rebuild brings in the rest. And no row of it can be changed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod projecting;
mod read_tables;
mod server;

use std::sync::Arc;

use guildhall_conformance::Compare as _;
use guildhall_core::{OpsDb, Position, Projector as _};
use guildhall_projector::{Settings, catch_up, rebuild};
use guildhall_store_postgres::{DEFAULT_SCHEMA, PostgresStore};
use projecting::{append_all, log};
use read_tables::read_tables;
use server::{Database, execute};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Takes out what the migration to history, and those after it, put in and cannot make again.
const BEFORE: &str = "DROP TABLE guildhall.artifact_revisions; DROP TABLE guildhall.deployment_changes; \
    DROP TABLE guildhall.row_counts; \
    DROP FUNCTION guildhall.artifact_revisions_refuse; \
    DROP FUNCTION guildhall.deployment_changes_refuse; \
    DROP FUNCTION guildhall.extend_change_months; \
    ALTER TABLE guildhall.projector_checkpoints DROP COLUMN history_from; \
    DELETE FROM guildhall.guildhall_migrations WHERE family = 'ops' AND number >= 10";

async fn history_from(store: &PostgresStore) -> Option<Position> {
    store.ops_db().checkpoints().await.unwrap()[0].history_from
}

async fn project(store: &PostgresStore) {
    let projector = Arc::new(store.projector().start().unwrap());
    let chronicle = Arc::new(store.chronicle());
    catch_up(chronicle, projector.clone(), &Settings::default(), |_| {}).await.unwrap();
    projector.release_lease().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_from_before_has_history_from_where_it_stood_until_a_rebuild() {
    let database = Database::create();
    let entries = log(900);
    let store = PostgresStore::open(database.url()).await.unwrap();
    append_all(&store.chronicle(), &entries[..500]).await;
    project(&store).await;
    assert_eq!(history_from(&store).await, None);
    drop(store);
    execute(database.url(), BEFORE);

    let store = PostgresStore::open(database.url()).await.unwrap();
    let stood = Some(Position::new(500));
    assert_eq!(history_from(&store).await, stood);
    let tables = read_tables(database.url(), DEFAULT_SCHEMA).await;
    assert_eq!(tables.artifact_revisions.len(), tables.governed_artifacts.len());
    assert_eq!(tables.deployment_changes.len(), tables.deployment_states.len());
    append_all(&store.chronicle(), &entries[500..]).await;
    project(&store).await;
    assert_eq!(history_from(&store).await, stood);
    let before = read_tables(database.url(), DEFAULT_SCHEMA).await;
    assert!(before.deployment_changes.len() > before.deployment_states.len());

    // What the tables lacked is no sign that the log was rewritten.
    let projector = store.projector().start().unwrap();
    let chronicle = Arc::new(store.chronicle());
    rebuild(chronicle, &projector, &Settings::default(), |_| {}).await.unwrap();
    projector.release_lease().await.unwrap();
    assert_eq!(history_from(&store).await, None);

    let other = Database::create();
    let store = PostgresStore::open(other.url()).await.unwrap();
    append_all(&store.chronicle(), &entries).await;
    project(&store).await;
    let rebuilt = read_tables(database.url(), DEFAULT_SCHEMA).await.without_checkpoints();
    let whole = read_tables(other.url(), DEFAULT_SCHEMA).await.without_checkpoints();
    assert!(before.artifact_revisions.len() < whole.artifact_revisions.len());
    rebuilt.assert_are(&whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_of_history_can_be_changed_or_removed() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    append_all(&store.chronicle(), &log(300)).await;
    project(&store).await;
    let rebuilder = store.projector().start().unwrap();
    let chronicle = Arc::new(store.chronicle());
    for _ in ["as the migration made it", "as a rebuild made it"] {
        for (table, row) in
            [("artifact_revisions", "a content"), ("deployment_changes", "a change")]
        {
            for role in ["origin", "replica"] {
                for (verb, attack) in [
                    ("UPDATE", format!("UPDATE guildhall.{table} SET position = position")),
                    ("DELETE", format!("DELETE FROM guildhall.{table}")),
                    ("TRUNCATE", format!("TRUNCATE guildhall.{table}")),
                ] {
                    let mut connection = PgConnection::connect(database.url()).await.unwrap();
                    let attack = format!("SET session_replication_role = {role}; {attack}");
                    let refused = sqlx::raw_sql(AssertSqlSafe(attack.clone()));
                    let refused = refused.execute(&mut connection).await.expect_err(&attack);
                    let refusal = format!("{table} refuses {verb}: {row} stays as it is");
                    assert!(refused.to_string().contains(&refusal), "{attack}: {refused}");
                }
            }
        }
        rebuild(chronicle.clone(), &rebuilder, &Settings::default(), |_| {}).await.unwrap();
    }
}
