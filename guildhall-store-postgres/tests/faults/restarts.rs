//! A server that goes away and comes back.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Append, Chronicle, Position};
use guildhall_projector::State;
use guildhall_store_postgres::{PostgresOptions, PostgresStore};

use crate::projecting::{
    append_all, assert_projected, log, project, settings, status_where, within,
};
use crate::proxy::Proxy;
use crate::server::{Server, Settings, Stop};
use crate::{append_stubbornly, open, store_on};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_is_projected_into_as_if_it_had_not() {
    let server = Arc::new(Server::start(Settings { fsync: true, ..Settings::default() }));
    let (database, store) = store_on(&server).await;
    let runtime = project(&store, &store, settings());
    let chronicle = store.chronicle();
    let appending = tokio::spawn(async move {
        for entries in log(1500).chunks(10) {
            append_stubbornly(&chronicle, Append::of(entries.iter().cloned())).await;
        }
    });
    for how in [Stop::Fast, Stop::Immediate, Stop::Fast, Stop::Immediate] {
        // In the middle of the work, and not before it went on.
        let before = runtime.status().position;
        status_where(&runtime, |status| status.position > before && status.lag() < 1000).await;
        let restarting = Arc::clone(&server);
        tokio::task::spawn_blocking(move || restarting.restart(how)).await.unwrap();
    }
    within(appending).await.unwrap();
    let head = store.chronicle().head().await.unwrap().position;
    assert_eq!(head.get(), 1500);
    within(runtime.wait_until(head)).await.unwrap();
    let status = runtime.status();
    assert!(status.is_healthy() && status.failure.is_none(), "{status:?}");
    assert!(status.restarts > 0 && status.last_error.is_some(), "{status:?}");
    assert_projected(database.url(), &store.chronicle()).await;
    within(runtime.shutdown()).await.unwrap();
}

/// While the server is away the status says so, and says so no longer once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_tells_that_the_server_is_away() {
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    append_all(&store.chronicle(), &log(50)).await;
    let runtime = project(&store, &store, settings());
    within(runtime.wait_until(Position::new(50))).await.unwrap();
    for how in [Stop::Fast, Stop::Immediate] {
        let restarts = runtime.status().restarts;
        server.stop(how);
        let status = status_where(&runtime, |status| status.restarts > restarts + 2).await;
        assert!(!status.is_healthy(), "{status:?}");
        assert!(matches!(status.state, State::BackingOff { .. }), "{status:?}");
        assert_eq!((status.position, status.lag()), (Position::new(50), 0));
        assert!(status.failure.is_none());
        server.boot();
        let status = status_where(&runtime, |status| status.state == State::Live).await;
        assert!(status.is_healthy());
    }
    append_all(&store.chronicle(), &log(80)).await;
    within(runtime.wait_until(Position::new(80))).await.unwrap();
    assert_projected(database.url(), &store.chronicle()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    append_all(&store.chronicle(), &log(200)).await;
    drop(store);
    server.stop(Stop::Fast);

    // Opening says that it may pass; a runtime that is given an open pool waits.
    let mut options = PostgresOptions::at(database.url());
    options.acquire_timeout = Duration::from_millis(300);
    let error = PostgresStore::open_with(options).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let proxy = Proxy::start(&server).await;
    server.boot();
    let store = open(&proxy.url(database.name())).await;
    server.stop(Stop::Fast);
    let runtime = project(&store, &store, settings());
    let status = status_where(&runtime, |status| status.restarts > 1).await;
    assert!(!status.is_healthy() && status.position == Position::ZERO, "{status:?}");
    server.boot();
    within(runtime.wait_until(Position::new(200))).await.unwrap();
    assert!(runtime.status().is_healthy());
    assert_projected(database.url(), &store.chronicle()).await;
}
