//! Where the streams of a log end, as the sealer keeps it between seals.

use std::collections::{BTreeSet, HashMap, hash_map};

use guildhall_core::{
    ChronicleIndexed, Decoded, Entry, LeafHash, Origin, Position, ReadLimit, Seals, StoreError,
    StoredStream, StreamId, TreeHash, Version,
};
use guildhall_proof::index::{Bucket, StreamIndex, StreamRecord, bucket_of};

use super::error::SealerError;

/// How many buckets are loaded at a time.
const BUCKETS: usize = 1_024;

/// How many records are loaded at a time, when all are.
const RECORDS: usize = 16_384;

/// The stream index as of an entry, and the streams that grew since it was kept: 4 MiB, and 56 bytes
/// a stream that grew.
#[derive(Debug)]
pub(crate) struct Streams {
    /// How many entries it speaks of.
    tree_size: Position,
    index: StreamIndex,
    /// How many streams are kept.
    kept: u64,
    grown: HashMap<StreamId, Grown>,
}

/// What a stream got since it was kept.
#[derive(Debug, Clone, Copy)]
struct Grown {
    first: Version,
    last: Version,
    leaf_hash: LeafHash,
}

impl Streams {
    /// The index of a log without entries.
    pub(crate) fn empty() -> Self {
        Self {
            tree_size: Position::ZERO,
            index: StreamIndex::default(),
            kept: 0,
            grown: HashMap::new(),
        }
    }

    /// The index as the last seal's entry states it, from the records that are kept.
    pub(crate) async fn load(
        log: &dyn Seals,
        stated: &ChronicleIndexed,
    ) -> Result<Self, SealerError> {
        let (mut kept, mut leaves) = (0, Vec::new());
        let (mut after, mut records): (_, Vec<StreamRecord>) = (None, Vec::new());
        loop {
            let page = log.streams(after, RECORDS).await?;
            for stored in &page {
                if after.is_some_and(|(bucket, _)| bucket != stored.bucket) {
                    leaves.extend(leaf_of(std::mem::take(&mut records))?);
                }
                after = Some((stored.bucket, stored.stream_id));
                records.push(record_of(stored));
                kept += 1;
            }
            if page.is_empty() {
                break;
            }
        }
        leaves.extend(leaf_of(records)?);
        let streams = Self {
            tree_size: stated.tree_size,
            index: StreamIndex::of_leaves(leaves),
            kept,
            grown: HashMap::new(),
        };
        let found = streams.stated();
        if found == *stated {
            Ok(streams)
        } else {
            Err(SealerError::IndexDiffers { found, stated: stated.clone() })
        }
    }

    /// How many entries it speaks of.
    pub(crate) fn tree_size(&self) -> Position {
        self.tree_size
    }

    /// How many streams grew since they were kept.
    pub(crate) fn grown(&self) -> usize {
        self.grown.len()
    }

