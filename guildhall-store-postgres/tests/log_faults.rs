//! A log that somebody edits, cuts off, restores or renames under running handles.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod projecting;
mod read_tables;
mod server;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{append_one, event, stream};
use guildhall_core::{
    Append, AppendError, Chronicle, LogFault, NewEntry, Position, Projector, ReadLimit, StoreError,
    Version,
};
use guildhall_projector::{Settings as RuntimeSettings, catch_up};
use guildhall_store_postgres::{PostgresChronicle, PostgresStore};
use projecting::within;
use server::{Database, Server, Settings, Stop, execute};

const MANY: ReadLimit = ReadLimit::entries(100);

/// What the names of the log's triggers end with.
const TRIGGERS: [(&str, &[&str]); 3] = [
    ("chronicle_entries", &["appended", "refuse_change", "refuse_truncate"]),
    ("chronicle_head", &["moved", "refuse_delete", "refuse_truncate"]),
    ("chronicle_origin", &["refuse_change", "refuse_truncate"]),
];

/// Runs a statement that the log's triggers would refuse, as only its owner can.
fn doctor(url: &str, sql: &str) {
    let mut script = String::new();
    for (table, _) in TRIGGERS {
        script += &format!("ALTER TABLE guildhall.{table} DISABLE TRIGGER USER;");
    }
    script += &format!("{sql};");
    for (table, triggers) in TRIGGERS {
        for trigger in triggers {
            script +=
                &format!("ALTER TABLE guildhall.{table} ENABLE ALWAYS TRIGGER {table}_{trigger};");
        }
    }
    execute(url, &script);
}

/// Leaves the first so many entries.
fn cut_off(url: &str, after: u64) {
    doctor(
        url,
        &format!(
            "DELETE FROM guildhall.chronicle_entries WHERE position > {after};
             UPDATE guildhall.chronicle_head SET position = {after}"
        ),
    );
}

