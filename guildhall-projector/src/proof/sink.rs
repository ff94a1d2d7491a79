//! Where seals go: a holder of a log's seals can tell later whether it was rewritten.

use std::error::Error;

use async_trait::async_trait;
use guildhall_core::TreeHash;
use guildhall_proof::{NoteSignature, Seal};

use super::log::{SealedLog, SealedLogError};

/// Somebody who is handed every seal, outside the database: a folder, a witness, an archive.
///
/// A sink sees the newest seal; where it could not be reached for a while, it misses those between. It
/// is handed one at a time.
#[async_trait]
pub trait SealSink: Send + Sync {
    /// What it is called in statuses, metrics and messages.
    fn name(&self) -> &str;

    /// Whether it signs what it takes. Those that do are asked first, so that the others get a seal
    /// with the cosignatures.
    fn cosigns(&self) -> bool {
        false
    }

    /// The newest seal that it holds, as far as it can tell: the sealer signs nothing that contradicts
    /// it. None where it holds none, or keeps to itself what it holds.
    ///
    /// # Errors
    /// [`SinkError`].
    async fn held(&self) -> Result<Option<Seal>, SinkError>;

    /// Takes a seal. Returned means that it is kept durably. It may be the one that is held already.
    /// Returns the cosignatures, verified, of a sink that cosigns.
    ///
    /// # Errors
    /// [`SinkError`]; [`Contradicts`](SinkError::Contradicts) stops the sealer, and after any other
    /// it is handed the newest seal again, sooner or later.
    ///
    /// # Cancel safety
    /// Dropped, what it holds is one seal or the other, whole.
    async fn take(&self, log: &SealedLog) -> Result<Vec<NoteSignature>, SinkError>;
}

/// Why a sink did not take a seal, or does not say what it holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// It may work another time: it cannot be reached, it is busy.
    #[error("it failed, and may work again (transient)")]
    Transient(#[source] Box<dyn Error + Send + Sync>),
    /// It does not work before an operator acts. The sealer goes on for the others, and tries again now and
    /// then.
    #[error("it failed (permanent)")]
    Permanent(#[source] Box<dyn Error + Send + Sync>),
    /// What it holds and what it was given are two histories: the log was restored from an older copy,
    /// forked or rewritten.
    #[error(
        "it holds a seal of {held_size} entries with the root {held_root}, which this log, sealed at \
         {size} with the root {root}, does not go on from"
    )]
    Contradicts {
        /// The size of the seal that it holds.
        held_size: u64,
        /// The root of that.
        held_root: TreeHash,
        /// The size of the seal that it was given.
        size: u64,
        /// The root of that.
        root: TreeHash,
    },
    /// What it needs of the log cannot be read.
    #[error(transparent)]
    Log(#[from] SealedLogError),
}

impl SinkError {
    /// A failure that may pass.
    pub fn transient(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Transient(cause.into())
    }

    /// A failure that needs operator action.
    pub fn permanent(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Permanent(cause.into())
    }

    /// Whether trying again soon can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transient(_) => true,
            Self::Permanent(_) | Self::Contradicts { .. } => false,
            Self::Log(error) => error.is_transient(),
        }
    }
}
