//! A file that is removed or replaced under an open store: nothing is acknowledged into nowhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{append_one, batch_of_all, event, new_folder};
use guildhall_core::{
    Append, ApplyError, Chronicle, LogFault, NewEntry, OPS_DB, OpsDb, Position, Projector,
    ReadLimit, StoreError,
};
use guildhall_store_sqlite::SqliteStore;

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
