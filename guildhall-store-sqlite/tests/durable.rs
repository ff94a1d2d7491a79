//! A process that dies takes with it nothing that it was told is recorded.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{event, new_folder};
use guildhall_core::{Append, Chronicle, EventId, NewEntry, Position, ReadLimit};
use guildhall_store_sqlite::SqliteStore;

const FOR_CHILD: &str = "GUILDHALL_TEST_APPEND_TO";

/// Not a test of its own: what the child process of the next one runs. It appends from eight tasks
/// until it is killed, and prints the id and position of what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(FOR_CHILD).map(PathBuf::from) else { return };
    let chronicle = SqliteStore::open(path).await.unwrap().chronicle();
    let writers = (0..8u128).map(|nth| {
        let chronicle = chronicle.clone();
        tokio::spawn(async move {
            for _ in 0..100_000 {
                let entries = [NewEntry::new(&event(nth)), NewEntry::new(&event(nth + 8))];
                let ids = entries.clone().map(|entry| entry.event_id);
                let answers = chronicle.append(Append::of(entries)).await.unwrap();
                let mut out = std::io::stdout().lock();
                for (id, answer) in ids.iter().zip(answers) {
                    writeln!(out, "ack {id} {}", answer.position).unwrap();
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let mut acknowledged: Vec<(Position, EventId)> = Vec::new();
    for round in 1..=8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_appends_until_it_is_killed", "--nocapture"])
            .env(FOR_CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |most: usize| {
            for line in lines.by_ref().map_while(Result::ok).take(most) {
                // The harness's own output, and a line cut off by the kill, are no such lines.
                let mut words = line.split(' ').skip_while(|word| !word.ends_with("ack")).skip(1);
                if let (Some(Ok(id)), Some(Ok(position))) =
                    (words.next().map(str::parse), words.next().map(str::parse))
                {
                    acknowledged.push((Position::new(position), id));
                }
            }
        };
        take(31 * round);
        child.kill().unwrap();
        child.wait().unwrap();
        take(usize::MAX);
    }
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());

    let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap();
    for (position, id) in acknowledged {
        let at = usize::try_from(position.get()).unwrap() - 1;
        assert_eq!(entries[at].event_id, id, "position {position}");
    }
    assert!(entries.iter().all(|entry| entry.leaf_hash == entry.compute_leaf_hash(&origin)));
    // Both events of an append, or neither.
    assert!(entries.chunks(2).all(|pair| pair.len() == 2));
    assert_eq!(chronicle.head().await.unwrap().position, entries.last().unwrap().position);
}
