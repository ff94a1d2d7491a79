//! Collecting the evidence of one artifact, or of one entry, from a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guildhall_core::fold::FoldError;
use guildhall_core::{
    ArtifactId, ChronicleIndexed, CustodyPolicy, Decoded, Entry, Position, ReadLimit, Seals,
    StoreError, StreamId, Version,
};
use guildhall_proof::evidence::{self, EntryEvidence, Evidence, ProvenEntry, ProvenStream};
use guildhall_proof::index::{Bucket, BucketError, StreamIndex, StreamRecord, bucket_of};
use guildhall_proof::merkle::{ProveError, inclusion_nodes};
use guildhall_proof::tile::Tiles;
use guildhall_proof::{NoteError, SealError, SignedSeal, parse_signature_lines};

use super::log::{SealedLog, SealedLogError};

/// How many entries of a stream are read at a time.
const READ_ENTRIES: usize = 1_000;

/// And bytes of payload, and one entry more.
const READ_BYTES: usize = 8 << 20;

/// How many rows of the proof's tables are read at a time.
const READ_ROWS: usize = 10_000;

/// What an entry weighs in evidence beside its payload: its record, and the hashes of its proof, which are
/// 20 of 64 digits in a log of a million.
const ENTRY_BYTES: usize = 2_048;

