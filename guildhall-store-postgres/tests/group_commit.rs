//! What appends promise where many share a transaction: over connections that are cut again and
//! again, and when the server falls silent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod proxy;
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{append_one, event};
use guildhall_core::{
    Append, AppendError, Chronicle, Lease, NewEntry, OpsDb, Position, Projector, ReadLimit,
};
use guildhall_store_postgres::{PostgresChronicle, PostgresOptions, PostgresStore};
use proxy::{Cut, Proxy};
use server::{Database, Server, Settings};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
const ALL: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

/// Tasks that append, each one event after the other, and answer what was acknowledged.
fn append_from(
    tasks: u128,
    each: u128,
    chronicle: &PostgresChronicle,
) -> Vec<JoinHandle<Vec<NewEntry>>> {
    let task = |nth| {
        let chronicle = chronicle.clone();
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for _ in 0..each {
                let entry = NewEntry::new(&event(nth));
                let appended = chronicle.append(Append::of([entry.clone()])).await.unwrap();
                assert!(!appended[0].was_recorded);
                acknowledged.push(entry);
            }
            acknowledged
        })
    };
    (0..tasks).map(task).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_many_tasks_survive_every_cut() {
    const TASKS: u128 = 16;
    const EACH: u128 = 40;
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let proxy = Proxy::start(&server).await;
    let store = PostgresStore::open(proxy.url(database.name())).await.unwrap();
    let chronicle = store.chronicle();
    append_one(&chronicle, 0).await;
    let tasks = append_from(TASKS, EACH, &chronicle);
    let mut cuts = 0_u128;
    for cut in [Cut::AfterTheAnswer, Cut::BeforeTheStatement].into_iter().cycle() {
        proxy.cut_next(cut);
        while !proxy.is_cut() && !tasks.iter().all(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        if !proxy.is_cut() {
            break;
        }
        proxy.reset();
        // Who is cut off again and again gives up.
        append_one(&chronicle, 0).await;
        cuts += 1;
    }
    assert!(cuts >= 2, "{cuts}");
    proxy.cut_next_no_more();
    let mut recorded = BTreeMap::new();
    for entry in chronicle.read(Position::ZERO, ALL).await.unwrap() {
        *recorded.entry(entry.event_id).or_insert(0) += 1;
    }
    assert_eq!(recorded.len(), usize::try_from(TASKS * EACH + 1 + cuts).unwrap());
    for task in tasks {
        for entry in timeout(SOON, task).await.unwrap().unwrap() {
            assert_eq!(recorded[&entry.event_id], 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_holds_up_neither_a_question_nor_a_shutdown() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let proxy = Proxy::start(&server).await;
    let mut options = PostgresOptions::at(proxy.url(database.name()));
    options.answer_timeout = Duration::from_secs(1);
    options.acquire_timeout = Duration::from_secs(1);
    let store = PostgresStore::open_with(options).await.unwrap();
    let (projector, ops_db) = (store.projector().start().unwrap(), store.ops_db());
    assert_eq!(projector.hold_lease().await.unwrap(), Lease::Held);
    ops_db.overview().await.unwrap();
    proxy.fall_silent();
    for outcome in [
        timeout(SOON, ops_db.overview()).await.unwrap().map(drop),
        timeout(SOON, ops_db.checkpoint("ops_db")).await.unwrap().map(drop),
        timeout(SOON, projector.checkpoint()).await.unwrap().map(drop),
        timeout(SOON, projector.release_lease()).await.unwrap(),
    ] {
        let error = outcome.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_a_transient_error_and_then_none() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let proxy = Proxy::start(&server).await;
    let mut options = PostgresOptions::at(proxy.url(database.name()));
    options.answer_timeout = Duration::from_secs(2);
    options.acquire_timeout = Duration::from_secs(2);
    options.outage_patience = Duration::ZERO;
    let chronicle = PostgresStore::open_with(options).await.unwrap().chronicle();
    append_one(&chronicle, 1).await;
    proxy.fall_silent();
    let append = || chronicle.append(Append::of([NewEntry::new(&event(1))]));
    match timeout(SOON, append()).await.unwrap() {
        Err(AppendError::Store(error)) => assert!(error.is_transient(), "{error}"),
        other => panic!("{other:?}"),
    }
    proxy.mend();
    timeout(SOON, async { while append().await.is_err() {} }).await.unwrap();
}
