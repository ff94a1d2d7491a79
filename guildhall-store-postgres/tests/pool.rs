//! A pool of three connections is enough for everything that a store does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod projecting;
mod read_tables;
mod server;

use std::sync::Arc;
use std::time::Duration;

use common::append_one;
use guildhall_core::{
    Append, ArtifactQuery, Chronicle, OpsDb, Position, Projector as _, ReadLimit, VerificationQuery,
};
use guildhall_projector::ceremony::{CeremonyOrchestrator, Topic};
use guildhall_projector::{Settings, rebuild};
use guildhall_store_postgres::{PostgresOptions, PostgresStore};
use projecting::{append_all, assert_projected, log, project, settings, within};
use server::Database;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::JoinSet;
use tokio::time::timeout;

const THREE: u32 = 3;

async fn pool_of_three(database: &Database) -> PgPool {
    PgPoolOptions::new()
        .max_connections(THREE)
        // Waiting for itself would show here.
        .acquire_timeout(Duration::from_secs(20))
        .connect(database.url())
        .await
        .unwrap()
}

/// The most sessions that the database was seen to have, until it is told to end.
async fn watch_sessions(url: String, mut end: tokio::sync::oneshot::Receiver<()>) -> i64 {
    let mut observer = PgConnection::connect(&url).await.unwrap();
    let mut most = 0;
    loop {
        let sessions = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND backend_type = 'client backend'",
        );
        most = most.max(sessions.fetch_one(&mut observer).await.unwrap());
        if timeout(Duration::from_millis(5), &mut end).await.is_ok() {
            return most;
        }
    }
}

/// Everything at once: eight that append, a projector, an orchestrator with a subscriber, readers of
/// the log and of the tables, waiters, and in the end a rebuild.
async fn work(store: &PostgresStore, entries: usize) {
    let chronicle = Arc::new(store.chronicle());
    let ops_db = Arc::new(store.ops_db());
    let runtime = project(store, store, settings());
    let orchestrator = CeremonyOrchestrator::new(chronicle.clone(), ops_db.clone())
        .woken_by(ops_db.clone())
        .start();
    let mut subscription = orchestrator.subscribe([Topic::AllPostures]).await.unwrap();

    let entries = log(entries);
    let mut tasks = JoinSet::new();
    for part in entries.chunks(entries.len().div_ceil(8)) {
        let (chronicle, part) = (chronicle.clone(), part.to_vec());
        tasks.spawn(async move {
            for entries in part.chunks(5) {
                chronicle.append(Append::of(entries.iter().cloned())).await.unwrap();
            }
        });
    }
    for _ in 0..4 {
        let (chronicle, ops_db) = (chronicle.clone(), ops_db.clone());
        tasks.spawn(async move {
            for _ in 0..20 {
                chronicle.read(Position::ZERO, ReadLimit::entries(50)).await.unwrap();
                ops_db.artifacts(&ArtifactQuery::default()).await.unwrap();
                ops_db.verifications(&VerificationQuery::default()).await.unwrap();
                ops_db.overview().await.unwrap();
            }
        });
    }
    let last = Position::try_from(entries.len() as u64).unwrap();
    for _ in 0..4 {
        let chronicle = chronicle.clone();
        tasks.spawn(async move {
            chronicle.wait_beyond(last.previous(), Duration::MAX).await.unwrap();
        });
    }
    within(tasks.join_all()).await;
    within(runtime.wait_until(last)).await.unwrap();
    assert!(within(subscription.next()).await.is_some());
    let status = runtime.status();
    assert_eq!(status.restarts, 0, "{status:?}");
    within(runtime.shutdown()).await.unwrap();

    let projector = store.projector().start().unwrap();
    within(rebuild(chronicle, &projector, &Settings::default(), |_| {})).await.unwrap();
    projector.release_lease().await.unwrap();
    within(orchestrator.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedders_pool_of_three_is_enough_for_everything() {
    let database = Database::create();
    let pool = pool_of_three(&database).await;
    let store = PostgresStore::open_with(PostgresOptions::with_pool(pool)).await.unwrap();
    work(&store, 800).await;
    assert_projected(database.url(), &store.chronicle()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_with_three_connections_is_enough_for_everything() {
    let database = Database::create();
    let mut options = PostgresOptions::at(database.url());
    options.max_connections = THREE;
    options.acquire_timeout = Duration::from_secs(20);
    let (end, ended) = tokio::sync::oneshot::channel();
    let watched = tokio::spawn(watch_sessions(database.url().to_owned(), ended));
    let store = PostgresStore::open_with(options).await.unwrap();
    work(&store, 800).await;
    end.send(()).unwrap();
    let most = watched.await.unwrap();
    assert!((1..=i64::from(THREE)).contains(&most), "{most} connections");
    assert_projected(database.url(), &store.chronicle()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_beside_appends_without_a_pause_needs_no_fourth() {
    let database = Database::create();
    let options = PostgresOptions::with_pool(pool_of_three(&database).await);
    let store = PostgresStore::open_with(options).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append_all(&*chronicle, &log(300)).await;
    let mut tasks = JoinSet::new();
    let waiting = chronicle.clone();
    tasks.spawn(async move {
        waiting.wait_beyond(Position::MAX, Duration::MAX).await.unwrap();
    });
    for nth in 0..2 {
        let appending = chronicle.clone();
        tasks.spawn(async move {
            loop {
                append_one(&*appending, nth).await;
            }
        });
    }
    let projector = store.projector().start().unwrap();
    let before = chronicle.head().await.unwrap().position;
    within(rebuild(chronicle.clone(), &projector, &Settings::default(), |_| {})).await.unwrap();
    assert!(chronicle.head().await.unwrap().position > before);
    let ended = tasks.try_join_next();
    assert!(ended.is_none(), "nobody waited in vain: {ended:?}");
    tasks.shutdown().await;
}
