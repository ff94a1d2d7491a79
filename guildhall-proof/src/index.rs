//! The stream index: which streams a Chronicle has, and where each ends. Inclusion proves that
//! something is there; the index, that nothing is missing (DESIGN section 9).
//!
//! It is an RFC 6962 tree of exactly 65,536 leaves, the [`Bucket`]s. A stream's bucket is given by
//! its id's hash, so that one proof of 16 hashes shows where a stream ends, or that there is none.
//! Its root goes into the log as an entry of its own ([`ChronicleIndexed`]) and is sealed there.
//!
//! [`ChronicleIndexed`]: guildhall_core::ChronicleIndexed

use std::collections::BTreeMap;
use std::sync::LazyLock;

use guildhall_core::{LeafHash, StreamId, TreeHash, Version};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::merkle::{InclusionProof, MerkleTree, ProofError, leaf_hash};

/// How many leaves the index has.
pub const BUCKETS: u64 = 1 << 16;

/// How long the record of one stream is, in bytes.
pub const RECORD_BYTES: usize = 56;

/// Where a stream ends: 56 bytes, its id (16), its last version (8, big-endian) and the leaf hash of
/// that entry (32).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRecord {
    /// The stream.
    pub stream: StreamId,
    /// The version of its last entry, which is how many it has.
    pub version: Version,
    /// The leaf hash of that entry.
    pub leaf_hash: LeafHash,
}

impl StreamRecord {
    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..16].copy_from_slice(self.stream.as_uuid().as_bytes());
        bytes[16..24].copy_from_slice(&self.version.get().to_be_bytes());
        bytes[24..].copy_from_slice(self.leaf_hash.as_bytes());
        bytes
    }

    /// Reads its bytes; nothing if no entry can have that version.
    pub fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (stream, rest) = bytes.split_first_chunk::<16>()?;
        let (version, leaf_hash) = rest.split_first_chunk::<8>()?;
        let version = Version::try_from(u64::from_be_bytes(*version)).ok()?;
        let leaf_hash = LeafHash::from_bytes(leaf_hash.try_into().ok()?);
        let stream = StreamId::from_uuid(Uuid::from_bytes(*stream));
        (version > Version::ZERO).then_some(Self { stream, version, leaf_hash })
    }
}

/// Which bucket a stream belongs to: the first 16 bits of the SHA-256 of its id's 16 bytes.
pub fn bucket_of(stream: StreamId) -> u16 {
    let [high, low, ..] = <[u8; 32]>::from(Sha256::digest(stream.as_uuid().as_bytes()));
    u16::from_be_bytes([high, low])
}

/// A leaf of the index: the records of the streams of one bucket, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    index: u16,
    records: Vec<StreamRecord>,
}

/// Why records are not a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The bytes end within a record.
    #[error("{found} bytes are not records of {RECORD_BYTES}")]
    Length {
        /// How many bytes.
        found: usize,
    },
    /// A record has no version that an entry can have.
    #[error("record {record} has an impossible version")]
    Version {
        /// The record, from 0.
        record: usize,
    },
    /// A stream belongs to another bucket.
    #[error("the stream {stream} belongs in bucket {expected}, found in {found}")]
    Misplaced {
        /// The stream.
        stream: StreamId,
        /// The bucket that it stands in.
        found: u16,
        /// The one that it belongs in.
        expected: u16,
    },
    /// A stream is there twice, or not in order.
    #[error("the stream {stream} does not come after the one before it")]
    Order {
        /// The stream.
        stream: StreamId,
    },
}

impl Bucket {
    /// The bucket of this index with these records.
    ///
    /// # Errors
    /// [`BucketError::Misplaced`] and [`BucketError::Order`].
    pub fn new(index: u16, records: Vec<StreamRecord>) -> Result<Self, BucketError> {
        for (nth, &StreamRecord { stream, .. }) in records.iter().enumerate() {
            let expected = bucket_of(stream);
            if expected != index {
                return Err(BucketError::Misplaced { stream, found: index, expected });
            }
            if nth > 0 && records[nth - 1].stream >= stream {
                return Err(BucketError::Order { stream });
            }
        }
        Ok(Self { index, records })
    }

