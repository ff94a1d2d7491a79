//! Waiting for the log to grow. The slow poll is a minute here, so a wake-up is a wake-up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod server;

use std::time::{Duration, Instant};

use common::append_one;
use guildhall_core::{Chronicle, Position};
use guildhall_store_postgres::{PostgresChronicle, PostgresOptions, PostgresStore};
use server::{Database, execute};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(3600);

async fn open(database: &Database, poll_interval: Duration) -> PostgresChronicle {
    let mut options = PostgresOptions::at(database.url());
    options.poll_interval = poll_interval;
    PostgresStore::open_with(options).await.unwrap().chronicle()
}

/// Waits until as many sessions listen, which a session's last statement shows.
async fn listeners(database: &Database, count: i64) -> Vec<i32> {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let begun = Instant::now();
    loop {
        let listening: Vec<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN %' AND state = 'idle'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        if i64::try_from(listening.len()).unwrap() == count {
            return listening;
        }
        assert!(begun.elapsed() < SOON, "{listening:?} listen");
        tokio::task::yield_now().await;
    }
}

fn wait(chronicle: &PostgresChronicle, after: u32) -> tokio::task::JoinHandle<Position> {
    let chronicle = chronicle.clone();
    tokio::spawn(async move { chronicle.wait_beyond(Position::new(after), LONG).await.unwrap() })
}

async fn woken(waiter: tokio::task::JoinHandle<Position>) -> Position {
    timeout(SOON, waiter).await.expect("long before the poll").unwrap()
}

#[tokio::test]
async fn a_commit_of_either_store_wakes_every_waiter() {
    let database = Database::create();
    let minute = Duration::from_secs(60);
    let (first, second) = (open(&database, minute).await, open(&database, minute).await);
    let waiters: Vec<_> =
        (0..8).map(|nth| wait(if nth % 2 == 0 { &first } else { &second }, 2)).collect();
    listeners(&database, 2).await;
    for _ in 0..3 {
        append_one(&first, 1).await;
    }
    for waiter in waiters {
        assert_eq!(woken(waiter).await, Position::new(3));
    }
}

#[tokio::test]
async fn a_commit_of_anybody_wakes_a_waiter() {
    let database = Database::create();
    let chronicle = open(&database, Duration::from_secs(60)).await;
    append_one(&chronicle, 1).await;
    for after in 1..4 {
        let waiter = wait(&chronicle, after);
        listeners(&database, 1).await;
        execute(
            database.url(),
            "WITH head AS (UPDATE guildhall.chronicle_head SET position = position + 1)
             INSERT INTO guildhall.chronicle_entries
             SELECT position + 1, gen_random_uuid(), gen_random_uuid(), 1, event_type, payload,
                    metadata, recorded_at, leaf_hash
             FROM guildhall.chronicle_entries ORDER BY position DESC LIMIT 1",
        );
        assert_eq!(woken(waiter).await, Position::new(after + 1));
    }
}

#[tokio::test]
async fn a_listener_that_was_cut_off_listens_again() {
    let database = Database::create();
    let minute = Duration::from_secs(60);
    let (waiting, other) = (open(&database, minute).await, open(&database, minute).await);
    for round in 0..3 {
        let waiter = wait(&waiting, round);
        let [listener] = listeners(&database, 1).await[..] else { panic!("one listens") };
        execute(database.url(), &format!("SELECT pg_terminate_backend({listener})"));
        // Either it listens again when this commits, or it finds it done when it does.
        append_one(&other, 1).await;
        assert_eq!(woken(waiter).await, Position::new(round + 1));
    }
}

#[tokio::test]
async fn a_lost_wake_up_costs_one_poll() {
    let database = Database::create();
    let waiting = open(&database, Duration::from_millis(200)).await;
    let other = open(&database, LONG).await;
    let waiter = wait(&waiting, 0);
    listeners(&database, 1).await;
    // Nobody is told.
    execute(
        database.url(),
        "CREATE OR REPLACE FUNCTION guildhall.chronicle_entries_appended() RETURNS trigger
         LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    );
    append_one(&other, 1).await;
    assert_eq!(woken(waiter).await, Position::FIRST);
}

/// Anybody who may connect may tell anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_false_notices_fools_nobody() {
    let database = Database::create();
    let chronicle = open(&database, Duration::from_secs(60)).await;
    append_one(&chronicle, 1).await;
    let other = open(&database, LONG).await;
    let waiter = wait(&chronicle, 1);
    listeners(&database, 1).await;
    execute(
        database.url(),
        "SELECT count(pg_notify('guildhall:guildhall', told))
         FROM (SELECT (9007199254740991 - nth)::text FROM generate_series(0, 5000) AS nth
               UNION ALL VALUES ('-1'), ('x'), ('')) AS told (told)",
    );
    let wait = chronicle.wait_beyond(Position::new(1), Duration::from_millis(300));
    assert_eq!(timeout(SOON, wait).await.unwrap().unwrap(), Position::new(1));
    assert!(!waiter.is_finished());
    append_one(&other, 1).await;
    assert_eq!(woken(waiter).await, Position::new(2));
}

#[tokio::test]
async fn stores_in_two_schemas_do_not_wake_each_other() {
    let database = Database::create();
    let mut options = PostgresOptions::at(database.url());
    options.schema = "guild \"north\"".to_owned();
    options.poll_interval = LONG;
    let north = PostgresStore::open_with(options.clone()).await.unwrap().chronicle();
    options.schema = "Guild.South".to_owned();
    let south = PostgresStore::open_with(options).await.unwrap().chronicle();
    let waiter = wait(&north, 0);
    listeners(&database, 1).await;
    append_one(&south, 1).await;
    append_one(&south, 2).await;
    assert!(!waiter.is_finished());
    let other_handle = north.clone();
    append_one(&other_handle, 1).await;
    assert_eq!(woken(waiter).await, Position::FIRST);
    assert_eq!(south.head().await.unwrap().position, Position::new(2));
}

#[tokio::test]
async fn a_wait_answers_at_once_what_is_there_and_when_its_patience_ends() {
    let database = Database::create();
    let chronicle = open(&database, LONG).await;
    let none = timeout(SOON, chronicle.wait_beyond(Position::ZERO, Duration::from_millis(20)));
    assert_eq!(none.await.unwrap().unwrap(), Position::ZERO);
    append_one(&chronicle, 1).await;
    let there = timeout(SOON, chronicle.wait_beyond(Position::ZERO, Duration::MAX));
    assert_eq!(there.await.unwrap().unwrap(), Position::FIRST);
}
