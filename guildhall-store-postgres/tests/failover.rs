//! A primary that is killed again and again while it is written to, and whose standby takes over.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod cluster;
mod common;
mod projecting;
mod read_tables;
mod server;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::{Cluster, EVER, ask, holds};
use common::append_one;
use guildhall_conformance::random::Random;
use guildhall_core::{Append, Chronicle, EventId, NewEntry, Position, ReadLimit};
use guildhall_store_postgres::{PostgresChronicle, PostgresOptions, PostgresStore};
use projecting::{assert_projected, log, project, settings};
use server::{Server, Settings, Stop};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

const MANY: ReadLimit = ReadLimit::entries(usize::MAX);

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(EVER, what).await.expect("it hangs")
}

/// For a machine that is busy with other things.
async fn open(url: &str) -> PostgresStore {
    let options = PostgresOptions::at(url).acquire_timeout(EVER / 4).outage_patience(EVER);
    PostgresStore::open_with(options).await.unwrap()
}

/// How often the primary is killed; more often where somebody wants to know.
fn rounds() -> usize {
    std::env::var("GUILDHALL_FAILOVERS").map_or(3, |rounds| rounds.parse().unwrap())
}

/// Many who append, each event once, as many events as they are let.
struct Appending {
    let_in: Arc<Semaphore>,
    acknowledged: watch::Receiver<usize>,
    tasks: JoinSet<Vec<(EventId, Position)>>,
}

impl Appending {
    const TASKS: usize = 32;

    fn start(chronicle: &PostgresChronicle, entries: Vec<NewEntry>) -> Self {
        let (let_in, next) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, acknowledged) = watch::channel(0);
        let (entries, mut tasks) = (Arc::new(entries), JoinSet::new());
        for _ in 0..Self::TASKS {
            let (chronicle, entries, count) = (chronicle.clone(), entries.clone(), count.clone());
            let (let_in, next) = (let_in.clone(), next.clone());
            tasks.spawn(async move {
                let mut positions = Vec::new();
                loop {
                    let_in.acquire().await.unwrap().forget();
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    let Some(entry) = entries.get(nth) else { return positions };
                    // Nobody hears of a failover.
                    let appended = chronicle.append(Append::of([entry.clone()])).await;
                    let appended = appended.unwrap_or_else(|error| {
                        panic!("{error:?}, {} acknowledged", *count.borrow())
                    });
                    positions.push((entry.event_id, appended[0].position));
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        Self { let_in, acknowledged, tasks }
    }

    async fn reaches(&mut self, count: usize) {
        within(self.acknowledged.wait_for(|it| *it >= count)).await.unwrap();
    }

    async fn end(mut self) -> Vec<(EventId, Position)> {
        self.let_in.add_permits(Self::TASKS);
        let mut all = Vec::new();
        while let Some(positions) = within(self.tasks.join_next()).await {
            all.extend(positions.unwrap());
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_however_often_the_primary_is_killed() {
    /// How many are appended while one primary gives way to the next.
    const EACH: usize = 400;
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut random = Random::seeded(seed);
    let mut cluster = Cluster::start(true).await;
    let (store, other) = (open(&cluster.url("")).await, open(&cluster.url("")).await);
    let runtime = project(&store, &store, settings());
    let entries = log(EACH * rounds());
    let mut appending = Appending::start(&store.chronicle(), entries);
    for round in 0..rounds() {
        let before = round * EACH;
        appending.let_in.add_permits(EACH);
        appending.reaches(before + random.index(EACH - Appending::TASKS)).await;
        let former = cluster.fail_over().await;
        appending.reaches(before + EACH).await;
        // It comes back as a standby at its old address, and nobody stays with it.
        cluster.take_back(former).await;
        append_one(&other.chronicle(), 1).await;
        holds(
            cluster.server(former),
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid()",
        )
        .await;
        assert!(ask::<bool>(cluster.primary(), "SELECT NOT pg_is_in_recovery()").await);
    }
    let appended = appending.end().await;
    assert_eq!(appended.len(), EACH * rounds());

    let url = Cluster::url_of(cluster.primary());
    let chronicle = open(&url).await.chronicle();
    let entries = chronicle.read(Position::ZERO, MANY).await.unwrap();
    assert_eq!(entries.len(), appended.len() + rounds());
    let found: HashMap<_, _> = entries.iter().map(|it| (it.event_id, it.position)).collect();
    for (event_id, position) in appended {
        assert_eq!(found.get(&event_id), Some(&position), "{event_id}");
    }
    within(runtime.wait_until(entries.last().unwrap().position)).await.unwrap();
    let status = runtime.status();
    assert!(status.is_healthy(), "{status:?}");
    within(runtime.shutdown()).await.unwrap();
    assert_projected(&url, &chronicle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_hears_of_what_is_appended_to_the_next_primary() {
    let mut cluster = Cluster::start(true).await;
    let options = PostgresOptions::at(cluster.url("")).poll_interval(EVER * 2);
    let waiting = PostgresStore::open_with(options).await.unwrap().chronicle();
    let writer = open(&cluster.url("")).await.chronicle();
    for round in 0..2 {
        let head = append_one(&writer, 1).await.position;
        let waiter = {
            let waiting = waiting.clone();
            tokio::spawn(async move {
                loop {
                    match waiting.wait_beyond(head, EVER * 2).await {
                        // It was just asking the server that was killed.
                        Err(error) if error.is_transient() => {}
                        outcome => return outcome.unwrap(),
                    }
                }
            })
        };
        // Both from one primary to the next, and on the same one.
        if round == 0 {
            cluster.fail_over().await;
        }
        let next = append_one(&writer, 1).await.position;
        assert!(within(waiter).await.unwrap() >= next);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_store_finds_the_server_that_it_wants() {
    let primary = Server::start(Settings::for_standbys());
    let standby = primary.start_standby();
    let url = |more: &str| Server::url_of(&[&standby, &primary], "postgres", more);
    let store = PostgresStore::open(url("")).await.unwrap();
    assert!(!store.facts().await.unwrap().is_standby);
    append_one(&store.chronicle(), 1).await;
    let there = standby.url("postgres");
    let arrives = async { while PostgresStore::open_read_only(there.clone()).await.is_err() {} };
    within(arrives).await;
    for (more, is_standby) in [
        ("", true),
        ("&target_session_attrs=any", true),
        ("&target_session_attrs=standby", true),
        ("&target_session_attrs=read-only", true),
        ("&target_session_attrs=prefer-standby", true),
        ("&target_session_attrs=primary", false),
        ("&target_session_attrs=read-write", false),
    ] {
        let store = PostgresStore::open_read_only(url(more)).await.unwrap();
        assert_eq!(store.facts().await.unwrap().is_standby, is_standby, "{more}");
    }

    // None is as it is wanted, and each is said to be what it is.
    standby.stop(Stop::Fast);
    let options = PostgresOptions::at(url("&target_session_attrs=standby"))
        .acquire_timeout(Duration::from_secs(1));
    let refused = PostgresStore::open_read_only_with(options).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    let (mut said, mut cause) = (refused.to_string(), refused.source());
    while let Some(error) = cause {
        said += &format!(": {error}");
        cause = error.source();
    }
    assert!(said.contains("no server is standby") && said.contains("is a primary"), "{said}");
    let store = PostgresStore::open_read_only(url("&target_session_attrs=prefer-standby"));
    assert!(!store.await.unwrap().facts().await.unwrap().is_standby);
}
