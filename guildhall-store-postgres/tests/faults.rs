//! What happens to a server and to the way there, under a projector that runs: it goes on, or says
//! why not, and nothing is lost or doubled.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod projecting;
mod proxy;
mod read_tables;
mod server;

use std::sync::Arc;
use std::time::Duration;

use common::append_one;
use guildhall_core::{
    Append, AppendError, Chronicle, OPS_DB, OpsDb, Position, ReadLimit, Rebuild as _,
};
use guildhall_projector::{Runtime, RuntimeError, State, rebuild};
use guildhall_store_postgres::{DEFAULT_SCHEMA, PostgresOptions, PostgresStore};
use projecting::{append_all, assert_projected, log, project, settings, status_where, within};
use proxy::{Cut, Proxy};
use read_tables::read_tables;
use server::disk::SmallDisk;
use server::{Database, Server, Settings, Stop, execute};
use sqlx::{Connection, PgConnection};

/// A server with a store.
async fn store_on(server: &Server) -> (Database, PostgresStore) {
    let database = Database::create_on(&server.url("postgres"));
    let store = open(database.url()).await;
    (database, store)
}

/// The store at a URL, without much patience for a server that does not answer.
async fn open(url: &str) -> PostgresStore {
    let mut options = PostgresOptions::at(url);
    options.acquire_timeout = Duration::from_secs(2);
    PostgresStore::open_with(options).await.unwrap()
}

/// Appends, again and again where that fails in a way that may pass: the same ids, so nothing is
/// appended twice.
async fn append_stubbornly(chronicle: &dyn Chronicle, append: Append) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while let Err(error) = chronicle.append(append.clone()).await {
        assert!(matches!(&error, AppendError::Store(error) if error.is_transient()), "{error:?}");
        look.tick().await;
    }
}

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
        let (cuts, status) = (proxy.cuts(), runtime.status());
        assert!(cuts.in_transaction >= 20, "{cut:?}: {cuts:?}");
        assert!(cuts.in_copy >= 3, "{cut:?}: {cuts:?}");
        assert!(status.restarts >= 20 && status.is_healthy(), "{status:?}");
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

fn cause(runtime: &Runtime) -> String {
    let failure = runtime.status().failure.unwrap();
    let causes = std::iter::successors(std::error::Error::source(&*failure), |it| it.source());
    causes.fold(failure.to_string(), |said, cause| format!("{said}: {cause}"))
}

/// Whether the cause is a full disk, in one of the two ways in which PostgreSQL says it: a write that
/// failed, and a write that wrote a part.
fn is_for_want_of_room(runtime: &Runtime) -> bool {
    let cause = cause(runtime);
    cause.contains("No space left on device")
        || cause.contains("could not extend file") && cause.contains("wrote only")
}

/// What does not pass stops the runtime, and its status says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_pass_stops_the_projector_with_the_cause() {
    let server = Server::start(Settings::default());
    for (mishap, expected) in [
        ("DROP TABLE guildhall.verification_results", "verification_results"),
        (
            "ALTER TABLE guildhall.deployment_states ADD CHECK (target <> 'site-a') NOT VALID",
            "check",
        ),
        ("DROP SCHEMA guildhall CASCADE", "guildhall"),
    ] {
        let (database, store) = store_on(&server).await;
        append_all(&store.chronicle(), &log(100)).await;
        let runtime = project(&store, &store, settings());
        within(runtime.wait_until(Position::new(100))).await.unwrap();
        let entries = log(400);
        append_all(&store.chronicle(), &entries[..100]).await;
        execute(database.url(), mishap);
        if !mishap.contains("SCHEMA") {
            append_all(&store.chronicle(), &entries).await;
        }
        assert!(within(runtime.stopped()).await.is_err());
        let status = runtime.status();
        assert_eq!((status.state, status.is_healthy()), (State::Failed, false));
        assert!(cause(&runtime).contains(expected), "{mishap}: {}", cause(&runtime));
        assert!(status.last_error.unwrap().message.contains(expected));
    }
}

