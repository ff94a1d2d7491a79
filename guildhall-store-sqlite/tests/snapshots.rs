//! Snapshots end: when they are dropped, when their time is up, and with the store.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use guildhall_core::{
    AccordBound, Append, Chronicle, Json, NewEntry, OpsDb, SnapshotEnded, Timestamp,
};
use guildhall_store_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::Connection;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// A store whose snapshots are bounded so, and the folder that it is in.
async fn store(snapshot_time: Duration) -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::at(folder.path().join("g.db"));
    options.snapshot_time = snapshot_time;
    let store = SqliteStore::open_with(options).await.unwrap();
    append(&store).await;
    (folder, store)
}

async fn append(store: &SqliteStore) {
    let accord = AccordBound::new("DNS", "board", Json::parse("{}").unwrap(), Timestamp::MIN);
    store.chronicle().append(Append::of([NewEntry::new(&accord.into())])).await.unwrap();
}

/// Whether somebody keeps an older moment, so that the log cannot be folded in whole.
fn is_kept(path: &Path) -> bool {
    let connection = Connection::open(path.join("g.db")).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap()
}

async fn until_it_is_not_kept(path: &Path) {
    let let_go = async {
        while is_kept(path) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, let_go).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_that_is_dropped_keeps_nothing() {
    let (folder, store) = store(Duration::from_secs(600)).await;
    let moment = store.ops_db().snapshot().await.unwrap();
    append(&store).await;
    assert!(is_kept(folder.path()));
    moment.overview().await.unwrap();
    drop(moment);
    until_it_is_not_kept(folder.path()).await;
}

#[tokio::test]
async fn a_snapshot_whose_time_is_up_ends_by_itself_and_says_so() {
    let (folder, store) = store(Duration::from_millis(50)).await;
    let moment = store.ops_db().snapshot().await.unwrap();
    append(&store).await;
    until_it_is_not_kept(folder.path()).await;
    let error = moment.overview().await.unwrap_err();
    assert!(error.is_transient() && error.source.is::<SnapshotEnded>(), "{error:?}");
    store.ops_db().snapshot().await.unwrap().overview().await.unwrap();
}

#[tokio::test]
async fn a_store_closes_while_a_snapshot_is_held() {
    let (folder, store) = store(Duration::from_secs(600)).await;
    let moment = store.ops_db().snapshot().await.unwrap();
    timeout(SOON, store.close()).await.unwrap().unwrap();
    assert!(!moment.overview().await.unwrap_err().is_transient());
    assert!(store.ops_db().snapshot().await.is_err());
    assert!(!folder.path().join("g.db-wal").exists());
}

#[tokio::test]
async fn however_many_snapshots_are_held_others_may_ask() {
    let (_folder, store) = store(Duration::from_secs(600)).await;
    let ops_db = store.ops_db();
    let mut held = Vec::new();
    for _ in 0..2 * store.options().readers {
        held.push(ops_db.snapshot().await.unwrap());
    }
    timeout(SOON, ops_db.overview()).await.unwrap().unwrap();
}