    /// Reads its bytes: the records, one after the other.
    ///
    /// # Errors
    /// [`BucketError`].
    pub fn from_bytes(index: u16, bytes: &[u8]) -> Result<Self, BucketError> {
        let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() {
            return Err(BucketError::Length { found: bytes.len() });
        }
        let read = |(record, bytes)| {
            StreamRecord::from_bytes(bytes).ok_or(BucketError::Version { record })
        };
        Self::new(index, records.iter().enumerate().map(read).collect::<Result<_, _>>()?)
    }

    /// Its bytes, which are the data of its leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.records.iter().flat_map(StreamRecord::to_bytes).collect()
    }

    /// Which leaf it is.
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// The records, in the order of the streams' ids.
    pub fn records(&self) -> &[StreamRecord] {
        &self.records
    }

    /// Where a stream ends; none if it has no entry.
    pub fn get(&self, stream: StreamId) -> Option<&StreamRecord> {
        let at = self.records.binary_search_by_key(&stream, |record| record.stream).ok()?;
        self.records.get(at)
    }

    /// The hash of its leaf.
    pub fn leaf_hash(&self) -> TreeHash {
        leaf_hash(&self.to_bytes())
    }

    /// Checks that it is a leaf of the index with this root.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, proof: Vec<TreeHash>, root: &TreeHash) -> Result<(), ProofError> {
        let proof = InclusionProof { index: self.index.into(), size: BUCKETS, hashes: proof };
        proof.verify(&self.leaf_hash(), root)
    }
}

/// The buckets of these streams, by their index; one that is not there is empty.
///
/// # Errors
/// [`BucketError::Order`]: a stream is there twice.
pub fn buckets(
    records: impl IntoIterator<Item = StreamRecord>,
) -> Result<BTreeMap<u16, Bucket>, BucketError> {
    let mut of: BTreeMap<u16, Vec<StreamRecord>> = BTreeMap::new();
    for record in records {
        of.entry(bucket_of(record.stream)).or_default().push(record);
    }
    let bucket = |(index, mut records): (u16, Vec<StreamRecord>)| {
        records.sort_by_key(|record| record.stream);
        Ok((index, Bucket::new(index, records)?))
    };
    of.into_iter().map(bucket).collect()
}

/// The tree over all buckets, by their hashes: 4 MiB, whatever the log. After new entries, only the
/// buckets of their streams are hashed again.
///
/// ```
/// use guildhall_core::{LeafHash, StreamId, Version};
/// use guildhall_proof::index::{Bucket, StreamIndex, StreamRecord, bucket_of};
///
/// let stream: StreamId = "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b".parse()?;
/// let record = StreamRecord { stream, version: Version::FIRST, leaf_hash: LeafHash::from_bytes([7; 32]) };
/// let bucket = Bucket::new(bucket_of(stream), vec![record])?;
/// let mut index = StreamIndex::default();
/// index.set(&bucket);
/// bucket.verify(index.prove(bucket.index()), &index.root())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamIndex(MerkleTree);

impl Default for StreamIndex {
    /// The index of a log without entries: every bucket is empty.
    fn default() -> Self {
        static EMPTY: LazyLock<StreamIndex> = LazyLock::new(|| StreamIndex::new([]));
        EMPTY.clone()
    }
}

impl StreamIndex {
    /// The index with these buckets; those that are not among them are empty.
    pub fn new(buckets: impl IntoIterator<Item = Bucket>) -> Self {
        Self::of_leaves(buckets.into_iter().map(|bucket| (bucket.index, bucket.leaf_hash())))
    }

    /// The same of the hashes of buckets, each with its index.
    pub fn of_leaves(hashes: impl IntoIterator<Item = (u16, TreeHash)>) -> Self {
        let mut leaves = vec![leaf_hash(b""); 1 << 16];
        for (index, hash) in hashes {
            leaves[usize::from(index)] = hash;
        }
        Self(MerkleTree::new(leaves))
    }

    /// Puts a bucket in the place of the one before: 17 hashes.
    pub fn set(&mut self, bucket: &Bucket) {
        self.0.set(usize::from(bucket.index), bucket.leaf_hash());
    }

    /// The root.
    pub fn root(&self) -> TreeHash {
        self.0.root()
    }

    /// The proof of a bucket: 16 hashes.
    pub fn prove(&self, bucket: u16) -> Vec<TreeHash> {
        // The tree has every node that a proof of one of its leaves needs.
        InclusionProof::make(&self.0, bucket.into(), BUCKETS)
            .map_or_else(|_| Vec::new(), |proof| proof.hashes)
    }
}
