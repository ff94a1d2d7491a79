//! Connections cut, statements cancelled, sessions ended, at any point.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Chronicle, Position};
use guildhall_projector::{RuntimeError, Status, rebuild};
use guildhall_store_postgres::{DEFAULT_SCHEMA, PostgresOptions, PostgresStore};
use sqlx::{Connection, PgConnection};

use crate::projecting::{
    append_all, assert_projected, log, project, settings, status_where, within,
};
use crate::proxy::{Cut, Proxy};
use crate::read_tables::read_tables;
use crate::server::{Server, Settings, execute};
use crate::{no_transaction_is_open, open, store_on};

/// Each transaction of the projector is cut at its first piece, then at its second, and so on until
/// there is none left to cut at: before the server hears of it, and after it has answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_at_any_point_of_a_transaction_costs_a_retry() {
    let server = Server::start(Settings::default());
    for cut in [Cut::BeforeTheStatement, Cut::AfterTheAnswer] {
        let (database, log_store) = store_on(&server).await;
        append_all(&log_store.chronicle(), &log(600)).await;
        let proxy = Proxy::start(&server).await;
        let store = open(&proxy.url(database.name())).await;
        proxy.cut_each_piece_of_transactions(cut);
        let settings = settings().read_entries(300);
        let runtime = project(&log_store, &store, settings);
        within(runtime.wait_until(Position::new(600))).await.unwrap();
        // What is seen may have been committed by a transaction whose answer was cut off.
        let status = status_where(&runtime, Status::is_healthy).await;
        let cuts = proxy.cuts();
        assert!(cuts.in_transaction >= 20, "{cut:?}: {cuts:?}");
        assert!(cuts.in_copy >= 3, "{cut:?}: {cuts:?}");
        assert!(status.restarts >= 20, "{status:?}");
        assert_projected(database.url(), &log_store.chronicle()).await;
        within(runtime.shutdown()).await.unwrap();
    }
}

