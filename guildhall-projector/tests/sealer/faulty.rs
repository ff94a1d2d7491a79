//! A Chronicle that fails or lies where a test wants it to.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{
    Append, AppendError, Appended, Chronicle, Entry, Head, HolderId, LeafHash, Lease, NewSeal,
    Origin, Position, ReadLimit, SaveSealError, Seals, StoreError, StoredCosignature, StoredSeal,
    StoredStream, StoredTile, StreamId, Version,
};

/// What fails once: before anything is done, or after all is, when only the answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fails {
    BeforeAppend,
    AfterAppend,
    BeforeSave,
    AfterSave,
    BeforeCosignature,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    log: MemoryChronicle,
    fails: Mutex<HashSet<Fails>>,
    altered: Mutex<Option<Position>>,
    left_out: Mutex<Option<Position>>,
    entries_read: AtomicUsize,
}

impl Faulty {
    pub(crate) fn over(log: MemoryChronicle) -> Self {
        Self {
            log,
            fails: Mutex::default(),
            altered: Mutex::default(),
            left_out: Mutex::default(),
            entries_read: AtomicUsize::default(),
        }
    }

    pub(crate) fn fail(&self, fails: Fails) {
        self.fails.lock().unwrap().insert(fails);
    }

    /// From now on, the entry at this position has another payload, and its leaf hash another byte.
    pub(crate) fn alter(&self, position: Position) {
        *self.altered.lock().unwrap() = Some(position);
    }

    /// From now on, there is no entry at this position.
    pub(crate) fn leave_out(&self, position: Position) {
        *self.left_out.lock().unwrap() = Some(position);
    }

    pub(crate) fn entries_read(&self) -> usize {
        self.entries_read.load(Ordering::Relaxed)
    }

    fn check(&self, fails: Fails) -> Result<(), StoreError> {
        if self.fails.lock().unwrap().remove(&fails) {
            return Err(StoreError::transient("failing on purpose", format!("{fails:?}")));
        }
        Ok(())
    }
}

#[async_trait]
impl Chronicle for Faulty {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.log.origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.log.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.check(Fails::BeforeAppend)?;
        let appended = self.log.append(append).await?;
        self.check(Fails::AfterAppend)?;
        Ok(appended)
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.log.read(after, limit).await?;
        self.entries_read.fetch_add(entries.len(), Ordering::Relaxed);
        let altered = *self.altered.lock().unwrap();
        for entry in entries.iter_mut().filter(|entry| Some(entry.position) == altered) {
            entry.payload = entry.payload.replace("zones", "zone5").into();
        }
        let left_out = *self.left_out.lock().unwrap();
        entries.retain(|entry| Some(entry.position) != left_out);
        Ok(entries)
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.log.read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.log.head().await
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.log.wait_beyond(position, patience).await
    }
}

#[async_trait]
impl Seals for Faulty {
    async fn last_seal(&self) -> Result<Option<StoredSeal>, StoreError> {
        self.log.last_seal().await
    }

    async fn seals(&self, after: Position, limit: usize) -> Result<Vec<StoredSeal>, StoreError> {
        self.log.seals(after, limit).await
    }

    async fn seals_before(
        &self,
        before: Position,
        limit: usize,
    ) -> Result<Vec<StoredSeal>, StoreError> {
        self.log.seals_before(before, limit).await
    }

    async fn cosignatures(&self, size: Position) -> Result<Vec<StoredCosignature>, StoreError> {
        self.log.cosignatures(size).await
    }

    async fn tiles(
        &self,
        level: u8,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredTile>, StoreError> {
        self.log.tiles(level, from, limit).await
    }

    async fn leaf_hashes(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<LeafHash>, StoreError> {
        let mut hashes = self.log.leaf_hashes(after, limit).await?;
        let altered = *self.altered.lock().unwrap();
        for (position, hash) in (after.get() + 1..).zip(&mut hashes) {
            if altered.is_some_and(|altered| altered.get() == position) {
                *hash = LeafHash::from_bytes([7; 32]);
            }
        }
        Ok(hashes)
    }

    async fn streams(
        &self,
        after: Option<(u16, StreamId)>,
        limit: usize,
    ) -> Result<Vec<StoredStream>, StoreError> {
        self.log.streams(after, limit).await
    }

    async fn streams_in(&self, buckets: &[u16]) -> Result<Vec<StoredStream>, StoreError> {
        self.log.streams_in(buckets).await
    }

    async fn save_seal(&self, seal: NewSeal) -> Result<(), SaveSealError> {
        self.check(Fails::BeforeSave)?;
        self.log.save_seal(seal).await?;
        self.check(Fails::AfterSave)?;
        Ok(())
    }

    async fn save_cosignature(&self, cosignature: StoredCosignature) -> Result<bool, StoreError> {
        self.check(Fails::BeforeCosignature)?;
        self.log.save_cosignature(cosignature).await
    }

    async fn hold_seal_lease(
        &self,
        holder: HolderId,
        lease_time: Duration,
    ) -> Result<Lease, StoreError> {
        self.log.hold_seal_lease(holder, lease_time).await
    }

    async fn release_seal_lease(&self, holder: HolderId) -> Result<(), StoreError> {
        self.log.release_seal_lease(holder).await
    }
}
