//! Collecting the evidence of one artifact, or of one entry, from a store.

use std::collections::{BTreeMap, BTreeSet};

use guildhall_core::fold::FoldError;
use guildhall_core::{
    ArtifactId, ChronicleIndexed, CustodyPolicy, Decoded, Entry, Position, ReadLimit, Seals,
    StoreError, StreamId, Version,
};
use guildhall_proof::evidence::{self, EntryEvidence, Evidence, ProvenEntry, ProvenStream};
use guildhall_proof::index::{Bucket, BucketError, StreamIndex, StreamRecord, bucket_of};
use guildhall_proof::merkle::{ProveError, inclusion_nodes};
use guildhall_proof::tile::{TILE_WIDTH, Tile, TileId, TileLevel, Tiles};
use guildhall_proof::{NoteError, SealError, SignedSeal, parse_signature_lines};

/// How many entries of a stream are read at a time.
const READ_ENTRIES: usize = 1_000;

/// How many rows of the proof's tables are read at a time.
const READ_ROWS: usize = 10_000;

/// How many tiles of leaf hashes are read at a time: 65,536 hashes, 2 MiB.
const READ_TILES: usize = 256;

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
        reason: String,
    },
    /// The last seal's note is none: verify the log.
    #[error("the last seal is none: {0}")]
    Seal(#[from] SealError),
    /// A cosignature is none: verify the log.
    #[error("a cosignature of the last seal is none: {0}")]
    Cosignature(#[from] NoteError),
    /// A bucket of the index is none: verify the log.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A hash that a proof needs is not there: verify the log.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The entries do not follow one another: verify the log.
    #[error(transparent)]
    Fold(#[from] FoldError),
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
    log: &dyn Seals,
    artifact_id: ArtifactId,
    policy: &CustodyPolicy,
) -> Result<Evidence, CollectError> {
    for _ in 0..ROUNDS {
        let sealed = Sealed::load(log).await?;
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
    log: &dyn Seals,
    position: Position,
) -> Result<EntryEvidence, CollectError> {
    let mut sealed = Sealed::load(log).await?;
    let size = sealed.size;
    if position > size || position == Position::ZERO {
        return Err(CollectError::NotSealedThere { position, size });
    }
    let read = log.read(position.previous(), ReadLimit::entries(1)).await?;
    let entry = read.into_iter().next().filter(|entry| entry.position == position);
    let entry = entry.ok_or_else(|| sealed.inconsistent(format!("{position} is missing")))?;
    sealed.load_tiles(&[position]).await?;
    let proven = sealed.prove(&entry)?;
    Ok(EntryEvidence::new(proven, sealed.seal))
}

/// The log as of its last seal.
struct Sealed<'l> {
    log: &'l dyn Seals,
    size: Position,
    seal: SignedSeal,
    /// The entry that the seal ends with, and what it says.
    last: Entry,
    indexed: ChronicleIndexed,
    tiles: Tiles,
}

impl<'l> Sealed<'l> {
    async fn load(log: &'l dyn Seals) -> Result<Self, CollectError> {
        let stored = log.last_seal().await?.ok_or(CollectError::NeverSealed)?;
        let size = stored.size;
        let mut seal = SignedSeal::parse(&stored.note)?;
        for cosignature in log.cosignatures(size).await? {
            for line in parse_signature_lines(format!("{}\n", cosignature.line).as_bytes())? {
                seal.add(line)?;
            }
        }
        let inconsistent = |reason: &str| {
            let reason = reason.to_owned();
            CollectError::Inconsistent { size, reason }
        };
        let last = log.read(size.previous(), ReadLimit::entries(1)).await?.into_iter().next();
        let last = last.ok_or_else(|| inconsistent("the log ends before"))?;
        let Ok(Decoded::Indexed(indexed)) = last.decode() else {
            return Err(inconsistent("it does not end with an index of the streams"));
        };
        Ok(Self { log, size, seal, last, indexed, tiles: Tiles::default() })
    }

    async fn collect(
        mut self,
        artifact_id: ArtifactId,
        policy: &CustodyPolicy,
    ) -> Result<Evidence, CollectError> {
        let own = StreamId::from(artifact_id);
        let mut streams = vec![(own, self.entries(own).await?)];
        if streams[0].1.is_empty() {
            let tree_size = self.indexed.tree_size;
            return Err(CollectError::NotSealed { artifact_id, tree_size });
        }
        for accord in evidence::accords_in(own, &streams[0].1) {
            streams.push((accord, self.entries(accord).await?));
        }
        let (index, buckets) = self.index(streams.iter().map(|(stream, _)| *stream)).await?;
        if index.root() != self.indexed.index_root {
            let (size, reason) = (self.size, "the records of its streams make another index");
            return Err(CollectError::Inconsistent { size, reason: reason.to_owned() });
        }
        let entries = streams.iter().flat_map(|(_, entries)| entries).chain([&self.last]);
        let positions: Vec<_> = entries.map(|entry| entry.position).collect();
        self.load_tiles(&positions).await?;
        let streams = streams
            .iter()
            .map(|(stream, entries)| {
                let entries = entries.iter().map(|entry| self.prove(entry));
                let bucket = &buckets[&bucket_of(*stream)];
                Ok(ProvenStream::prove(*stream, bucket, &index, entries.collect::<Result<_, _>>()?))
            })
            .collect::<Result<Vec<_>, CollectError>>()?;
        let rows = evidence::fold(artifact_id, &streams, policy.clone())?;
        let last = self.prove(&self.last)?;
        Ok(Evidence::new(artifact_id, self.seal, last, streams, rows))
    }

    fn prove(&self, entry: &Entry) -> Result<ProvenEntry, ProveError> {
        ProvenEntry::prove(entry, &self.seal.seal().origin, &self.tiles, self.size.get())
    }

    /// The entries of a stream that the index speaks of.
    async fn entries(&self, stream: StreamId) -> Result<Vec<Entry>, CollectError> {
        let (mut entries, mut after) = (Vec::new(), Version::ZERO);
        loop {
            let limit = ReadLimit::entries(READ_ENTRIES);
            let next = self.log.read_stream(stream, after, limit).await?;
            let Some(last) = next.last() else { return Ok(entries) };
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
            let rows = self.log.streams(after, READ_ROWS).await?;
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

    /// Loads the tiles that the proofs of these entries are made of.
    async fn load_tiles(&mut self, positions: &[Position]) -> Result<(), CollectError> {
        let size = self.size.get();
        let mut wanted = BTreeSet::new();
        for position in positions {
            let nodes = inclusion_nodes(position.get().wrapping_sub(1), size)?;
            wanted.extend(nodes.into_iter().filter_map(|node| TileId::of(node, size)));
        }
        let is_leaves = |id: &TileId| id.level == TileLevel::Hashes(0);
        let (leaves, above): (Vec<_>, Vec<_>) = wanted.into_iter().partition(is_leaves);
        // Tiles that lie beside each other are read at once.
        let mut runs: Vec<Vec<TileId>> = Vec::new();
        for id in leaves {
            match runs.last_mut().filter(|run| run.len() < READ_TILES) {
                Some(run) if run.last().is_some_and(|last| last.index + 1 == id.index) => {
                    run.push(id);
                }
                _ => runs.push(vec![id]),
            }
        }
        for run in runs {
            let first = run.first().map_or(0, |id| id.index);
            let hashes = run.iter().map(|id| usize::from(id.width)).sum();
            let loaded = self.leaves(first, hashes).await?;
            for (id, tile) in run.iter().zip(loaded) {
                self.tiles.insert(*id, tile);
            }
        }
        for id in above {
            let tile = self.tile(id).await?;
            self.tiles.insert(id, tile);
        }
        Ok(())
    }

    /// The tiles of so many leaf hashes, from this one of the lowest level on.
    async fn leaves(&self, first: u64, hashes: usize) -> Result<Vec<Tile>, CollectError> {
        let width = u64::from(TILE_WIDTH);
        let after = Position::try_from(first * width).unwrap_or(Position::MAX);
        let leaves = self.log.leaf_hashes(after, hashes).await?;
        let tiles = leaves.chunks(usize::from(TILE_WIDTH)).map(|leaves| {
            let hashes = leaves.iter().map(|leaf| (*leaf).into()).collect();
            Tile::new(hashes).map_err(|reason| self.inconsistent(reason.to_string()))
        });
        tiles.collect()
    }

    /// A tile above the leaves: stored if it is full, otherwise made of those below, which are.
    async fn tile(&self, id: TileId) -> Result<Tile, CollectError> {
        let TileLevel::Hashes(level) = id.level else {
            return Err(self.inconsistent(format!("{id} is no tile of hashes")));
        };
        let below = if id.is_full() {
            return self
                .stored(level, id.index, 1)
                .await?
                .into_iter()
                .next()
                .ok_or_else(|| self.inconsistent(format!("{id} is missing")));
        } else if level == 1 {
            let hashes = usize::from(id.width) * usize::from(TILE_WIDTH);
            self.leaves(id.index * u64::from(TILE_WIDTH), hashes).await?
        } else {
            self.stored(level - 1, id.index * u64::from(TILE_WIDTH), id.width.into()).await?
        };
        let roots = below.iter().map(|tile| {
            tile.root().ok_or_else(|| self.inconsistent(format!("a tile below {id} is not full")))
        });
        Tile::new(roots.collect::<Result<_, _>>()?)
            .map_err(|reason| self.inconsistent(reason.to_string()))
    }

    async fn stored(&self, level: u8, from: u64, count: usize) -> Result<Vec<Tile>, CollectError> {
        let rows = self.log.tiles(level, from, count).await?;
        let tiles = rows.iter().take(count).zip(from..).map(|(row, expected)| {
            if row.tile != expected {
                return Err(
                    self.inconsistent(format!("tile {expected} of level {level} is missing"))
                );
            }
            Tile::from_bytes(&row.hashes).map_err(|reason| self.inconsistent(reason.to_string()))
        });
        tiles.collect()
    }

    fn inconsistent(&self, reason: String) -> CollectError {
        CollectError::Inconsistent { size: self.size, reason }
    }
}