/// How often the log may be sealed again while its evidence is collected.
const ROUNDS: u32 = 20;

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log was never sealed. Seal it.
    #[error("the log was never sealed, so nothing of it can be proved")]
    NeverSealed,
    /// No entry of the artifact was indexed when the log was last sealed. Seal it again.
    #[error("artifact {artifact_id} has no entry among the {tree_size} that the last seal indexes")]
    NotSealed {
        /// The artifact.
        artifact_id: ArtifactId,
        /// Up to where the index goes.
        tree_size: Position,
    },
    /// The log has no entry there, or none that was sealed. If it has, seal it again.
    #[error("no entry at position {position} is sealed: the last seal is of {size}")]
    NotSealedThere {
        /// The position.
        position: Position,
        /// How many entries are sealed.
        size: Position,
    },
    /// What is stored is not what was sealed: verify the log.
    #[error("what is stored at the last seal, of {size} entries, is not what was sealed: {reason}")]
    Inconsistent {
        /// The seal's size.
        size: Position,
        /// What does not fit.
        reason: &'static str,
    },
    /// The log does not lead to what was sealed, or a tile is missing: verify the log.
    #[error(transparent)]
    Log(#[from] SealedLogError),
    /// The last seal's note is not a seal: verify the log.
    #[error("the last seal is not valid: {0}")]
    Seal(#[from] SealError),
    /// A cosignature is not valid: verify the log.
    #[error("a cosignature of the last seal is not valid: {0}")]
    Cosignature(#[from] NoteError),
    /// A bucket of the index is not valid: verify the log.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A hash that a proof needs is not there: verify the log.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The entries do not follow one another: verify the log.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The entries would take more memory than the caller allows.
    #[error("its entries make evidence of more than {most_bytes} bytes")]
    TooLarge {
        /// How many bytes are allowed.
        most_bytes: usize,
    },
    /// The log was sealed again and again meanwhile. Try again.
    #[error("the log was sealed again each time before the evidence was collected")]
    Unsteady,
}

/// The evidence of an artifact's whole history as of the last seal. Of the log it reads the streams that
/// matter, and the leaf hashes beside their entries; of everything else, tiles.
///
/// # Errors
/// [`CollectError`].
pub async fn collect(
    log: Arc<dyn Seals>,
    artifact_id: ArtifactId,
    policy: &CustodyPolicy,
) -> Result<Evidence, CollectError> {
    collect_within(log, artifact_id, policy, usize::MAX).await
}

/// The same where memory is bounded: of each entry its payload counts, and 2 KiB for what proves it.
///
/// # Errors
/// [`CollectError`]; [`TooLarge`](CollectError::TooLarge) before more than that is read.
pub async fn collect_within(
    log: Arc<dyn Seals>,
    artifact_id: ArtifactId,
    policy: &CustodyPolicy,
    most_bytes: usize,
) -> Result<Evidence, CollectError> {
    for _ in 0..ROUNDS {
        let sealed = Sealed::load(Arc::clone(&log), most_bytes).await?;
        let size = sealed.size;
        let collected = sealed.collect(artifact_id, policy).await;
        // The records of streams are those of the last seal, whichever that is by now.
        if log.last_seal().await?.is_some_and(|last| last.size == size) {
            return collected;
        }
    }
    Err(CollectError::Unsteady)
}

/// The evidence of one entry as of the last seal.
///
/// # Errors
/// [`CollectError`].
pub async fn collect_entry(
    log: Arc<dyn Seals>,
    position: Position,
) -> Result<EntryEvidence, CollectError> {
    let sealed = Sealed::load(Arc::clone(&log), usize::MAX).await?;
    let size = sealed.size;
    if position > size || position == Position::ZERO {
        return Err(CollectError::NotSealedThere { position, size });
    }
    let read = log.read(position.previous(), ReadLimit::entries(1)).await?;
    let entry = read.into_iter().next().filter(|entry| entry.position == position);
    let missing = CollectError::Inconsistent { size, reason: "an entry is missing" };
    let entry = entry.ok_or(missing)?;
    let tiles = sealed.tiles([&entry]).await?;
    let proven = sealed.prove(&entry, &tiles)?;
    Ok(EntryEvidence::new(proven, sealed.log.seal().clone()))
}

/// The log as of its last seal.
struct Sealed {
    log: SealedLog,
    size: Position,
    /// The entry that the seal ends with, and what it says.
    last: Entry,
    indexed: ChronicleIndexed,
    most_bytes: usize,
}

impl Sealed {
    async fn load(log: Arc<dyn Seals>, most_bytes: usize) -> Result<Self, CollectError> {
        let stored = log.last_seal().await?.ok_or(CollectError::NeverSealed)?;
        let size = stored.size;
        let mut seal = SignedSeal::parse(&stored.note)?;
        for cosignature in log.cosignatures(size).await? {
            for line in parse_signature_lines(format!("{}\n", cosignature.line).as_bytes())? {
                seal.add(line)?;
            }
        }
        let inconsistent = |reason| CollectError::Inconsistent { size, reason };
        let last = log.read(size.previous(), ReadLimit::entries(1)).await?.into_iter().next();
        let last = last.ok_or_else(|| inconsistent("the log ends before"))?;
        let Ok(Decoded::Indexed(indexed)) = last.decode() else {
            return Err(inconsistent("it does not end with an index of the streams"));
        };
        let log = SealedLog::load(log, seal).await?;
        Ok(Self { log, size, last, indexed, most_bytes })
    }

    async fn collect(
        self,
        artifact_id: ArtifactId,
        policy: &CustodyPolicy,
    ) -> Result<Evidence, CollectError> {
        let own = StreamId::from(artifact_id);
        let mut room = self.most_bytes;
        let mut streams = vec![(own, self.entries(own, &mut room).await?)];
        if streams[0].1.is_empty() {
            let tree_size = self.indexed.tree_size;
            return Err(CollectError::NotSealed { artifact_id, tree_size });
        }
        for accord in evidence::accords_in(own, &streams[0].1) {
            streams.push((accord, self.entries(accord, &mut room).await?));
        }
        let (index, buckets) = self.index(streams.iter().map(|(stream, _)| *stream)).await?;
        if index.root() != self.indexed.index_root {
            let reason = "the records of its streams make another index";
            return Err(CollectError::Inconsistent { size: self.size, reason });
        }
        let entries = streams.iter().flat_map(|(_, entries)| entries).chain([&self.last]);
        let tiles = self.tiles(entries).await?;
        let streams = streams
            .iter()
            .map(|(stream, entries)| {
                let entries = entries.iter().map(|entry| self.prove(entry, &tiles));
                let bucket = &buckets[&bucket_of(*stream)];
                Ok(ProvenStream::prove(*stream, bucket, &index, entries.collect::<Result<_, _>>()?))
            })
            .collect::<Result<Vec<_>, CollectError>>()?;
        let rows = evidence::fold(artifact_id, &streams, policy.clone())?;
        let last = self.prove(&self.last, &tiles)?;
        Ok(Evidence::new(artifact_id, self.log.seal().clone(), last, streams, rows))
    }

    /// The tiles that the proofs of these entries are made of.
    async fn tiles(
        &self,
        entries: impl IntoIterator<Item = &Entry>,
    ) -> Result<Tiles, CollectError> {
        let mut nodes = Vec::new();
        for entry in entries {
            nodes.extend(inclusion_nodes(entry.position.get().wrapping_sub(1), self.size.get())?);
        }
        Ok(self.log.tiles(nodes).await?)
    }

    fn prove(&self, entry: &Entry, tiles: &Tiles) -> Result<ProvenEntry, ProveError> {
        ProvenEntry::prove(entry, &self.log.seal().seal().origin, tiles, self.size.get())
    }

    /// The entries of a stream that the index speaks of, as long as there is room for them.
    async fn entries(
        &self,
        stream: StreamId,
        room: &mut usize,
    ) -> Result<Vec<Entry>, CollectError> {
        let (mut entries, mut after) = (Vec::new(), Version::ZERO);
        loop {
            let limit = ReadLimit { entries: READ_ENTRIES, bytes: READ_BYTES };
            let next = self.log.chronicle().read_stream(stream, after, limit).await?;
            let Some(last) = next.last() else { return Ok(entries) };
            let bytes = next.iter().map(|entry| entry.payload.len() + ENTRY_BYTES).sum();
            let too_large = CollectError::TooLarge { most_bytes: self.most_bytes };
            *room = room.checked_sub(bytes).ok_or(too_large)?;
            after = last.version;
            let is_beyond = last.position > self.indexed.tree_size;
            entries.extend(next.into_iter().filter(|it| it.position <= self.indexed.tree_size));
            if is_beyond {
                return Ok(entries);
            }
        }
    }

    /// The index of all streams, and the buckets of these.
    async fn index(
        &self,
        streams: impl Iterator<Item = StreamId>,
    ) -> Result<(StreamIndex, BTreeMap<u16, Bucket>), CollectError> {
        let wanted: BTreeSet<u16> = streams.map(bucket_of).collect();
        let (mut index, mut kept) = (StreamIndex::default(), BTreeMap::new());
        for bucket in &wanted {
            kept.insert(*bucket, Bucket::new(*bucket, Vec::new())?);
        }
        let mut take = |bucket: u16, records: Vec<StreamRecord>| {
            let bucket = Bucket::new(bucket, records)?;
            index.set(&bucket);
            if wanted.contains(&bucket.index()) {
                kept.insert(bucket.index(), bucket);
            }
            Ok::<_, BucketError>(())
        };
        let (mut after, mut current) = (None, (0, Vec::new()));
        loop {
            let rows = self.log.chronicle().streams(after, READ_ROWS).await?;
            let Some(last) = rows.last() else { break };
            after = Some((last.bucket, last.stream_id));
            for row in rows {
                if row.bucket != current.0 {
                    let (bucket, records) =
                        std::mem::replace(&mut current, (row.bucket, Vec::new()));
                    take(bucket, records)?;
                }
                let (stream, version, leaf_hash) = (row.stream_id, row.version, row.leaf_hash);
                current.1.push(StreamRecord { stream, version, leaf_hash });
            }
        }
        take(current.0, current.1)?;
        Ok((index, kept))
    }
}
