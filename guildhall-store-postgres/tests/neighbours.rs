//! Several processes on one Guildhall, and several Guildhalls in one database.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod projecting;
mod read_tables;
mod server;

use std::sync::Arc;
use std::time::Duration;

use guildhall_conformance::Compare as _;
use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{Chronicle, NewEntry, Position, Wakeup};
use guildhall_projector::ceremony::{CeremonyOrchestrator, Topic};
use guildhall_projector::{Runtime, Settings, rebuild};
use guildhall_store_postgres::{Partitions, PostgresOptions, PostgresStore};
use projecting::{append_all, expected, project, within};
use read_tables::read_tables;
use server::Database;

async fn open(database: &Database, schema: &str) -> PostgresStore {
    let mut options = PostgresOptions::at(database.url());
    options.schema = schema.to_owned();
    PostgresStore::open_with(options).await.unwrap()
}

fn log(seed: u64, count: usize) -> Vec<NewEntry> {
    Workload::new(seed, Mix::DENSE).take(count).collect()
}

/// A console on another host: its orchestrator tells what a projector commits elsewhere, at once,
/// though it looks for itself only every ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orchestrator_hears_of_the_projector_of_another_process() {
    const LONG: Duration = Duration::from_secs(600);
    let database = Database::create();
    let here = open(&database, "guildhall").await;
    let runtime = project(&here, &here, Settings::default());
    let mut options = PostgresOptions::at(database.url());
    options.poll_interval = LONG;
    let there = PostgresStore::open_with(options).await.unwrap();
    let mut followers = Vec::new();
    for (store, wakeup) in
        [(&here, Arc::new(runtime.clone()) as Arc<dyn Wakeup>), (&there, Arc::new(there.ops_db()))]
    {
        let orchestrator =
            CeremonyOrchestrator::new(Arc::new(store.chronicle()), Arc::new(store.ops_db()))
                .woken_by(wakeup)
                .settings(Settings::default().patience(LONG))
                .start();
        let subscription = orchestrator.subscribe(Topic::EVERYTHING).await.unwrap();
        followers.push((orchestrator, subscription));
    }
    let log = log(3, 300);
    for entry in &log {
        append_all(&here.chronicle(), std::slice::from_ref(entry)).await;
    }
    let mut told = Vec::new();
    for (orchestrator, subscription) in &mut followers {
        let mut moved = Position::ZERO;
        while moved.get() < log.len() as u64 {
            moved = within(orchestrator.moved_from(moved)).await.unwrap();
        }
        told.push(std::iter::from_fn(|| subscription.try_next()).collect::<Vec<_>>());
        within(orchestrator.shutdown()).await;
    }
    assert!(told[0].len() > 100, "{}", told[0].len());
    assert_eq!(told[0], told[1]);
    within(runtime.shutdown()).await.unwrap();
}

async fn assert_projected(database: &Database, schema: &str, store: &PostgresStore) {
    let found = read_tables(database.url(), schema).await;
    found.without_reasons().assert_are(&expected(&store.chronicle()).await);
}

/// Two Guildhalls append, project, and rebuild at the same time, with projectors of the same name;
/// neither sees anything of the other, nor waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guildhalls_in_two_schemas_of_a_database_never_meet() {
    let database = Database::create();
    let schemas = ["guild_north", "guild \"south\""];
    let mut guilds: Vec<(PostgresStore, Runtime)> = Vec::new();
    for (seed, schema) in (0..).zip(schemas) {
        let store = open(&database, schema).await;
        append_all(&store.chronicle(), &log(seed, 300)).await;
        let runtime = project(&store, &store, Settings::default());
        guilds.push((store, runtime));
    }
    for (store, runtime) in &guilds {
        within(runtime.wait_until(Position::new(300))).await.unwrap();
        assert_ne!(store.chronicle().origin().await.unwrap(), None);
    }
    // The one is rebuilt, with partitions, and rebuilds again, while the other goes on.
    let (north, south) = (&guilds[0], &guilds[1]);
    within(north.1.shutdown()).await.unwrap();
    let rebuilding = async {
        for partitions in [Partitions::On, Partitions::Off, Partitions::On] {
            let projector = north.0.projector().partitions(partitions).start().unwrap();
            let chronicle = Arc::new(north.0.chronicle());
            rebuild(chronicle, &projector, &Settings::default(), |_| {}).await.unwrap();
        }
    };
    let going_on = async {
        for entry in log(1, 400).split_off(300) {
            append_all(&south.0.chronicle(), &[entry]).await;
        }
    };
    within(async { tokio::join!(rebuilding, going_on) }).await;
    within(south.1.wait_until(Position::new(400))).await.unwrap();
    assert_projected(&database, schemas[1], &south.0).await;
    assert_projected(&database, schemas[0], &north.0).await;
    assert_eq!(south.1.status().restarts, 0);
    within(south.1.shutdown()).await.unwrap();
}
