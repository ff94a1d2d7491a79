//! Why nothing is sealed.

use std::sync::Arc;

use guildhall_core::{
    AppendError, ChronicleIndexed, HolderId, LogFault, Origin, Position, SaveSealError, StoreError,
    StreamId, Timestamp, TreeHash, Version,
};
use guildhall_proof::index::BucketError;
use guildhall_proof::{KeyName, LogKeysError, SealError, SealRefused, SignError};
use tokio::task::JoinError;

use super::log::SealedLogError;
use super::sink::SinkError;

/// Why a log is not sealed. Nothing was signed that contradicts what was signed before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry of the stream index was not appended.
    #[error("the index was not appended")]
    Append(#[source] AppendError),
    /// The seal was not saved, and so nobody was handed it.
    #[error("the seal was not kept")]
    Save(#[source] SaveSealError),
    /// The key did not sign.
    #[error("the seal was not signed")]
    Sign(#[source] SignError),
    /// The signer's key is not one that the log's keys let seal at this size: see
    /// [`keys`](super::SealerBuilder::keys).
    #[error("the key {name} may not seal {size} entries")]
    KeyMayNotSeal {
        /// The key's name.
        name: KeyName,
        /// How many entries.
        size: u64,
    },
    /// The signer's key cannot seal: it is a witness's.
    #[error(transparent)]
    Keys(#[from] LogKeysError),
    /// The keys that were given are another log's.
    #[error("the keys are those of {found}, and this log is {expected}")]
    KeysOfOther {
        /// Whose they are.
        found: Origin,
        /// This log's origin.
        expected: Origin,
    },
    /// The last seal is not valid.
    #[error("the last seal, of {size} entries, cannot be read")]
    LastSeal {
        /// How many entries.
        size: Position,
        /// What is wrong with it.
        #[source]
        source: SealError,
    },
    /// The last seal was made by a key that is not among the log's. After a rotation, name the keys
    /// before: [`keys`](super::SealerBuilder::keys).
    #[error("the last seal, of {size} entries, is not by a key of this log")]
    LastSealRefused {
        /// How many entries.
        size: Position,
        /// Why not.
        #[source]
        source: SealRefused,
    },
    /// The last seal's columns contradict its note.
    #[error("the row of the last seal, of {size} entries, is not what its note says")]
    LastSealAltered {
        /// How many entries.
        size: Position,
    },
    /// The log is not what was sealed, or cannot be read to its root.
    #[error(transparent)]
    Log(#[from] SealedLogError),
    /// An entry has a version that does not follow the one before it in its stream.
    #[error(
        "by position {position}, stream {stream_id} has version {found} where {expected} comes next"
    )]
    Version {
        /// The entry, or the last of those that were checked together.
        position: Position,
        /// The stream.
        stream_id: StreamId,
        /// Its version.
        found: Version,
        /// The one that comes next.
        expected: Version,
    },
    /// The entry that a seal ends with is not an index of this log's streams.
    #[error("the entry at position {position}, which was sealed as the index, is none")]
    NoIndex {
        /// The entry.
        position: Position,
    },
    /// The streams that are kept are not those that the last seal's index states: `chronicle_streams`
    /// was changed. The entries give it again.
    #[error(
        "the streams that are kept have the index root {}, and the last seal states {}",
        .found.index_root, .stated.index_root
    )]
    IndexDiffers {
        /// The index of what is kept.
        found: ChronicleIndexed,
        /// What the last seal states.
        stated: ChronicleIndexed,
    },
    /// The streams that are kept do not make an index.
    #[error("the streams that are kept make no index")]
    Bucket(#[source] BucketError),
    /// An entry that was appended or read is no longer there.
    #[error("the log changed while it was being sealed")]
    Changed(#[source] LogFault),
    /// A sink holds a seal of more entries than there are: the log was restored from an older copy.
    /// Restore all of it; a log that goes on from less has to become another one, under a name of its
    /// own.
    #[error(
        "{sink} holds a seal of {held_size} entries with the root {held_root}, and the log ends at \
         {head}: it was restored from an older copy"
    )]
    SinkHoldsMore {
        /// The sink.
        sink: String,
        /// How many entries its seal has.
        held_size: u64,
        /// The root of that.
        held_root: TreeHash,
        /// Where the log ends.
        head: Position,
    },
    /// A sink holds a seal that the log does not lead to: the log was restored and continued differently, or
    /// rewritten.
    #[error(
        "{sink} holds a seal of {held_size} entries with the root {held_root}, and the log's first \
         {held_size} have the root {found}: they are two histories"
    )]
    SinkHoldsOther {
        /// The sink.
        sink: String,
        /// How many entries its seal has.
        held_size: u64,
        /// The root of that.
        held_root: TreeHash,
        /// The root of as many entries here.
        found: TreeHash,
    },
    /// A sink holds seals of another log.
    #[error("{sink} holds seals of {found}, and this log is {expected}")]
    SinkOfOther {
        /// The sink.
        sink: String,
        /// The origin of its seal.
        found: Origin,
        /// This log's.
        expected: Origin,
    },
    /// A sink does not say what it holds, so that a seal could contradict it; or it refuses one.
    #[error("the sink {sink} failed")]
    Sink {
        /// The sink.
        sink: String,
        /// Why.
        #[source]
        source: SinkError,
    },
    /// Another sealer has the lease.
    #[error("{holder} seals, until {until} at least")]
    Standby {
        /// Who.
        holder: HolderId,
        /// Until when, unless it is renewed.
        until: Timestamp,
    },
    /// A task panicked: a bug in a store, in a sink or here.
    #[error("a task panicked")]
    Panicked(#[source] JoinError),
    /// The sealer stopped, for this reason.
    #[error("the sealer stopped")]
    Stopped(#[source] Arc<SealerError>),
    /// It was shut down before it got there.
    #[error("the sealer was shut down")]
    ShutDown,
}

impl SealerError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            // Somebody else appended an index: what there is now is looked at anew.
            Self::Append(AppendError::Conflict { .. }) => true,
            Self::Append(AppendError::Store(error)) => error.is_transient(),
            Self::Save(SaveSealError::Store(error)) => error.is_transient(),
            // Somebody else sealed meanwhile.
            Self::Save(_) | Self::Standby { .. } => true,
            // A service that signs may be out of reach.
            Self::Sign(SignError::Signer(_)) => true,
            Self::Log(error) => error.is_transient(),
            Self::Sink { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

impl From<SaveSealError> for SealerError {
    fn from(error: SaveSealError) -> Self {
        match error {
            SaveSealError::Standby { holder, until } => Self::Standby { holder, until },
            other => Self::Save(other),
        }
    }
}
