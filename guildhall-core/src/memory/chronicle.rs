//! The Chronicle as a vector.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::lock;
use super::seals::Proof;
use crate::chronicle::{Append, AppendError, Appended, Chronicle, Entry, Head, Origin, ReadLimit};
use crate::error::StoreError;
use crate::ids::{EventId, Position, StreamId, Version};
use crate::json::MAX_PAYLOAD_BYTES;
use crate::store::{Admitted, AppendState, Recorded};
use crate::time::now;

/// A Chronicle in memory (see [`Chronicle`] for what it promises; it is durable as long as one of
/// its handles lives). Clones are cheap and share everything.
///
/// Waiting needs a Tokio runtime whose time is enabled.
#[derive(Debug, Clone)]
pub struct MemoryChronicle {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    payload_limit_bytes: usize,
    pub(super) log: Mutex<Log>,
    head: watch::Sender<Position>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    origin: Option<Origin>,
    pub(super) entries: Vec<Entry>,
    /// The positions of each stream's entries, by version.
    streams: HashMap<StreamId, Vec<Position>>,
    ids: HashMap<EventId, Position>,
    pub(super) proof: Proof,
}

impl Default for MemoryChronicle {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryChronicle {
    /// An empty Chronicle whose origin is not fixed yet.
    pub fn new() -> Self {
        Self::with_payload_limit(MAX_PAYLOAD_BYTES)
    }

    /// The same, which refuses payloads of more than so many bytes;
    /// [`MAX_PAYLOAD_BYTES`] by default.
    pub fn with_payload_limit(payload_limit_bytes: usize) -> Self {
        let head = watch::Sender::new(Position::ZERO);
        Self { shared: Arc::new(Shared { payload_limit_bytes, log: Mutex::default(), head }) }
    }
}

impl Log {
    pub(super) fn head(&self) -> Position {
        self.entries.last().map_or(Position::ZERO, |entry| entry.position)
    }

    fn entry(&self, position: Position) -> Option<&Entry> {
        self.entries.get(index(position.previous()))
    }

    /// What an append is judged against.
    fn state(&self, append: &Append, origin: Origin, payload_limit_bytes: usize) -> AppendState {
        let mut state = AppendState::new(origin, self.head(), payload_limit_bytes);
        for stream in AppendState::streams(append) {
            let entries = self.streams.get(&stream).map_or(0, Vec::len);
            let version = Version::ZERO.checked_add(entries as u64).unwrap_or(Version::MAX);
            state.know_version(stream, version);
        }
        for new in &append.entries {
            let recorded = self.ids.get(&new.event_id).and_then(|position| self.entry(*position));
            let Some(entry) = recorded else { continue };
            state.know_recorded(new.event_id, Recorded::from(entry));
        }
        state
    }

    fn push(&mut self, entry: Entry) {
        self.streams.entry(entry.stream_id).or_default().push(entry.position);
        self.ids.insert(entry.event_id, entry.position);
        self.entries.push(entry);
    }
}

#[async_trait]
impl Chronicle for MemoryChronicle {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        Ok(lock(&self.shared.log).origin.clone())
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        Ok(lock(&self.shared.log).origin.get_or_insert(origin).clone())
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        let (head, answers) = {
            let mut log = lock(&self.shared.log);
            let origin = log.origin.clone().unwrap_or_else(Origin::unique);
            let mut state = log.state(&append, origin.clone(), self.shared.payload_limit_bytes);
            let Admitted { entries, answers } = state.admit(append, now())?;
            if !entries.is_empty() {
                log.origin = Some(origin);
            }
            entries.into_iter().for_each(|entry| log.push(entry));
            (log.head(), answers)
        };
        // Two appends may come here the other way round.
        self.shared.head.send_if_modified(|told| {
            let is_news = head > *told;
            *told = head.max(*told);
            is_news
        });
        Ok(answers)
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        let log = lock(&self.shared.log);
        Ok(limited(log.entries.iter().skip(index(after)), limit))
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        let log = lock(&self.shared.log);
        let positions = log.streams.get(&stream).map_or(&[][..], Vec::as_slice);
        let after = usize::try_from(after.get()).unwrap_or(usize::MAX);
        let entries = positions.iter().skip(after).filter_map(|position| log.entry(*position));
        Ok(limited(entries, limit))
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let log = lock(&self.shared.log);
        Ok(Head {
            position: log.head(),
            leaf_hash: log.entries.last().map(|entry| entry.leaf_hash),
        })
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        let mut head = self.shared.head.subscribe();
        let beyond = head.wait_for(|head| *head > position);
        // The sender lives as long as `self`; patience may run out.
        let waited = tokio::time::timeout(patience, beyond).await;
        drop(waited);
        let reached = *self.shared.head.borrow();
        Ok(reached)
    }
}

/// Where the entry after `position` stands in the vector.
pub(super) fn index(position: Position) -> usize {
    usize::try_from(position.get()).unwrap_or(usize::MAX)
}

fn limited<'e>(entries: impl Iterator<Item = &'e Entry>, limit: ReadLimit) -> Vec<Entry> {
    let mut read: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        if limit.is_reached(read.len(), bytes, entry.payload.len()) {
            break;
        }
        bytes += entry.payload.len();
        read.push(entry.clone());
    }
    read
}