    /// Takes in the entry after those that it speaks of.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<(), SealerError> {
        let Entry { position, stream_id, version, leaf_hash, .. } = *entry;
        match self.grown.entry(stream_id) {
            hash_map::Entry::Vacant(new) => {
                new.insert(Grown { first: version, last: version, leaf_hash });
            }
            hash_map::Entry::Occupied(mut grown) => {
                let grown = grown.get_mut();
                let expected = grown.last.next().unwrap_or(grown.last);
                if version != expected {
                    return Err(SealerError::Version {
                        position,
                        stream_id,
                        found: version,
                        expected,
                    });
                }
                (grown.last, grown.leaf_hash) = (version, leaf_hash);
            }
        }
        self.tree_size = position;
        Ok(())
    }

    /// The index of what it speaks of, with the versions of what grew checked against what is kept.
    pub(crate) async fn settle(
        &mut self,
        log: &dyn Seals,
    ) -> Result<ChronicleIndexed, SealerError> {
        let mut of: HashMap<u16, Vec<StreamId>> = HashMap::new();
        for stream in self.grown.keys() {
            of.entry(bucket_of(*stream)).or_default().push(*stream);
        }
        let buckets: BTreeSet<u16> = of.keys().copied().collect();
        let buckets: Vec<u16> = buckets.into_iter().collect();
        let mut new = 0;
        for some in buckets.chunks(BUCKETS) {
            let mut records: HashMap<u16, Vec<StreamRecord>> = HashMap::new();
            for stored in log.streams_in(some).await? {
                records.entry(stored.bucket).or_default().push(record_of(&stored));
            }
            for bucket in some {
                let mut records = records.remove(bucket).unwrap_or_default();
                for stream in of.remove(bucket).unwrap_or_default() {
                    let known = records.iter_mut().find(|record| record.stream == stream);
                    let grown = &self.grown[&stream];
                    let version = known.as_ref().map_or(Version::ZERO, |record| record.version);
                    let expected = version.next().unwrap_or(version);
                    if grown.first != expected {
                        let (position, found) = (self.tree_size, grown.first);
                        return Err(SealerError::Version {
                            position,
                            stream_id: stream,
                            found,
                            expected,
                        });
                    }
                    let (version, leaf_hash) = (grown.last, grown.leaf_hash);
                    let record = StreamRecord { stream, version, leaf_hash };
                    match known {
                        Some(known) => *known = record,
                        None => {
                            new += 1;
                            records.push(record);
                        }
                    }
                }
                records.sort_by_key(|record| record.stream);
                let bucket = Bucket::new(*bucket, records).map_err(SealerError::Bucket)?;
                self.index.set(&bucket);
            }
        }
        let stated = self.stated();
        Ok(ChronicleIndexed { streams: stated.streams + new, ..stated })
    }

    /// Its entry, where nothing grew since the streams were kept.
    fn stated(&self) -> ChronicleIndexed {
        ChronicleIndexed {
            index_root: self.index.root(),
            streams: self.kept,
            tree_size: self.tree_size,
        }
    }

    /// What to keep of it.
    pub(crate) fn to_keep(&self) -> Vec<StoredStream> {
        let stored = |(stream_id, grown): (&StreamId, &Grown)| StoredStream {
            bucket: bucket_of(*stream_id),
            stream_id: *stream_id,
            version: grown.last,
            leaf_hash: grown.leaf_hash,
        };
        self.grown.iter().map(stored).collect()
    }

    /// It is kept, and has so many streams.
    pub(crate) fn kept(&mut self, streams: u64) {
        self.kept = streams;
        self.grown.clear();
    }
}

/// The leaf of the bucket that these records are, if there are any.
fn leaf_of(records: Vec<StreamRecord>) -> Result<Option<(u16, TreeHash)>, SealerError> {
    let Some(first) = records.first() else { return Ok(None) };
    let bucket = Bucket::new(bucket_of(first.stream), records).map_err(SealerError::Bucket)?;
    Ok(Some((bucket.index(), bucket.leaf_hash())))
}

fn record_of(stored: &StoredStream) -> StreamRecord {
    let StoredStream { stream_id: stream, version, leaf_hash, .. } = *stored;
    StreamRecord { stream, version, leaf_hash }
}

/// The index that the entry at a position states, if it is one of this Chronicle's.
pub(crate) async fn stated_at(
    log: &dyn Seals,
    position: Position,
) -> Result<Option<ChronicleIndexed>, StoreError> {
    let origin = log.origin().await?;
    let entries = log.read_decoded(position.previous(), ReadLimit::entries(1)).await?;
    Ok(entries.into_iter().find_map(|entry| match entry.decoded {
        Ok(Decoded::Indexed(stated))
            if entry.position == position
                && origin.as_ref().map(Origin::index_stream) == Some(entry.stream_id) =>
        {
            Some(stated)
        }
        _ => None,
    }))
}
