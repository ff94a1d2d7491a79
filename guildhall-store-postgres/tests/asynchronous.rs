//! Asynchronous standbys: what the one that takes over lacks was acknowledged, and everybody who knew
//! of it says so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod cluster;
mod common;
mod projecting;
mod read_tables;
mod server;

use cluster::{Cluster, EVER, ask, holds};
use common::{append_one, event};
use guildhall_core::{
    Append, AppendError, Chronicle, LogFault, NewEntry, Position, ReadLimit, StoreError,
};
use guildhall_projector::State;
use guildhall_store_postgres::{PostgresChronicle, PostgresOptions, PostgresStore};
use projecting::{project, settings};
use server::execute;
use tokio::time::timeout;

const MANY: ReadLimit = ReadLimit::entries(100);

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(EVER, what).await.expect("it hangs")
}

async fn append_error(chronicle: &PostgresChronicle) -> StoreError {
    match within(chronicle.append(Append::of([NewEntry::new(&event(1))]))).await {
        Err(AppendError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_saw_what_a_lagging_standby_lacks_does_not_go_on_after_it_took_over() {
    let mut cluster = Cluster::start(false).await;
    let url = cluster.url("");
    let [writer, reader, projecting] = [
        PostgresStore::open(url.clone()).await.unwrap(),
        PostgresStore::open(url.clone()).await.unwrap(),
        PostgresStore::open(url.clone()).await.unwrap(),
    ];
    for _ in 0..10 {
        append_one(&writer.chronicle(), 1).await;
    }
    let runtime = project(&projecting, &projecting, settings());
    within(runtime.wait_until(Position::new(10))).await.unwrap();

    // Both hear no more of the primary, and it acknowledges three more.
    let reached = ask::<String>(cluster.primary(), "SELECT pg_current_wal_lsn()::text").await;
    for standby in cluster.standbys() {
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{reached}'::pg_lsn");
        holds(standby, &reached).await;
        standby.set("primary_conninfo", "");
        holds(standby, "SELECT count(*) = 0 FROM pg_stat_wal_receiver").await;
    }
    for _ in 0..3 {
        append_one(&writer.chronicle(), 1).await;
    }
    assert_eq!(reader.chronicle().read(Position::ZERO, MANY).await.unwrap().len(), 13);
    within(runtime.wait_until(Position::new(13))).await.unwrap();
    cluster.fail_over().await;

    let head = Position::new(10);
    let went_back = LogFault::WentBack { seen: Position::new(13), head };
    let error = append_error(&writer.chronicle()).await;
    assert_eq!(error.log_fault(), Some(&went_back), "{error:?}");
    let looking = async {
        loop {
            match reader.chronicle().read(Position::new(1), MANY).await {
                // The connection to the former primary.
                Err(error) if error.is_transient() => {}
                outcome => return outcome.unwrap_err(),
            }
        }
    };
    let error = within(looking).await;
    assert_eq!(error.log_fault(), Some(&went_back), "{error:?}");
    let stopped = within(runtime.stopped()).await.unwrap_err();
    let said = format!("{stopped:?}");
    assert!(said.contains("WentBack"), "{said}");
    assert_eq!(runtime.status().state, State::Failed);

    // Another, which saw nothing, goes on; then other entries stand there.
    let other = PostgresStore::open(url).await.unwrap().chronicle();
    for _ in 0..5 {
        append_one(&other, 1).await;
    }
    let error = append_error(&writer.chronicle()).await;
    let rewritten = matches!(
        error.log_fault(),
        Some(LogFault::Rewritten { position, found, expected })
            if *position == Position::new(13) && found != expected
    );
    assert!(rewritten, "{error:?}");
    assert_eq!(append_one(&other, 1).await.position, Position::new(16));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_demands_a_synchronous_standby_appends_nothing_without() {
    let cluster = Cluster::start(false).await;
    let options = PostgresOptions::at(cluster.url("")).require_synchronous_standby(true);
    let store = PostgresStore::open_with(options).await.unwrap();
    let facts = store.facts().await.unwrap();
    assert_eq!((facts.standbys, facts.is_synchronous), (2, false));
    let chronicle = store.chronicle();
    let error = append_error(&chronicle).await;
    assert!(error.is_transient(), "{error:?}");
    assert!(error.source.to_string().contains("no standby is synchronous"), "{error:?}");
    assert_eq!(chronicle.head().await.unwrap().position, Position::ZERO);

    cluster.primary().set("synchronous_standby_names", "ANY 1 (*)");
    // The sessions hear of it with their next statement, sooner or later.
    let appended =
        async { while chronicle.append(Append::of([NewEntry::new(&event(1))])).await.is_err() {} };
    within(appended).await;
    assert!(store.facts().await.unwrap().is_synchronous);
    execute(
        &Cluster::url_of(cluster.primary()),
        "ALTER DATABASE guildhall_test SET synchronous_commit = 'local'",
    );
    let options = PostgresOptions::at(cluster.url("")).require_synchronous_standby(true);
    let store = PostgresStore::open_with(options).await.unwrap();
    assert!(append_error(&store.chronicle()).await.is_transient());
}
