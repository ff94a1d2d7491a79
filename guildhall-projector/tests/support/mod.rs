//! A log to project, and stores that fail when told to.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{
    AccordBound, Append, AppendError, Appended, Applied, ApplyError, Batch, Checkpoint, Chronicle,
    Difference, Entry, Generation, Head, Json, Lease, NewEntry, Origin, Position, Projector,
    ReadLimit, Rebuild, StoreError, StreamId, Timestamp, Version,
};
use guildhall_projector::Settings;

/// Appends so many accords, each in an entry of its own.
pub(crate) async fn append(chronicle: &dyn Chronicle, entries: usize) {
    for nth in 0..entries {
        let terms = Json::parse(r#"{"approvals":2}"#).unwrap();
        let accord = AccordBound::new(format!("accord {nth}"), "board", terms, Timestamp::MIN);
        chronicle.append(Append::of([NewEntry::new(&accord.into())])).await.unwrap();
    }
}

/// A Chronicle of so many entries and an empty Ops DB.
pub(crate) async fn stores(entries: usize) -> (Arc<MemoryChronicle>, MemoryOpsDb) {
    let chronicle = Arc::new(MemoryChronicle::new());
    append(&*chronicle, entries).await;
    (chronicle, MemoryOpsDb::new())
}

/// Small batches, short pauses.
pub(crate) fn settings() -> Settings {
    Settings::default()
        .read_entries(7)
        .patience(Duration::from_secs(60))
        .backoff_first(Duration::from_millis(1))
        .backoff_most(Duration::from_millis(5))
}

/// What a call is to do instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Nothing: it does its work.
    None,
    /// It fails before its work, in a way that passes.
    Transient,
    /// It does its work and fails all the same: the answer was lost.
    AnswerLost,
    /// It fails for good.
    Permanent,
    /// It panics.
    Panic,
}

/// Wraps a store so that its calls meet mishaps, in order; with none left they succeed.
pub(crate) struct Faulty<S> {
    pub(crate) inner: S,
    mishaps: Mutex<VecDeque<Mishap>>,
    pub(crate) calls: AtomicUsize,
}

impl<S> Faulty<S> {
    pub(crate) fn new(inner: S, mishaps: impl IntoIterator<Item = Mishap>) -> Self {
        let mishaps = Mutex::new(mishaps.into_iter().collect());
        Self { inner, mishaps, calls: AtomicUsize::new(0) }
    }

    /// What the next call meets; answers whether its answer is to be lost.
    fn meet(&self) -> Result<bool, StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.mishaps.lock().unwrap().pop_front().unwrap_or(Mishap::None) {
            Mishap::None => Ok(false),
            Mishap::AnswerLost => Ok(true),
            Mishap::Transient => Err(StoreError::transient("testing", "it will pass")),
            Mishap::Permanent => Err(StoreError::permanent("testing", "it will not pass")),
            Mishap::Panic => panic!("on purpose"),
        }
    }
}

fn unless_lost<T>(is_lost: bool, answer: T) -> Result<T, StoreError> {
    if is_lost { Err(StoreError::transient("testing", "the answer was lost")) } else { Ok(answer) }
}

#[async_trait]
impl<S: Projector> Projector for Faulty<S> {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.inner.checkpoint().await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        let is_lost = self.meet()?;
        let applied = self.inner.apply(batch).await?;
        Ok(unless_lost(is_lost, applied)?)
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        self.inner.hold_lease().await
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        self.inner.release_lease().await
    }

    fn lease_time(&self) -> Duration {
        self.inner.lease_time()
    }
}

#[async_trait]
impl<S: Rebuild> Rebuild for Faulty<S> {
    /// A generation whose swaps meet the mishaps that are left.
    async fn begin_rebuild(&self) -> Result<Box<dyn Generation>, StoreError> {
        let inner = self.inner.begin_rebuild().await?;
        let mishaps = std::mem::take(&mut *self.mishaps.lock().unwrap());
        Ok(Box::new(Faulty { inner, mishaps: Mutex::new(mishaps), calls: AtomicUsize::new(0) }))
    }
}

#[async_trait]
impl Generation for Faulty<Box<dyn Generation>> {
    fn checkpoint(&self) -> Checkpoint {
        self.inner.checkpoint()
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        self.inner.apply(batch).await
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        self.inner.seal().await
    }

    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError> {
        self.inner.differences(live).await
    }

    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        self.meet()?;
        self.inner.swap(rewind_from).await
    }
}

#[async_trait]
impl<S: Chronicle> Chronicle for Faulty<S> {
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
        let is_lost = self.meet()?;
        let entries = self.inner.read(after, limit).await?;
        unless_lost(is_lost, entries)
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
        self.inner.wait_beyond(position, patience).await
    }
}
