//! Stores that fail when told to, for tests of what has to live with that.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::{
    Append, AppendError, Appended, Applied, ApplyError, Batch, Checkpoint, Chronicle, Difference,
    Entry, Generation, Head, Lease, Origin, Position, Projector, ReadLimit, Rebuild, StoreError,
    StreamId, Version,
};

/// What a call is to do instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
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
#[derive(Debug)]
pub struct Faulty<S> {
    /// The store.
    pub inner: S,
    mishaps: Mutex<VecDeque<Mishap>>,
    /// How many calls met a mishap, or might have.
    pub calls: AtomicUsize,
}

impl<S> Faulty<S> {
    /// The store, whose calls are to meet these mishaps.
    pub fn new(inner: S, mishaps: impl IntoIterator<Item = Mishap>) -> Self {
        let mishaps = Mutex::new(mishaps.into_iter().collect());
        Self { inner, mishaps, calls: AtomicUsize::new(0) }
    }

    /// What the next call meets; returns whether its answer is to be lost.
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

    async fn gather(&self, batch: Batch) -> Result<Applied, ApplyError> {
        let is_lost = self.meet()?;
        let applied = self.inner.gather(batch).await?;
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
