//! A store that only reads: on a hot standby, and with a role that may do nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod projecting;
mod read_tables;
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::event;
use guildhall_core::{
    Append, AppendError, ArtifactQuery, Chronicle, NewEntry, OPS_DB, OpsDb, Position, ReadLimit,
};
use guildhall_projector::{Settings as RuntimeSettings, catch_up};
use guildhall_store_postgres::{Family, OpenError, PostgresOptions, PostgresStore};
use projecting::{append_all, log, within};
use server::{Database, Server, Settings, execute};

/// Reads everything that a console does, and is refused whatever writes.
async fn assert_reads(store: &PostgresStore, head: u32) {
    let (chronicle, ops_db) = (store.chronicle(), store.ops_db());
    let head = Position::new(head);
    let last = head.previous();
    within(async {
        // A standby is a moment behind.
        while chronicle.wait_beyond(last, Duration::from_secs(1)).await.unwrap() < head {}
    })
    .await;
    assert_eq!(chronicle.read(last, ReadLimit::entries(9)).await.unwrap().len(), 1);
    assert!(chronicle.origin().await.unwrap().is_some());
    within(async {
        while ops_db.checkpoint(OPS_DB).await.unwrap().is_none_or(|at| at.position < last) {}
    })
    .await;
    let page = ops_db.artifacts(&ArtifactQuery::default()).await.unwrap();
    ops_db.artifact(page.rows[0].id).await.unwrap().unwrap();
    assert!(ops_db.overview().await.unwrap().accords > 0);

    let append = chronicle.append(Append::of([NewEntry::new(&event(1))])).await;
    let Err(AppendError::Store(refused)) = append else { panic!("{append:?}") };
    let named = chronicle.fix_origin("guildhall/mine".parse().unwrap()).await.unwrap_err();
    let projecting = store.projector().start().unwrap_err();
    for error in [refused, named, projecting] {
        assert!(!error.is_transient(), "{error:?}");
        assert_eq!(error.source.to_string(), "the store was opened for reading only");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_and_a_role_without_rights_show_everything_and_write_nothing() {
    let primary = Server::start(Settings::for_standbys());
    let database = Database::create_on(&primary.url("postgres"));
    let store = PostgresStore::open(database.url()).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append_all(&*chronicle, &log(200)).await;
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(chronicle.clone(), projector, &RuntimeSettings::default(), |_| {}).await.unwrap();

    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/roles.sql"));
    primary.psql(database.url(), &[], script).unwrap();
    execute(database.url(), "CREATE ROLE auditor LOGIN IN ROLE guildhall_reader");
    let auditor = |url: &str| url.replace("user=guildhall", "user=auditor");
    assert_reads(&PostgresStore::open_read_only(auditor(database.url())).await.unwrap(), 200).await;

    let standby = primary.start_standby();
    let there = auditor(&standby.url(database.name()));
    let copy = PostgresStore::open_read_only(&there).await.unwrap();
    assert_reads(&copy, 200).await;
    let pool = sqlx::PgPool::connect(&there).await.unwrap();
    let by_pool =
        PostgresStore::open_read_only_with(PostgresOptions::with_pool(pool)).await.unwrap();
    append_all(&*chronicle, &log(201)[200..]).await;
    for store in [&copy, &by_pool] {
        assert_reads(store, 201).await;
    }
}

#[tokio::test]
async fn a_store_that_reads_makes_no_table() {
    let database = Database::create();
    let refused = |opened: Result<PostgresStore, OpenError>| match opened {
        Err(OpenError::OlderSchema { family, found, known, .. }) => {
            assert!(known > found);
            (family, found)
        }
        other => panic!("{other:?}"),
    };
    let opened = PostgresStore::open_read_only(database.url()).await;
    assert_eq!(refused(opened), (Family::Chronicle, 0));
    PostgresStore::open(database.url()).await.unwrap();
    PostgresStore::open_read_only(database.url()).await.unwrap();
    execute(
        database.url(),
        "DELETE FROM guildhall.guildhall_migrations WHERE family = 'ops' AND number >= 5",
    );
    let opened = PostgresStore::open_read_only(database.url()).await;
    assert_eq!(refused(opened), (Family::Ops, 4));
}
