//! When it seals, and that of several one does.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Chronicle, Position, Seals};
use guildhall_projector::proof::{Sealer, SealerError, SealerSettings, SealerState};
use guildhall_store_sqlite::SqliteStore;

use crate::{Recording, append, assert_sealed, key, keys, log};

async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it takes too long")
}

fn hourly() -> SealerSettings {
    SealerSettings::default().every(Duration::from_secs(3600))
}

#[tokio::test]
async fn it_seals_after_so_many_entries_or_so_much_time() {
    for settings in [hourly().entries(5), hourly().every(Duration::from_millis(20))] {
        let log = Arc::new(log(3).await);
        let sink = Arc::new(Recording::default());
        let builder = Sealer::builder(log.clone(), Arc::new(key(1))).sink(sink.clone());
        let sealer = builder.settings(settings).start();
        // What was there before it is not made to wait.
        within(sealer.wait_until(Position::new(3))).await.unwrap();
        for _ in 0..3 {
            append(&*log, 6).await;
            let head = log.head().await.unwrap().position;
            within(sealer.wait_until(head)).await.unwrap();
        }
        within(sealer.shutdown()).await.unwrap();
        let status = sealer.status();
        assert_eq!((status.state, status.restarts), (SealerState::Stopped, 0));
        let sizes = assert_sealed(&*log, &keys()).await;
        assert_eq!(sizes.len() as u64, status.seals);
        assert!(sizes.len() >= 4);
        let told = sink.told.lock().unwrap().last().unwrap().size;
        assert_eq!(Some(&told), sizes.last());
    }
}

#[tokio::test]
async fn nothing_new_is_not_sealed() {
    let log = Arc::new(log(3).await);
    let settings = hourly().every(Duration::from_millis(1));
    let sealer = Sealer::builder(log.clone(), Arc::new(key(1))).settings(settings).start();
    within(sealer.wait_until(Position::new(3))).await.unwrap();
    // Time for hundreds of seals; only that they stay away can be waited for.
    assert_eq!(
        log.wait_beyond(Position::new(4), Duration::from_millis(200)).await.unwrap(),
        Position::new(4)
    );
    within(sealer.shutdown()).await.unwrap();
    assert_eq!(assert_sealed(&*log, &keys()).await, [4]);
}

#[tokio::test]
async fn a_second_sealer_stands_by_and_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let one = Arc::new(SqliteStore::open(&path).await.unwrap().chronicle());
    let other = Arc::new(SqliteStore::open(&path).await.unwrap().chronicle());
    one.fix_origin(crate::ORIGIN.parse().unwrap()).await.unwrap();
    append(&*one, 3).await;
    let settings = hourly().entries(1).lease_time(Duration::from_secs(3));
    let start = |log: &Arc<_>| {
        let log = Arc::clone(log) as Arc<dyn Seals>;
        Sealer::builder(log, Arc::new(key(1))).settings(settings.clone()).start()
    };
    let first = start(&one);
    within(first.wait_until(Position::new(3))).await.unwrap();
    let second = start(&other);
    let mut watched = second.watch_status();
    let stands_by = watched.wait_for(|status| matches!(status.state, SealerState::Standby { .. }));
    assert!(within(stands_by).await.unwrap().is_healthy());
    let refused = Sealer::builder(other.clone(), Arc::new(key(1))).seal().await;
    assert!(matches!(refused, Err(SealerError::Standby { .. })), "{refused:?}");
    within(first.shutdown()).await.unwrap();
    append(&*one, 3).await;
    within(second.wait_until(Position::new(7))).await.unwrap();
    within(second.shutdown()).await.unwrap();
    assert_sealed(&*one, &keys()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealers_without_a_lease_make_one_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let log = Arc::new(SqliteStore::open(&path).await.unwrap().chronicle());
    log.fix_origin(crate::ORIGIN.parse().unwrap()).await.unwrap();
    append(&*log, 3).await;
    let sink = Arc::new(Recording::default());
    // A lease of no time is lapsed at once: only the check against the last seal is left.
    let settings = hourly().entries(1).lease_time(Duration::ZERO).every(Duration::from_millis(1));
    let mut sealers = Vec::new();
    for _ in 0..2 {
        let log = Arc::new(SqliteStore::open(&path).await.unwrap().chronicle());
        let builder = Sealer::builder(log, Arc::new(key(1))).sink(sink.clone());
        sealers.push(builder.settings(settings.clone()).start());
    }
    for _ in 0..30 {
        append(&*log, 2).await;
        tokio::task::yield_now().await;
    }
    let head = log.head().await.unwrap().position;
    for sealer in &sealers {
        within(sealer.wait_until(head)).await.unwrap();
    }
    for sealer in &sealers {
        within(sealer.shutdown()).await.unwrap();
    }
    let sizes = assert_sealed(&*log, &keys()).await;
    assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
    for told in sink.told.lock().unwrap().iter() {
        assert!(sizes.contains(&told.size), "{told}");
    }
}

#[tokio::test]
async fn streams_that_somebody_changed_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let log = Arc::new(SqliteStore::open(&path).await.unwrap().chronicle());
    log.fix_origin(crate::ORIGIN.parse().unwrap()).await.unwrap();
    append(&*log, 30).await;
    Sealer::builder(log.clone(), Arc::new(key(1))).seal().await.unwrap();
    let owner = guildhall_store_sqlite::rusqlite::Connection::open(&path).unwrap();
    for change in [
        "UPDATE chronicle_streams SET leaf_hash = zeroblob(32)
         WHERE stream_id = (SELECT min(stream_id) FROM chronicle_streams)",
        "DELETE FROM chronicle_streams
         WHERE stream_id = (SELECT max(stream_id) FROM chronicle_streams)",
    ] {
        owner.execute(change, []).unwrap();
        append(&*log, 1).await;
        let refused = Sealer::builder(log.clone(), Arc::new(key(1))).seal().await;
        assert!(matches!(refused, Err(SealerError::IndexDiffers { .. })), "{refused:?}");
    }
    assert_eq!(log.seals(Position::ZERO, 9).await.unwrap().len(), 1);
}
