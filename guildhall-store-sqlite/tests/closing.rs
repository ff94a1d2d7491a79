//! Closing: afterwards everything is in the one file, and nothing is beside it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{append_one, batch_of_all, new_folder};
use guildhall_core::{Chronicle, OPS_DB, OpsDb, Position, Projector, ReadLimit, Rebuild};
use guildhall_store_sqlite::{CloseError, SqliteOptions, SqliteStore};
use rusqlite::Connection;

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// How many entries a copy of the one file holds.
async fn entries_of_a_copy(path: &Path) -> usize {
    let folder = new_folder();
    let copy = folder.path().join("copy.db");
    fs::copy(path, &copy).unwrap();
    let store = SqliteStore::open(&copy).await.unwrap();
    store.chronicle().read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap().len()
}

#[tokio::test]
async fn a_closed_store_is_one_file_that_holds_everything() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let store = SqliteStore::open(&path).await.unwrap();
    // Whoever else holds a handle keeps it.
    let (chronicle, ops_db) = (store.chronicle(), store.ops_db());
    let projector = store.projector().start().unwrap();
    append_one(&chronicle, 1).await;
    projector.apply(batch_of_all(&chronicle).await).await.unwrap();
    let generation = projector.begin_rebuild().await.unwrap();
    assert_eq!(names(folder.path()), ["g.db", "g.db-lease", "g.db-shm", "g.db-wal"]);

    store.close().await.unwrap();
    assert_eq!(names(folder.path()), ["g.db"]);
    assert_eq!(entries_of_a_copy(&path).await, 1);
    for refused in [
        chronicle.head().await.unwrap_err(),
        chronicle.fix_origin("late".parse().unwrap()).await.unwrap_err(),
        ops_db.checkpoint(OPS_DB).await.unwrap_err(),
        projector.checkpoint().await.unwrap_err(),
        store.projector().start().unwrap_err(),
    ] {
        assert!(!refused.is_transient(), "{refused}");
        assert_eq!(refused.source.to_string(), "the store is closed");
    }
    store.close().await.unwrap();
    drop(generation);
    assert_eq!(names(folder.path()), ["g.db"]);
}

#[tokio::test]
async fn dropping_the_last_handle_closes_whichever_it_is() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    for last in 0..5 {
        let store = SqliteStore::open(&path).await.unwrap();
        let chronicle = store.chronicle();
        append_one(&chronicle, 1).await;
        let projector = store.projector().start().unwrap();
        let generation = projector.begin_rebuild().await.unwrap();
        let mut handles: Vec<Box<dyn std::any::Any>> = vec![
            Box::new(store.ops_db()),
            Box::new(store),
            Box::new(chronicle),
            Box::new(projector),
            Box::new(generation),
        ];
        let kept = handles.swap_remove(last);
        drop(handles);
        assert_eq!(names(folder.path()).len(), 3, "{last}");
        drop(kept);
        assert_eq!(names(folder.path()), ["g.db"], "{last}");
        assert_eq!(entries_of_a_copy(&path).await, last + 1);
    }
}

#[tokio::test]
async fn two_files_are_closed_both() {
    let folder = new_folder();
    let mut options = SqliteOptions::at(folder.path().join("chronicle.db"));
    options.ops_path = Some(folder.path().join("ops.db"));
    let store = SqliteStore::open_with(options).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    let projector = store.projector().start().unwrap();
    projector.apply(batch_of_all(&store.chronicle()).await).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(names(folder.path()), ["chronicle.db", "ops.db"]);
}

#[tokio::test]
async fn another_store_may_stay_open_and_the_file_is_whole_all_the_same() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let (store, other) =
        (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    append_one(&store.chronicle(), 1).await;
    store.close().await.unwrap();
    assert_eq!(entries_of_a_copy(&path).await, 1);
    append_one(&other.chronicle(), 1).await;
    other.close().await.unwrap();
    assert_eq!(names(folder.path()), ["g.db"]);
}

#[tokio::test]
async fn a_reader_elsewhere_that_keeps_the_log_is_said() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let mut options = SqliteOptions::at(&path);
    options.busy_timeout = Duration::from_millis(20);
    let store = SqliteStore::open_with(options).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM chronicle_entries").unwrap();
    append_one(&store.chronicle(), 1).await;

    let error = store.close().await.unwrap_err();
    assert!(matches!(error, CloseError::InUse { .. }), "{error:?}");
    assert!(error.is_transient());
    reader.execute_batch("END").unwrap();
    store.close().await.unwrap();
    assert_eq!(entries_of_a_copy(&path).await, 2);
}
