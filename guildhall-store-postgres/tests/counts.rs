//! A schema from before counts were kept: the migration counts what is there, to the row.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod projecting;
mod read_tables;
mod server;

use std::sync::Arc;

use guildhall_conformance::Compare as _;
use guildhall_core::{CountedRows, NewEntry, Projector as _};
use guildhall_projector::{Settings, catch_up};
use guildhall_store_postgres::{DEFAULT_SCHEMA, PostgresStore};
use projecting::{append_all, assert_projected, log};
use read_tables::read_tables;
use server::{Database, execute};

/// Takes out what the migration to counts, and those after it, put in and cannot make again.
const BEFORE: &str = "DROP TABLE guildhall.row_counts; \
    DELETE FROM guildhall.guildhall_migrations WHERE family = 'ops' AND number >= 17";

async fn append_and_project(store: &PostgresStore, entries: &[NewEntry]) {
    if entries.is_empty() {
        return;
    }
    append_all(&store.chronicle(), entries).await;
    let projector = Arc::new(store.projector().start().unwrap());
    let chronicle = Arc::new(store.chronicle());
    catch_up(chronicle, projector.clone(), &Settings::default(), |_| {}).await.unwrap();
    projector.release_lease().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_from_before_is_counted_when_it_is_migrated() {
    let log = log(900);
    // Where nothing is there yet, too.
    for at in [0, 3, 600] {
        let database = Database::create();
        let store = PostgresStore::open(database.url()).await.unwrap();
        append_and_project(&store, &log[..at]).await;
        let before = read_tables(database.url(), DEFAULT_SCHEMA).await;
        drop(store);
        execute(database.url(), BEFORE);

        let store = PostgresStore::open(database.url()).await.unwrap();
        read_tables(database.url(), DEFAULT_SCHEMA).await.assert_are(&before);
        assert!(at < 600 || before.row_counts.len() == CountedRows::ALL.len());
        append_and_project(&store, &log[at..]).await;
        assert_projected(database.url(), &store.chronicle()).await;
    }
}
