//! A file that is removed or replaced under an open store: nothing is acknowledged into nowhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{append_one, batch_of_all, event, new_folder};
use guildhall_core::{
    Append, ApplyError, Chronicle, LogFault, NewEntry, OPS_DB, OpsDb, Position, Projector,
    ReadLimit, Rebuild, StoreError,
};
use guildhall_store_sqlite::{CloseError, SqliteStore};

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn assert_replaced(error: &StoreError, expected: &Path) {
    let replaced = LogFault::FileReplaced { path: expected.to_owned() };
    assert_eq!(error.log_fault(), Some(&replaced));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn nothing_is_acknowledged_projected_or_read_once_a_file_is_gone() {
    type Attack = fn(&Path);
    let attacks: [(&str, Attack); 5] = [
        ("", |path| fs::remove_file(path).unwrap()),
        ("", |path| {
            fs::copy(path, beside(path, ".copy")).unwrap();
            fs::rename(beside(path, ".copy"), path).unwrap();
        }),
        ("", |path| fs::rename(path, beside(path, ".old")).unwrap()),
        ("-wal", |path| fs::remove_file(beside(path, "-wal")).unwrap()),
        ("-wal", |path| {
            fs::remove_file(beside(path, "-wal")).unwrap();
            fs::write(beside(path, "-wal"), "").unwrap();
        }),
    ];
    for (nth, (suffix, attack)) in attacks.into_iter().enumerate() {
        let folder = new_folder();
        let path = folder.path().canonicalize().unwrap().join("g.db");
        let store = SqliteStore::open(&path).await.unwrap();
        let (chronicle, ops_db) = (store.chronicle(), store.ops_db());
        append_one(&chronicle, 1).await;
        let projector = store.projector().start().unwrap();
        let batch = batch_of_all(&chronicle).await;
        let waiter = tokio::spawn({
            let chronicle = chronicle.clone();
            async move { chronicle.wait_beyond(Position::new(9), Duration::from_secs(30)).await }
        });
        chronicle.wait_beyond(Position::new(9), Duration::from_millis(50)).await.unwrap();

        attack(&path);
        let gone = beside(&path, suffix);
        let append = Append::of([NewEntry::new(&event(1))]);
        let refused = match chronicle.append(append).await {
            Err(guildhall_core::AppendError::Store(error)) => error,
            other => panic!("attack {nth}: {other:?}"),
        };
        assert_replaced(&refused, &gone);
        match projector.apply(batch).await {
            Err(ApplyError::Store(error)) => assert_replaced(&error, &gone),
            other => panic!("attack {nth}: {other:?}"),
        }
        assert_replaced(&waiter.await.unwrap().unwrap_err(), &gone);
        for refused in [
            chronicle.read(Position::ZERO, ReadLimit::entries(1)).await.unwrap_err(),
            chronicle.fix_origin("other".parse().unwrap()).await.unwrap_err(),
            ops_db.checkpoint(OPS_DB).await.unwrap_err(),
            projector.hold_lease().await.unwrap_err(),
            projector.checkpoint().await.unwrap_err(),
        ] {
            assert_replaced(&refused, &gone);
        }
    }
}

/// Another file than the store's takes its place, and the log stays.
async fn replace(path: &Path) -> Vec<u8> {
    let other = path.with_file_name("other.db");
    let store = SqliteStore::open(&other).await.unwrap();
    for seed in 0..50 {
        append_one(&store.chronicle(), seed).await;
    }
    store.close().await.unwrap();
    fs::rename(&other, path).unwrap();
    fs::read(path).unwrap()
}

#[tokio::test]
async fn closing_leaves_a_file_alone_that_took_the_stores_place() {
    let folder = new_folder();
    let path = folder.path().canonicalize().unwrap().join("g.db");
    let store = SqliteStore::open(&path).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    let projector = store.projector().start().unwrap();
    let replacement = replace(&path).await;
    let log = fs::read(beside(&path, "-wal")).unwrap();
    assert!(!log.is_empty());

    assert_replaced(&store.projector().start().unwrap_err(), &path);
    assert_replaced(&projector.begin_rebuild().await.map(drop).unwrap_err(), &path);
    for _ in 0..2 {
        match store.close().await {
            Err(CloseError::Store { source, .. }) => assert_replaced(&source, &path),
            other => panic!("{other:?}"),
        }
        assert!(fs::read(&path).unwrap() == replacement);
        assert!(fs::read(beside(&path, "-wal")).unwrap() == log);
    }
    // As the documentation of closing says.
    fs::remove_file(beside(&path, "-wal")).unwrap();
    fs::remove_file(beside(&path, "-shm")).unwrap();
    let check: String = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.chronicle().head().await.unwrap().position, Position::new(50));
}

#[tokio::test]
async fn no_projector_or_rebuild_begins_beside_a_log_that_was_replaced() {
    let folder = new_folder();
    let path = folder.path().canonicalize().unwrap().join("g.db");
    let store = SqliteStore::open(&path).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    let projector = store.projector().start().unwrap();
    fs::remove_file(beside(&path, "-wal")).unwrap();
    let gone = beside(&path, "-wal");
    assert_replaced(&store.projector().start().unwrap_err(), &gone);
    assert_replaced(&projector.begin_rebuild().await.map(drop).unwrap_err(), &gone);
}
