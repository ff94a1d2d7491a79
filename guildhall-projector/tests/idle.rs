//! What a projector does while there is nothing to do: it renews its lease, and looks as often as its
//! settings say. Time is virtual.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::{
    Append, AppendError, Appended, Applied, ApplyError, Batch, Checkpoint, Chronicle, DecodedEntry,
    Entry, Head, Lease, Origin, Position, Projector, ReadLimit, StoreError, StreamId, Version,
};
use guildhall_projector::{Runtime, Settings, State};
use support::stores;
use tokio::time::sleep;

const LEASE: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a store is asked.
#[derive(Debug, Default)]
struct Asked {
    renewals: AtomicU64,
    batches: AtomicU64,
    waits: AtomicU64,
    reads: AtomicU64,
}

impl Asked {
    fn so_far(&self) -> [u64; 4] {
        [&self.renewals, &self.batches, &self.waits, &self.reads]
            .map(|calls| calls.load(Ordering::Relaxed))
    }
}

fn count(calls: &AtomicU64) {
    calls.fetch_add(1, Ordering::Relaxed);
}

struct Counted<S> {
    inner: S,
    asked: Arc<Asked>,
}

#[async_trait]
impl<P: Projector> Projector for Counted<P> {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.inner.checkpoint().await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        count(&self.asked.batches);
        self.inner.apply(batch).await
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        count(&self.asked.renewals);
        self.inner.hold_lease().await
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        self.inner.release_lease().await
    }

    fn lease_time(&self) -> Duration {
        LEASE
    }
}

#[async_trait]
impl<C: Chronicle> Chronicle for Counted<Arc<C>> {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.inner.origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.inner.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.inner.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        count(&self.asked.reads);
        self.inner.read(after, limit).await
    }

    async fn read_decoded(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<DecodedEntry>, StoreError> {
        count(&self.asked.reads);
        self.inner.read_decoded(after, limit).await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.head().await
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        count(&self.asked.waits);
        self.inner.wait_beyond(position, patience).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_minute_renews_the_lease_and_writes_nothing() {
    let (chronicle, ops_db) = stores(20).await;
    let asked = Arc::new(Asked::default());
    let counted = Counted { inner: chronicle, asked: Arc::clone(&asked) };
    let projector = Counted { inner: ops_db.projector(), asked: Arc::clone(&asked) };
    let settings = Settings::default().patience(PATIENCE);
    let runtime = Runtime::spawn(Arc::new(counted), Arc::new(projector), settings);
    runtime.wait_until(Position::new(20)).await.unwrap();
    // Between two renewals.
    sleep(Duration::from_millis(500)).await;
    assert_eq!(runtime.status().state, State::Live);

    let before = asked.so_far();
    sleep(Duration::from_secs(60)).await;
    let after = asked.so_far();
    let [renewals, batches, waits, reads] = std::array::from_fn(|nth| after[nth] - before[nth]);
    assert_eq!((renewals, batches), (12, 0), "a third of the lease's time is 5 s");
    assert!((59..=61).contains(&waits), "{waits} waits of a second each");
    // One a wait, and one a renewal that looks whether the log is still the one it was.
    assert!(reads <= waits + renewals + 1, "{reads} reads");
    runtime.shutdown().await.unwrap();
}