async fn append_error(chronicle: &PostgresChronicle) -> StoreError {
    match within(chronicle.append(Append::of([NewEntry::new(&event(1))]))).await {
        Err(AppendError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// What each way to ask for something answers.
async fn errors(chronicle: &PostgresChronicle) -> Vec<StoreError> {
    vec![
        append_error(chronicle).await,
        append_error(chronicle).await,
        chronicle.head().await.unwrap_err(),
        within(chronicle.wait_beyond(Position::new(20), Duration::MAX)).await.unwrap_err(),
        chronicle.read(Position::new(1), MANY).await.unwrap_err(),
        chronicle.read_decoded(Position::new(10), MANY).await.unwrap_err(),
        chronicle.read_stream(stream(1), Version::ZERO, MANY).await.unwrap_err(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_went_back_is_left_alone_by_all_who_saw_more_of_it() {
    let database = Database::create();
    let [writer, reader, watcher] = [
        PostgresStore::open(database.url()).await.unwrap().chronicle(),
        PostgresStore::open(database.url()).await.unwrap().chronicle(),
        PostgresStore::open(database.url()).await.unwrap().chronicle(),
    ];
    for _ in 0..10 {
        append_one(&writer, 1).await;
    }
    assert_eq!(reader.read_decoded(Position::ZERO, MANY).await.unwrap().len(), 10);
    assert_eq!(watcher.head().await.unwrap().position, Position::new(10));
    cut_off(database.url(), 7);
    for chronicle in [&writer, &reader, &watcher] {
        for error in errors(chronicle).await {
            let went_back = LogFault::WentBack { seen: Position::new(10), head: Position::new(7) };
            assert_eq!(error.log_fault(), Some(&went_back), "{error:?}");
            assert!(!error.is_transient());
        }
    }
    // Whoever saw nothing of it goes on; then another entry stands where one was.
    let other = PostgresStore::open(database.url()).await.unwrap().chronicle();
    for _ in 0..5 {
        append_one(&other, 1).await;
    }
    for chronicle in [&writer, &reader, &watcher] {
        for error in errors(chronicle).await {
            let rewritten = matches!(
                error.log_fault(),
                Some(LogFault::Rewritten { position, .. }) if *position == Position::new(10)
            );
            assert!(rewritten, "{error:?}");
        }
    }
    assert_eq!(append_one(&other, 1).await.position, Position::new(13));
}

/// As a restore of the folder does, or a standby that lacked the last commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_server_is_not_appended_to() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    for _ in 0..3 {
        append_one(&chronicle, 1).await;
    }
    let folder = server.folder();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        assert!(command.args(arguments).current_dir(folder).status().unwrap().success());
    };
    server.stop(Stop::Fast);
    run("cp", &["-a", "data", "older"]);
    server.boot();
    for _ in 0..3 {
        append_one(&chronicle, 1).await;
    }
    server.stop(Stop::Fast);
    run("rm", &["-r", "data"]);
    run("mv", &["older", "data"]);
    server.boot();
    let error = append_error(&chronicle).await;
    let went_back = LogFault::WentBack { seen: Position::new(6), head: Position::new(3) };
    assert_eq!(error.log_fault(), Some(&went_back), "{error:?}");
    let left = PostgresStore::open(database.url()).await.unwrap().chronicle();
    assert_eq!(left.head().await.unwrap().position, Position::new(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_was_edited_is_neither_read_nor_projected() {
    for change in [
        "payload = replace(payload, 'passed', 'failed')",
        "event_id = gen_random_uuid()",
        "event_type = 'dev.guildhouse.chronicle.verification.recorded.v9'",
        "recorded_at = recorded_at - interval '1 microsecond'",
        "leaf_hash = sha256('')",
    ] {
        let database = Database::create();
        let store = PostgresStore::open(database.url()).await.unwrap();
        let chronicle = store.chronicle();
        for _ in 0..5 {
            append_one(&chronicle, 1).await;
        }
        let edit = format!("UPDATE guildhall.chronicle_entries SET {change} WHERE position = 3");
        doctor(database.url(), &edit);
        let is_said = |error: &StoreError| {
            let at = Position::new(3);
            let is_altered = matches!(error.log_fault(), Some(LogFault::Altered { position, .. }) if *position == at);
            assert!(is_altered && !error.is_transient(), "{change}: {error:?}");
        };
        is_said(&chronicle.read(Position::ZERO, MANY).await.unwrap_err());
        is_said(&chronicle.read(Position::new(2), MANY).await.unwrap_err());
        is_said(&chronicle.read_decoded(Position::new(1), MANY).await.unwrap_err());
        is_said(&chronicle.read_stream(stream(1), Version::ZERO, MANY).await.unwrap_err());
        // A page that the limit cuts short.
        let few = ReadLimit { entries: 3, bytes: 1 };
        is_said(&chronicle.read(Position::new(2), few).await.unwrap_err());
        assert_eq!(chronicle.read(Position::new(3), MANY).await.unwrap().len(), 2);
        let projector = Arc::new(store.projector().start().unwrap());
        let runtime = RuntimeSettings::default().read_entries(10);
        let (log, projecting) = (Arc::new(chronicle), projector.clone());
        catch_up(log, projecting, &runtime, |_| {}).await.unwrap_err();
        assert!(projector.checkpoint().await.unwrap().position < Position::new(3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_renamed_is_not_taken_for_the_one_that_it_was() {
    let database = Database::create();
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    for _ in 0..5 {
        append_one(&chronicle, 1).await;
    }
    let origin = chronicle.origin().await.unwrap().unwrap();
    doctor(database.url(), "UPDATE guildhall.chronicle_origin SET origin = 'guildhall/another'");
    for error in [
        chronicle.read(Position::ZERO, MANY).await.unwrap_err(),
        chronicle.origin().await.unwrap_err(),
    ] {
        let expected = origin.clone();
        let found = "guildhall/another".parse().unwrap();
        assert_eq!(error.log_fault(), Some(&LogFault::OriginChanged { found, expected }));
    }
    // Nothing there, it is not given another name.
    doctor(database.url(), "DELETE FROM guildhall.chronicle_origin");
    let fresh = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let error = append_error(&fresh).await;
    assert_eq!(error.log_fault(), Some(&LogFault::NoOrigin { head: Position::new(5) }));
}
