//! A log outside any store, for what needs entries and batches alone.

use std::collections::HashMap;

use guildhall_core::{
    Batch, Entry, LeafHash, NewEntry, Origin, Position, StreamId, Timestamp, Version,
};

use crate::reference::leaf_hash;

/// Consecutive entries from position 1 on, under one origin.
#[derive(Debug, Clone)]
pub struct Log {
    origin: Origin,
    entries: Vec<Entry>,
    versions: HashMap<StreamId, Version>,
}

impl Log {
    /// The log of these entries.
    pub fn of(entries: impl IntoIterator<Item = NewEntry>) -> Self {
        let mut log =
            Self { origin: Origin::unique(), entries: Vec::new(), versions: HashMap::new() };
        entries.into_iter().for_each(|entry| log.push(entry));
        log
    }

    /// Adds an entry. One that has no time of its own has the earliest there is.
    pub fn push(&mut self, new: NewEntry) {
        let position = self.head().next().unwrap();
        let version = self.versions.entry(new.stream_id).or_default();
        *version = version.next().unwrap();
        let mut entry = Entry {
            position,
            event_id: new.event_id,
            stream_id: new.stream_id,
            version: *version,
            event_type: new.event_type,
            payload: new.payload.into_string().into(),
            metadata: new.metadata,
            recorded_at: new.recorded_at.unwrap_or(Timestamp::MIN),
            leaf_hash: LeafHash::from_bytes([0; 32]),
        };
        entry.leaf_hash = leaf_hash(&entry, &self.origin);
        self.entries.push(entry);
    }

    /// The name that its leaf hashes commit to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where it ends.
    pub fn head(&self) -> Position {
        Position::try_from(self.entries.len() as u64).unwrap()
    }

    /// At most `count` entries after `after`.
    pub fn batch(&self, after: Position, count: usize) -> Batch {
        let entries = self.after(after);
        self.decode(entries[..count.min(entries.len())].to_vec())
    }

    /// All entries after `after`.
    pub fn rest(&self, after: Position) -> Batch {
        self.decode(self.after(after).to_vec())
    }

    fn after(&self, after: Position) -> &[Entry] {
        let after = usize::try_from(after.get()).unwrap_or(usize::MAX);
        &self.entries[after.min(self.entries.len())..]
    }

    fn decode(&self, entries: Vec<Entry>) -> Batch {
        match Batch::decode(self.origin.clone(), entries) {
            Ok(batch) => batch,
            Err(gap) => std::panic::panic_any(gap.to_string()),
        }
    }
}
