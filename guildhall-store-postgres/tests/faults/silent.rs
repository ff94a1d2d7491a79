//! As when a cable is pulled: one side falls silent, and the other is not told.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Append, Chronicle, OpsDb, Position, ReadLimit, Rebuild as _};
use guildhall_projector::{RuntimeError, rebuild};
use guildhall_store_postgres::{PostgresOptions, PostgresStore};

use crate::common::{self, append_one};
use crate::projecting::{
    append_all, assert_projected, log, project, settings, status_where, within,
};
use crate::proxy::Proxy;
use crate::server::{Server, Settings};
use crate::{append_stubbornly, no_transaction_is_open, open, store_on};

/// As when a cable is pulled, with no rival to take over: nobody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_given_up_and_found_again() {
    let server = Server::start(Settings::default());
    let (database, log_store) = store_on(&server).await;
    append_all(&log_store.chronicle(), &log(50)).await;
    let proxy = Proxy::start(&server).await;
    let mut options = PostgresOptions::at(proxy.url(database.name()));
    options.lease_time = Duration::from_millis(50);
    options.answer_timeout = Duration::from_secs(2);
    options.acquire_timeout = Duration::from_secs(2);
    let store = PostgresStore::open_with(options).await.unwrap();
    let runtime = project(&store, &store, settings());
    within(runtime.wait_until(Position::new(50))).await.unwrap();
    proxy.fall_silent();
    append_all(&log_store.chronicle(), &log(80)).await;
    let status = status_where(&runtime, |status| status.restarts > 0).await;
    assert!(!status.is_healthy() && status.last_error.is_some(), "{status:?}");
    proxy.mend();
    within(runtime.wait_until(Position::new(80))).await.unwrap();
    assert_projected(database.url(), &log_store.chronicle()).await;
}

/// Whether it has nothing to do or is at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_does_not_wait_for_a_server_that_fell_silent() {
    let server = Server::start(Settings::default());
    for is_idle in [true, false] {
        let (database, log_store) = store_on(&server).await;
        append_all(&log_store.chronicle(), &log(50)).await;
        let proxy = Proxy::start(&server).await;
        let mut options = PostgresOptions::at(proxy.url(database.name()));
        // What is under way is given up after twenty leases of a second, the least that counts.
        options.lease_time =
            if is_idle { Duration::from_secs(600) } else { Duration::from_secs(1) };
        options.answer_timeout = Duration::from_secs(1);
        options.acquire_timeout = Duration::from_secs(1);
        let store = PostgresStore::open_with(options).await.unwrap();
        let runtime = project(&log_store, &store, settings());
        within(runtime.wait_until(Position::new(50))).await.unwrap();
        if is_idle {
            proxy.fall_silent();
        } else {
            proxy.fall_silent_in_a_transaction(1);
            append_all(&log_store.chronicle(), &log(80)).await;
            within(proxy.is_silent()).await;
        }
        within(runtime.shutdown()).await.unwrap();
    }
}

/// A process that appends is cut off, and nobody is told, while it has the head of the log locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_falls_silent_does_not_hold_up_the_others() {
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    let proxy = Proxy::start(&server).await;
    let other = open(&(proxy.url(database.name()) + "&statement-cache-capacity=0")).await;
    proxy.fall_silent_in_a_transaction(2);
    let cut_off = {
        let chronicle = other.chronicle();
        tokio::spawn(async move {
            for entry in log(300) {
                append_stubbornly(&chronicle, Append::of([entry])).await;
            }
        })
    };
    // They are in each other's way, so a transaction has to lock the head first.
    let mut appended = 0;
    within(async {
        let silent = proxy.is_silent();
        tokio::pin!(silent);
        let chronicle = store.chronicle();
        loop {
            tokio::select! {
                () = &mut silent => return,
                _ = append_one(&chronicle, 7) => appended += 1,
            }
        }
    })
    .await;
    within(append_one(&store.chronicle(), 7)).await;
    proxy.mend();
    within(cut_off).await.unwrap();
    let log = store.chronicle().read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap();
    assert!(log.len() >= 300 + 1 + appended, "{}", log.len());
    let streams = log.iter().filter(|entry| entry.stream_id == common::stream(7)).count();
    assert_eq!(log.len(), 300 + streams);
}

/// A rebuild that is cut off, and nobody is told, does not keep vacuum from its work for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_falls_silent_is_ended() {
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    append_all(&store.chronicle(), &log(50)).await;
    let proxy = Proxy::start(&server).await;
    let other = open(&proxy.url(database.name())).await;
    let projector = other.projector().lease_time(Duration::from_millis(50)).start().unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    proxy.fall_silent();
    // Twenty times a second, which even the shortest lease leaves a projector.
    no_transaction_is_open(&server, &database).await;
    proxy.mend();
    assert!(generation.seal().await.unwrap_err().is_transient());
}

/// A rebuild is cut off, and nobody is told, while it has the live tables locked to take their place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_falls_silent_does_not_hold_up_the_readers() {
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    append_all(&store.chronicle(), &log(200)).await;
    let runtime = project(&store, &store, settings());
    within(runtime.wait_until(Position::new(200))).await.unwrap();
    // A projector would find its checkpoint locked, and end whoever locks it.
    within(runtime.shutdown()).await.unwrap();
    let proxy = Proxy::start(&server).await;
    let other = open(&proxy.url(database.name())).await;
    let rebuilding = {
        let (chronicle, projector) = (store.chronicle(), other.projector().start().unwrap());
        tokio::spawn(async move {
            rebuild(Arc::new(chronicle), &projector, &settings(), |_| {}).await.map(drop)
        })
    };
    proxy.fall_silent_after("RENAME TO");
    within(proxy.is_silent()).await;
    within(store.ops_db().overview()).await.unwrap();
    append_all(&store.chronicle(), &log(300)).await;
    let runtime = project(&store, &store, settings());
    within(runtime.wait_until(Position::new(300))).await.unwrap();
    assert_projected(database.url(), &store.chronicle()).await;
    proxy.mend();
    let error = within(rebuilding).await.unwrap().unwrap_err();
    assert!(matches!(&error, RuntimeError::Store(error) if error.is_transient()), "{error:?}");
    let projector = store.projector().start().unwrap();
    rebuild(Arc::new(store.chronicle()), &projector, &settings(), |_| {}).await.unwrap();
    assert_projected(database.url(), &store.chronicle()).await;
}
