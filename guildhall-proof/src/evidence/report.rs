//! What a check found.

use guildhall_core::custody::chain::BrokenChain;
use guildhall_core::fold::FoldError;
use guildhall_core::{ArtifactId, Origin, Position, StreamId, TreeHash, Version};
use serde::{Serialize, Serializer};

use crate::index::BucketError;
use crate::log_keys::SealRefused;
use crate::merkle::ProofError;
use crate::policy::Unsatisfied;
use crate::rows::RowDifference;

/// What is checked, in this order: each rests on those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aspect {
    /// The log's own key signed the seal, and might at that size.
    Seal,
    /// The witnesses that the policy asks for cosigned it; held without a policy too, which asks for
    /// none.
    Witnesses,
    /// The sealed tree ends with an index of this log.
    Index,
    /// Every entry stands in the sealed tree, as its record and payload say.
    Entries,
    /// No entry of the streams is missing, and no stream that matters.
    Completeness,
    /// The entries make an artifact.
    Fold,
    /// Its custody chain holds.
    Chain,
    /// The rows are what the entries make.
    Rows,
}

impl Aspect {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Seal,
        Self::Witnesses,
        Self::Index,
        Self::Entries,
        Self::Completeness,
        Self::Fold,
        Self::Chain,
        Self::Rows,
    ];
}

/// What a check found: what held, and the first thing that did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// The Chronicle that the seal says it is of.
    pub origin: Origin,
    /// How many entries it seals.
    pub size: u64,
    /// Their root.
    pub root: TreeHash,
    /// The last entry that the history is complete up to; none if the check did not get that far.
    pub complete_up_to: Option<Position>,
    /// How many entries of the artifact and its accords are proved.
    pub entries: u64,
    /// How many of the artifact's entries broke an invariant and changed nothing.
    pub quarantined: u64,
    /// How many links its custody chain has.
    pub links: u64,
    /// The names of the log's keys that signed.
    pub signers: Vec<String>,
    /// The witnesses that cosigned.
    pub witnesses: Vec<Cosigner>,
    /// What held.
    pub held: Vec<Aspect>,
    /// The first thing that did not; none if all held.
    #[serde(serialize_with = "as_reason")]
    pub failure: Option<(Aspect, Failure)>,
}

/// A witness that cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cosigner {
    /// Its key's name.
    pub name: String,
    /// When, in seconds since 1970-01-01T00:00:00Z, as it says.
    pub unix_seconds: u64,
}

impl Report {
    /// Whether everything held.
    pub const fn holds(&self) -> bool {
        self.failure.is_none()
    }
}

pub(super) fn as_reason<S: Serializer>(
    failure: &Option<(Aspect, Failure)>,
    to: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Reason {
        aspect: Aspect,
        reason: String,
    }
    let reason = |(aspect, failure): &(Aspect, Failure)| Reason {
        aspect: *aspect,
        reason: failure.to_string(),
    };
    failure.as_ref().map(reason).serialize(to)
}

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The seal is not this log's.
    #[error(transparent)]
    Seal(#[from] SealRefused),
    /// Too few witnesses cosigned, or one signed something else.
    #[error(transparent)]
    Witnesses(#[from] Unsatisfied),
    /// The seal ends with an entry other than the index, which is at `found`.
    #[error("the index is at position {found}, and the seal ends with {expected}")]
    IndexNotLast {
        /// Where the index is.
        found: Position,
        /// The last position that is sealed.
        expected: u64,
    },
    /// The entry that the seal ends with is not an index of this log.
    #[error("the entry at position {position} is not an index of this log: {reason}")]
    NotAnIndex {
        /// The entry.
        position: Position,
        /// Why not.
        reason: String,
    },
    /// The index is older than what was asked for: so is the evidence.
    #[error("complete up to position {found}, expected {expected} at least")]
    Older {
        /// Up to where the index goes.
        found: Position,
        /// Up to where it was to go at least.
        expected: Position,
    },
    /// A record is of another log.
    #[error("the record at position {position} is of {found}, expected {expected}")]
    Origin {
        /// The entry.
        position: Position,
        /// The origin that it states.
        found: Origin,
        /// The seal's.
        expected: Origin,
    },
    /// A payload is not what the record commits to.
    #[error("the payload at position {position} is not the one that was recorded")]
    Payload {
        /// The entry.
        position: Position,
    },
    /// An entry is not in the sealed tree.
    #[error("the entry at position {position} is not what was sealed there: {reason}")]
    Entry {
        /// The entry.
        position: Position,
        /// Why not.
        reason: ProofError,
    },
    /// A bucket is not valid.
    #[error("the bucket of stream {stream}: {reason}")]
    Bucket {
        /// The stream.
        stream: StreamId,
        /// Why not.
        reason: BucketError,
    },
    /// A bucket is not in the index.
    #[error("the bucket of stream {stream} is not that of the index: {reason}")]
    BucketProof {
        /// The stream.
        stream: StreamId,
        /// Why not.
        reason: ProofError,
    },
    /// A stream is there twice, or does not belong in evidence of this artifact.
    #[error("the stream {stream} has no place in evidence of this artifact, or has two")]
    UnwantedStream {
        /// The stream.
        stream: StreamId,
    },
    /// A stream that matters is not there.
    #[error("the stream {stream} is missing")]
    MissingStream {
        /// The stream.
        stream: StreamId,
    },
    /// An entry does not follow the one before it in its stream.
    #[error("version {found} of stream {stream} stands where {expected} is expected")]
    Version {
        /// The stream.
        stream: StreamId,
        /// The version that was found.
        found: Version,
        /// The one that follows.
        expected: Version,
    },
    /// An entry of a stream does not come after the one before it.
    #[error("the entry at position {position} does not come after the one at {before}")]
    Order {
        /// The entry.
        position: Position,
        /// The one before it in its stream.
        before: Position,
    },
    /// An entry is beyond what was indexed.
    #[error("the entry at position {position} is beyond the index, which goes to {tree_size}")]
    NotIndexed {
        /// The entry.
        position: Position,
        /// Up to where the index goes.
        tree_size: Position,
    },
    /// A file says that its entry is another leaf than the one of its position.
    #[error("the file is about leaf {found}, and holds the entry at position {position}")]
    Leaf {
        /// The leaf, from 0.
        found: u64,
        /// The entry.
        position: Position,
    },
    /// An entry is in another stream than it is listed under.
    #[error("the entry at position {position} is listed under stream {expected} and is of {found}")]
    Stream {
        /// The entry.
        position: Position,
        /// The stream that it says it is of.
        found: StreamId,
        /// The one that it is listed under.
        expected: StreamId,
    },
    /// Entries are missing at the end of a stream, or more than were indexed.
    #[error("stream {stream} ends with version {found}, and the index says {expected}")]
    End {
        /// The stream.
        stream: StreamId,
        /// The last version here.
        found: Version,
        /// The last version by the index.
        expected: Version,
    },
    /// The last entry of a stream is not the one that was indexed.
    #[error("the last entry of stream {stream} is not the one that was indexed")]
    LastEntry {
        /// The stream.
        stream: StreamId,
    },
    /// The entries could not be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The entries make no artifact: its registration is not there, or breaks an invariant.
    #[error("the entries make no artifact")]
    NoArtifact,
    /// A link does not follow those before it.
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A row is not what the entries make.
    #[error(transparent)]
    Rows(#[from] RowDifference),
}
