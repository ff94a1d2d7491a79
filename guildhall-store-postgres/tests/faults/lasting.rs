//! What does not pass by itself: a table gone, a disk full.

use guildhall_core::{Append, AppendError, Chronicle, OPS_DB, OpsDb, Position};
use guildhall_projector::{Runtime, State};

use crate::projecting::{
    append_all, assert_projected, log, project, settings, status_where, within,
};
use crate::server::disk::SmallDisk;
use crate::server::{Database, Server, Settings, execute};
use crate::{open, store_on};

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