/// The tables have no room left. Somebody has to make some, so the projector stops and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_projector_with_the_cause() {
    let disk = SmallDisk::mount();
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.make_folder().display());
    execute(database.admin_url(), &tablespace);
    let move_there = format!("ALTER DATABASE {} SET TABLESPACE small", database.name());
    execute(database.admin_url(), &move_there);
    let store = open(database.url()).await;
    let entries = log(2000);
    append_all(&store.chronicle(), &entries[..1000]).await;
    let runtime = project(&store, &store, settings());
    within(runtime.wait_until(Position::new(100))).await.unwrap();
    disk.fill();
    assert!(within(runtime.stopped()).await.is_err());
    let status = runtime.status();
    assert_eq!((status.state, status.is_healthy()), (State::Failed, false));
    assert!(is_for_want_of_room(&runtime), "{}", cause(&runtime));
    let checkpoint = store.ops_db().checkpoint(OPS_DB).await.unwrap().unwrap();
    assert_eq!(status.position, checkpoint.position);

    // Appends are refused, whole, and what was acknowledged stays.
    let mut acknowledged = 1000;
    let error = loop {
        let append = Append::of(entries[acknowledged..acknowledged + 10].iter().cloned());
        match store.chronicle().append(append).await {
            Ok(_) => acknowledged += 10,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, AppendError::Store(error) if !error.is_transient()), "{error:?}");
    assert_eq!(store.chronicle().head().await.unwrap().position.get(), acknowledged as u64);

    disk.make_room();
    append_all(&store.chronicle(), &entries[acknowledged..]).await;
    let runtime = project(&store, &store, settings());
    within(runtime.wait_until(Position::new(2000))).await.unwrap();
    assert_projected(database.url(), &store.chronicle()).await;
}

/// The write-ahead log has no room left, which takes the whole server down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_down_for_want_of_room_is_waited_for() {
    let disk = SmallDisk::mount();
    let server = Server::start(Settings {
        fsync: true,
        wal: Some(disk.make_folder()),
        lines: vec!["max_wal_size = 4MB".to_owned(), "min_wal_size = 2MB".to_owned()],
        ..Settings::default()
    });
    let (database, store) = store_on(&server).await;
    let entries = log(6000);
    append_all(&store.chronicle(), &entries[..100]).await;
    let runtime = project(&store, &store, settings());
    within(runtime.wait_until(Position::new(100))).await.unwrap();
    disk.fill();
    let mut acknowledged = 100;
    loop {
        let append = Append::of(entries[acknowledged..acknowledged + 100].iter().cloned());
        match store.chronicle().append(append).await {
            Ok(_) => acknowledged += 100,
            Err(AppendError::Store(_)) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(server.log().contains("PANIC"), "{}", server.log());
    status_where(&runtime, |status| !status.is_healthy()).await;

    disk.make_room();
    server.revive();
    append_all(&store.chronicle(), &entries[acknowledged..]).await;
    // The session that met the full disk is told so, all others that the server is gone.
    let runtime = if runtime.status().failure.is_some() {
        assert!(is_for_want_of_room(&runtime), "{}", cause(&runtime));
        project(&store, &store, settings())
    } else {
        runtime
    };
    within(runtime.wait_until(Position::new(6000))).await.unwrap();
    assert!(runtime.status().is_healthy());
    assert_projected(database.url(), &store.chronicle()).await;
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

/// Waits until no transaction is open in a database.
async fn no_transaction_is_open(server: &Server, database: &Database) {
    let mut watching = PgConnection::connect(&server.url("postgres")).await.unwrap();
    let mut look = tokio::time::interval(Duration::from_millis(5));
    within(async {
        loop {
            look.tick().await;
            let open: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND xact_start IS NOT NULL",
            )
            .bind(database.name())
            .fetch_one(&mut watching)
            .await
            .unwrap();
            if open == 0 {
                return;
            }
        }
    })
    .await;
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
