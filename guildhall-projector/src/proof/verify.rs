//! Verifying a log: reading it for `guildhall-proof`, and hashing it on two threads.

use std::sync::Arc;

use guildhall_core::{
    Decoded, Origin, Position, ReadLimit, Seals, StoreError, StoredSeal, StoredStream, StreamId,
    Unchecked, Version,
};
use guildhall_proof::SignedSeal;
use guildhall_proof::index::StreamRecord;
use guildhall_proof::verify::{self, CheckedEntry, Known, VerifyReport, Verifying};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// How many entries are read, and hashed on two threads, at a time.
const READ_ENTRIES: usize = 4_096;

/// How many rows of the proof's tables are read at a time.
const READ_ROWS: usize = 1_000;

/// How many levels of tiles a tree of 2^64 leaves has.
const TILE_LEVELS: u8 = 8;

/// How often the last seal may move while the records of streams are read.
const ROUNDS: u32 = 20;

/// Why a log could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log has no name: it has no entry, and no seal or key was brought.
    #[error("the log has no entry and no name, so there is nothing to verify")]
    Nothing,
    /// It was sealed again and again while the records of its streams were read. Try again.
    #[error("the log was sealed again each time before its streams could be compared")]
    Unsteady,
    /// A task panicked: a bug in a store, or here.
    #[error("a task panicked")]
    Panicked(#[from] JoinError),
}

/// Whether the log is what was sealed: every leaf hash, dense positions and versions, tiles, every stored
/// seal and those from `outside` (each with what it is called), the index entries and the records of
/// streams. It may be appended to and sealed meanwhile. `progress` is called with the last position that
/// was read.
///
/// Memory is 56 bytes for each stream, twice while their records are compared, and a few megabytes.
///
/// # Errors
/// [`VerifyError`]: nothing can be said. What is wrong with the log is in the report.
pub async fn verify(
    log: Arc<dyn Seals>,
    known: Known,
    outside: Vec<(String, SignedSeal)>,
    progress: impl FnMut(Position) + Send,
) -> Result<VerifyReport, VerifyError> {
    let stored = log.origin().await?;
    let last_seal = log.last_seal().await?;
    let origin = name_of(&known, &outside, last_seal.as_ref(), stored.as_ref());
    let origin = origin.ok_or(VerifyError::Nothing)?;
    let has_witnesses = known.witnesses.is_some();
    let mut verifying = Verifying::new(origin.clone(), known);
    verifying.stored_origin(stored);
    for (name, seal) in outside {
        verifying.outside(&name, seal);
    }
    let origin = Arc::new(origin);
    let mut reading = Reading {
        log,
        origin,
        verifying,
        has_witnesses,
        seals_after: Position::ZERO,
        announced: Version::ZERO,
        position: Position::ZERO,
        progress,
    };
    let streams = reading.sealed_part().await?;
    for stream in streams {
        let StoredStream { bucket, stream_id, version, leaf_hash } = stream;
        reading.verifying.stream(bucket, StreamRecord { stream: stream_id, version, leaf_hash });
    }
    reading.tiles().await?;
    reading.entries(Position::MAX).await?;
    reading.verifying.ended();
    Ok(reading.verifying.finish())
}

/// What the log is called, by whoever knows best.
fn name_of(
    known: &Known,
    outside: &[(String, SignedSeal)],
    last_seal: Option<&StoredSeal>,
    stored: Option<&Origin>,
) -> Option<Origin> {
    let of_keys = known.keys.as_ref().map(|keys| keys.origin().clone());
    let of_outside = || outside.first().map(|(_, seal)| seal.seal().origin.clone());
    let of_seal = || Some(SignedSeal::parse(&last_seal?.note).ok()?.seal().origin.clone());
    of_keys.or_else(of_outside).or_else(of_seal).or_else(|| stored.cloned())
}

struct Reading<P> {
    log: Arc<dyn Seals>,
    origin: Arc<Origin>,
    verifying: Verifying,
    has_witnesses: bool,
    /// The size of the last seal that was read.
    seals_after: Position,
    /// The last version of the stream of index entries that was looked at.
    announced: Version,
    /// The last position that was read.
    position: Position,
    progress: P,
}

impl<P: FnMut(Position) + Send> Reading<P> {
    /// Reads up to the last seal, and the records of streams as they were saved with it.
    async fn sealed_part(&mut self) -> Result<Vec<StoredStream>, VerifyError> {
        for _ in 0..ROUNDS {
            self.seals().await?;
            self.entries(self.seals_after).await?;
            let streams = self.streams().await?;
            let last = self.log.last_seal().await?;
            if last.map_or(Position::ZERO, |seal| seal.size) <= self.seals_after {
                return Ok(streams);
            }
        }
        Err(VerifyError::Unsteady)
    }

