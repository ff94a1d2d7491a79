//! Sixteen writers in four processes, and a reader that follows them live.
//!
//! A sequence hands out numbers in one order and transactions commit in another, so a reader that
//! remembers how far it read passes by what commits late, and never sees it. Libraries on a plain
//! sequence lose events this way. The same harness shows that they do, and that the Chronicle does
//! not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod common;
mod server;

use std::collections::HashSet;
use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::event;
use guildhall_core::{Append, Chronicle, EventId, NewEntry, Position, ReadLimit};
use guildhall_store_postgres::PostgresStore;
use server::{Database, Server, Settings, execute};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

const PROCESSES: usize = 4;
const WRITERS_PER_PROCESS: usize = 4;
const ENTRIES_PER_WRITER: usize = 400;
const ENTRIES: usize = PROCESSES * WRITERS_PER_PROCESS * ENTRIES_PER_WRITER;

/// How a process of writers knows what to do: "chronicle" or "sequence", and where.
const TABLE: &str = "GUILDHALL_TEST_WRITE_TO";
const URL: &str = "GUILDHALL_TEST_WRITE_AT";

/// Starts the processes that write.
fn start_writers(table: &str, database: &Database) -> Vec<Child> {
    let start = |_| {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_of_writers", "--ignored", "--nocapture"])
            .envs([(TABLE, table), (URL, database.url())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    (0..PROCESSES).map(start).collect()
}

/// The event ids that the processes wrote, in the order of their positions.
fn written(writers: Vec<Child>) -> Vec<(i64, Uuid)> {
    let mut written = Vec::with_capacity(ENTRIES);
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        assert!(output.status.success(), "a process of writers failed");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            if let Some((position, id)) =
                line.strip_prefix("wrote ").and_then(|line| line.split_once(' '))
            {
                written.push((position.parse().unwrap(), id.parse().unwrap()));
            }
        }
    }
    written.sort_unstable();
    assert_eq!(written.len(), ENTRIES);
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests start it as processes of their own"]
async fn a_process_of_writers() {
    let (table, url) = (env::var(TABLE).unwrap(), env::var(URL).unwrap());
    let store = PostgresStore::open(&url).await.unwrap();
    let writers = (0..WRITERS_PER_PROCESS).map(|writer| {
        let (chronicle, table, url) = (store.chronicle(), table.clone(), url.clone());
        tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            let mut written = Vec::with_capacity(ENTRIES_PER_WRITER);
            for _ in 0..ENTRIES_PER_WRITER {
                let id = Uuid::now_v7();
                let position = match table.as_str() {
                    "chronicle" => {
                        let entry =
                            NewEntry::with_id(EventId::from_uuid(id), &event(writer as u128));
                        let appended = chronicle.append(Append::of([entry])).await.unwrap();
                        appended[0].position.as_i64()
                    }
                    _ => sqlx::query_scalar(
                        "INSERT INTO plain_entries (event_id) VALUES ($1) RETURNING position",
                    )
                    .bind(id)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap(),
                };
                written.push((position, id));
            }
            written
        })
    });
    // Told at the end: nobody reads a pipe meanwhile, and a full one would stop the writers.
    let mut written = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        written.extend(writer.await.unwrap());
    }
    written.iter().for_each(|(position, id)| println!("wrote {position} {id}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chronicle_loses_no_entry_and_shows_none_twice() {
    let server = Server::start(Settings { fsync: true, ..Settings::default() });
    let database = Database::create_on(&server.url("postgres"));
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let writers = start_writers("chronicle", &database);
    let (mut at, mut seen) = (Position::ZERO, Vec::with_capacity(ENTRIES));
    while seen.len() < ENTRIES {
        let head = chronicle.wait_beyond(at, Duration::from_secs(60)).await.unwrap();
        assert!(head > at, "nothing came for a minute after {at}");
        for entry in chronicle.read(at, ReadLimit::entries(50)).await.unwrap() {
            assert_eq!(Some(entry.position), at.next());
            at = entry.position;
            seen.push((entry.position.as_i64(), *entry.event_id.as_uuid()));
        }
    }
    let written = tokio::task::spawn_blocking(|| written(writers)).await.unwrap();
    assert_eq!(seen, written);
    let ids: HashSet<Uuid> = seen.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids.len(), ENTRIES);
    assert_eq!(chronicle.head().await.unwrap().position.get(), ENTRIES as u64);
}

/// The same writers and the same reader, on what the Chronicle is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_sequence_loses_entries() {
    const ROUNDS: usize = 20;
    let server = Server::start(Settings { fsync: true, ..Settings::default() });
    for round in 1..=ROUNDS {
        let database = Database::create_on(&server.url("postgres"));
        execute(
            database.url(),
            "CREATE TABLE plain_entries (
                position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                event_id uuid NOT NULL UNIQUE
            )",
        );
        let writers = start_writers("sequence", &database);
        let all = tokio::task::spawn_blocking(|| written(writers));
        let mut reader = PgConnection::connect(database.url()).await.unwrap();
        let (mut at, mut seen) = (0, 0);
        while at < i64::try_from(ENTRIES).unwrap() {
            let next: Vec<i64> = sqlx::query_scalar(
                "SELECT position FROM plain_entries WHERE position > $1 ORDER BY position LIMIT 50",
            )
            .bind(at)
            .fetch_all(&mut reader)
            .await
            .unwrap();
            at = next.last().copied().unwrap_or(at);
            seen += next.len();
        }
        let lost = all.await.unwrap().len() - seen;
        if lost > 0 {
            println!("a plain sequence lost {lost} of {ENTRIES} entries in round {round}");
            return;
        }
    }
    panic!("a plain sequence lost nothing in {ROUNDS} rounds: this test shows nothing any more");
}