/// Begins a rebuild again and again, each time cut off a piece later, until one gets through.
async fn rebuild_although_it_is_cut_off(server: &Server, cut: Cut) {
    let (database, log_store) = store_on(server).await;
    append_all(&log_store.chronicle(), &log(150)).await;
    let live = project(&log_store, &log_store, settings());
    within(live.wait_until(Position::new(150))).await.unwrap();
    within(live.shutdown()).await.unwrap();
    let relations =
        "SELECT string_agg(relname || ' ' || relkind::text, ', ' ORDER BY relname, relkind)
                     FROM pg_class WHERE relnamespace = 'guildhall'::regnamespace";
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    let before: String = sqlx::query_scalar(relations).fetch_one(&mut admin).await.unwrap();
    let tables = read_tables(database.url(), DEFAULT_SCHEMA).await;

    let proxy = Proxy::start(server).await;
    let store = open(&proxy.url(database.name())).await;
    let projector = store.projector().start().unwrap();
    proxy.cut_each_piece_of_transactions(cut);
    let chronicle: Arc<dyn Chronicle> = Arc::new(log_store.chronicle());
    let mut failures = 0;
    while let Err(error) =
        within(rebuild(Arc::clone(&chronicle), &projector, &settings(), |_| {})).await
    {
        let is_transient = match &error {
            RuntimeError::Store(error) => error.is_transient(),
            RuntimeError::Apply(error) => error.is_transient(),
            _ => false,
        };
        assert!(is_transient, "{error:?}");
        failures += 1;
        // The live tables are as they were, or whole and new where only the answer was lost.
        assert_eq!(read_tables(database.url(), DEFAULT_SCHEMA).await, tables);
    }
    assert!(failures >= 50 && proxy.cuts().in_copy >= 3, "{failures}, {:?}", proxy.cuts());
    assert_projected(database.url(), &*chronicle).await;
    let after: String = sqlx::query_scalar(relations).fetch_one(&mut admin).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_cut_off_at_any_point_leaves_nothing_behind() {
    let server = Server::start(Settings::default());
    // One after the other: making a database blocks, and the other one's time would run out.
    for cut in [Cut::BeforeTheStatement, Cut::AfterTheAnswer] {
        rebuild_although_it_is_cut_off(&server, cut).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_are_cancelled_are_tried_again() {
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    append_all(&store.chronicle(), &log(1000)).await;
    let mut stranger = PgConnection::connect(database.url()).await.unwrap();
    // A lock that the projector waits for, so that there is something to cancel.
    let runtime = {
        let mut holding = stranger.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE guildhall.custody_transitions IN EXCLUSIVE MODE")
            .execute(&mut *holding)
            .await
            .unwrap();
        let runtime = project(&store, &store, settings());
        let mut canceller = PgConnection::connect(database.url()).await.unwrap();
        let mut look = tokio::time::interval(Duration::from_millis(5));
        for _ in 0..3 {
            let restarts = runtime.status().restarts;
            within(async {
                while runtime.status().restarts == restarts {
                    sqlx::query(
                        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                         WHERE wait_event_type = 'Lock' AND datname = current_database()",
                    )
                    .execute(&mut canceller)
                    .await
                    .unwrap();
                    look.tick().await;
                }
            })
            .await;
            let status = runtime.status();
            assert!(status.failure.is_none(), "{status:?}");
        }
        holding.rollback().await.unwrap();
        runtime
    };
    within(runtime.wait_until(Position::new(1000))).await.unwrap();
    assert_projected(database.url(), &store.chronicle()).await;
}

/// Sessions that are ended from outside, again and again, whatever they are doing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_terminated_are_opened_again() {
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    append_all(&store.chronicle(), &log(3000)).await;
    let runtime = project(&store, &store, settings());
    let mut killer = PgConnection::connect(database.url()).await.unwrap();
    let mut killed = 0;
    for _ in 0..20 {
        let before = runtime.status().position;
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND datname = current_database()",
        )
        .fetch_one(&mut killer)
        .await
        .unwrap();
        killed += ended;
        status_where(&runtime, |status| status.position > before).await;
    }
    assert!(killed >= 20, "{killed}");
    assert!(runtime.status().position < Position::new(3000), "it was always over already");
    let status = status_where(&runtime, |status| status.position == Position::new(3000)).await;
    assert!(status.is_healthy() && status.restarts > 2, "{status:?}");
    assert_projected(database.url(), &store.chronicle()).await;
}

/// The time-outs that a careful administrator sets for everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeouts_of_the_server_are_survived() {
    let lines = [
        "idle_in_transaction_session_timeout = '20ms'",
        "idle_session_timeout = '50ms'",
        "statement_timeout = '200ms'",
        "lock_timeout = '50ms'",
        "default_transaction_isolation = 'serializable'",
    ];
    let server = Server::start(Settings::default());
    let (database, store) = store_on(&server).await;
    append_all(&store.chronicle(), &log(1000)).await;
    for line in lines {
        execute(database.url(), &format!("ALTER DATABASE {} SET {line}", database.name()));
    }
    drop(store);
    let proxy = Proxy::start(&server).await;
    let mut options = PostgresOptions::at(proxy.url(database.name()));
    options.acquire_timeout = Duration::from_millis(500);
    options.lease_time = Duration::from_secs(1);
    let store = PostgresStore::open_with(options).await.unwrap();
    // Silence in a transaction, longer than the server puts up with.
    proxy.fall_silent_in_a_transaction(4);
    let runtime = project(&store, &store, settings());
    within(proxy.is_silent()).await;
    no_transaction_is_open(&server, &database).await;
    proxy.mend();
    within(runtime.wait_until(Position::new(1000))).await.unwrap();
    let status = runtime.status();
    assert!(status.restarts > 0 && status.failure.is_none(), "{status:?}");
    append_all(&store.chronicle(), &log(1100)).await;
    within(runtime.wait_until(Position::new(1100))).await.unwrap();
    let plain = open(database.url()).await;
    assert_projected(database.url(), &plain.chronicle()).await;
}