    async fn seals(&mut self) -> Result<(), VerifyError> {
        loop {
            let seals = self.log.seals(self.seals_after, READ_ROWS).await?;
            let Some(last) = seals.last() else { break };
            self.seals_after = last.size;
            for StoredSeal { size, root, note, .. } in &seals {
                let mut lines = Vec::new();
                if self.has_witnesses {
                    let cosignatures = self.log.cosignatures(*size).await?;
                    lines.extend(cosignatures.into_iter().map(|it| it.line));
                }
                self.verifying.seal(*size, *root, note, &lines);
            }
        }
        self.verifying.sealed();
        self.announce().await
    }

    /// Looks ahead at what the index entries speak of. One that cannot be read is met again in its place.
    async fn announce(&mut self) -> Result<(), VerifyError> {
        loop {
            let (stream, limit) = (self.origin.index_stream(), ReadLimit::entries(READ_ROWS));
            let entries = match self.log.read_stream(stream, self.announced, limit).await {
                Err(error) if error.is_transient() => return Err(error.into()),
                Ok(entries) if !entries.is_empty() => entries,
                _ => return Ok(()),
            };
            for entry in entries {
                self.announced = entry.version;
                if let Ok(Decoded::Indexed(indexed)) = entry.decode() {
                    self.verifying.announce(entry.position, indexed.tree_size);
                }
            }
        }
    }

    async fn entries(&mut self, until: Position) -> Result<(), VerifyError> {
        let mut read = self.read(until);
        while let Some(reading) = read {
            let mut found = reading.await??;
            found.truncate(found.partition_point(|it| it.position() <= until));
            let Some(last) = found.last() else { break };
            self.position = last.position();
            read = self.read(until);
            let (first, second) = self.hashed(found);
            self.verifying.entries(first.await?);
            self.verifying.entries(second.await?);
            (self.progress)(self.position);
        }
        Ok(())
    }

    /// The next read, while what was read before is hashed; none where the end is reached.
    fn read(&self, until: Position) -> Option<JoinHandle<Result<Vec<Unchecked>, StoreError>>> {
        let left = until.get().saturating_sub(self.position.get());
        let entries = usize::try_from(left).unwrap_or(usize::MAX).min(READ_ENTRIES);
        let (log, after, limit) =
            (Arc::clone(&self.log), self.position, ReadLimit::entries(entries));
        (entries > 0).then(|| tokio::spawn(async move { log.read_unchecked(after, limit).await }))
    }

    /// Both halves, each on a thread of its own.
    fn hashed(
        &self,
        mut first: Vec<Unchecked>,
    ) -> (JoinHandle<Vec<CheckedEntry>>, JoinHandle<Vec<CheckedEntry>>) {
        let second = first.split_off(first.len() / 2);
        let hash = |found: Vec<Unchecked>| {
            let origin = Arc::clone(&self.origin);
            spawn_blocking(move || found.iter().map(|it| CheckedEntry::of(it, &origin)).collect())
        };
        (hash(first), hash(second))
    }

    async fn streams(&self) -> Result<Vec<StoredStream>, VerifyError> {
        let mut streams: Vec<StoredStream> = Vec::new();
        loop {
            let after: Option<(u16, StreamId)> =
                streams.last().map(|last| (last.bucket, last.stream_id));
            let next = self.log.streams(after, READ_ROWS).await?;
            if next.is_empty() {
                return Ok(streams);
            }
            streams.extend(next);
        }
    }

    /// Compares the stored tiles. Those beyond the last seal that was read are a later seal's, if there is
    /// one by now; otherwise nobody should have made them.
    async fn tiles(&mut self) -> Result<(), VerifyError> {
        let mut beyond = Vec::new();
        for level in 1..TILE_LEVELS {
            let mut from = 0;
            loop {
                let tiles = self.log.tiles(level, from, READ_ROWS).await?;
                let Some(last) = tiles.last() else { break };
                from = last.tile.saturating_add(1);
                for tile in tiles {
                    if verify::covered(level, tile.tile).1 <= self.seals_after {
                        self.verifying.tile(tile.level, tile.tile, &tile.hashes);
                    } else {
                        beyond.push(tile);
                    }
                }
            }
        }
        let last = self.log.last_seal().await?.map_or(Position::ZERO, |seal| seal.size);
        if last <= self.seals_after {
            for tile in beyond {
                self.verifying.tile(tile.level, tile.tile, &tile.hashes);
            }
        }
        Ok(())
    }
}
