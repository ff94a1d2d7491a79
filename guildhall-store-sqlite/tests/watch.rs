//! Waiting for the log to grow. The slow poll is a minute here, so a wake-up is a wake-up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{append_one, new_folder};
use guildhall_core::{Chronicle, Position};
use guildhall_store_sqlite::{SqliteChronicle, SqliteOptions, SqliteStore};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(3600);

async fn open(path: &std::path::Path) -> SqliteChronicle {
    let mut options = SqliteOptions::at(path);
    options.poll_interval = Duration::from_secs(60);
    SqliteStore::open_with(options).await.unwrap().chronicle()
}

/// Appends the next entry as another process would, through a connection of its own.
fn append_as_stranger(path: &std::path::Path) {
    let stranger = rusqlite::Connection::open(path).unwrap();
    stranger.busy_timeout(SOON).unwrap();
    stranger
        .execute(
            "INSERT INTO chronicle_entries
             SELECT max(position) + 1, randomblob(16), randomblob(16), 1, event_type, payload,
                    metadata, recorded_at, leaf_hash FROM chronicle_entries",
            [],
        )
        .unwrap();
}

#[tokio::test]
async fn a_commit_of_this_process_wakes_every_waiter() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    // Two stores on one file share what they know.
    let (first, second) = (open(&path).await, open(&path).await);
    let waiters: Vec<_> = (0..8)
        .map(|nth| {
            let chronicle = if nth % 2 == 0 { first.clone() } else { second.clone() };
            tokio::spawn(
                async move { chronicle.wait_beyond(Position::new(2), LONG).await.unwrap() },
            )
        })
        .collect();
    for _ in 0..3 {
        append_one(&first, 1).await;
    }
    for waiter in waiters {
        let reached = timeout(SOON, waiter).await.unwrap().unwrap();
        assert_eq!(reached, Position::new(3));
    }
}

#[tokio::test]
async fn a_commit_of_a_stranger_wakes_a_waiter() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let chronicle = open(&path).await;
    append_one(&chronicle, 1).await;
    for after in 1..4 {
        let waiter = {
            let chronicle = chronicle.clone();
            tokio::spawn(async move { chronicle.wait_beyond(Position::new(after), LONG).await })
        };
        // Long enough asleep that the waiter's own looks have become rare: a wait that ends by
        // time-out is the test's way to let time pass.
        let beyond = chronicle.wait_beyond(Position::new(99), Duration::from_millis(700)).await;
        assert_eq!(beyond.unwrap(), Position::new(after));
        let (path, begun) = (path.clone(), Instant::now());
        tokio::task::spawn_blocking(move || append_as_stranger(&path)).await.unwrap();
        let reached = timeout(SOON, waiter).await.unwrap().unwrap().unwrap();
        assert_eq!(reached, Position::new(after + 1));
        assert!(begun.elapsed() < SOON);
    }
}

#[tokio::test]
async fn a_wait_answers_at_once_what_is_there_and_when_its_patience_ends() {
    let folder = new_folder();
    let chronicle = open(&folder.path().join("g.db")).await;
    let none = timeout(SOON, chronicle.wait_beyond(Position::ZERO, Duration::from_millis(20)));
    assert_eq!(none.await.unwrap().unwrap(), Position::ZERO);
    append_one(&chronicle, 1).await;
    let there = timeout(SOON, chronicle.wait_beyond(Position::ZERO, Duration::MAX));
    assert_eq!(there.await.unwrap().unwrap(), Position::FIRST);
}
