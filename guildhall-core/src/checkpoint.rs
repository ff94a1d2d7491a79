//! How far a read model has got, and whether a log goes on from there.

use serde::{Deserialize, Serialize};

use crate::cid::LeafHash;
use crate::ids::Position;
use crate::origin::Origin;

/// How far a read model has got: the last position whose effects are durable, committed with
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last entry applied; [`Position::ZERO`] before the first.
    pub position: Position,
    /// Its leaf hash; none at 0.
    pub leaf_hash: Option<LeafHash>,
    /// The Chronicle that it was read from; none at 0.
    pub origin: Option<Origin>,
}

impl Checkpoint {
    /// Before the first entry, of whichever Chronicle.
    pub const ZERO: Self = Self { position: Position::ZERO, leaf_hash: None, origin: None };

    /// Whether a log goes on from here: it is the same Chronicle, it reaches this far, and the entry
    /// at this position, whose leaf hash is `found`, is the one that was applied.
    ///
    /// # Errors
    /// [`ContinuityError::OtherOrigin`], [`ContinuityError::EndsBefore`] or
    /// [`ContinuityError::Rewritten`].
    pub fn check_log(
        &self,
        origin: Option<&Origin>,
        head: Position,
        found: Option<LeafHash>,
    ) -> Result<(), ContinuityError> {
        let Self { position, leaf_hash, origin: expected } = self;
        if let (Some(found), Some(expected)) = (origin, expected)
            && found != expected
        {
            let (found, expected) = (found.clone(), expected.clone());
            return Err(ContinuityError::OtherOrigin { found, expected });
        }
        let ends_before = ContinuityError::EndsBefore { head, checkpoint: *position };
        match (found, leaf_hash) {
            _ if head < *position => Err(ends_before),
            (None, Some(_)) => Err(ends_before),
            (Some(found), Some(expected)) if found != *expected => {
                Err(ContinuityError::Rewritten { position: *position, found, expected: *expected })
            }
            _ => Ok(()),
        }
    }
}

/// Why a batch, or a log, does not go on where a read model stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContinuityError {
    /// Entries are left out between the checkpoint and the batch: read from the checkpoint.
    #[error("the batch begins at position {found}, the checkpoint is {checkpoint}")]
    Gap {
        /// Where the batch begins.
        found: Position,
        /// Where the read model stands.
        checkpoint: Position,
    },
    /// The Chronicle is another one.
    #[error("the Chronicle is {found}, the checkpoint is of {expected}")]
    OtherOrigin {
        /// The batch's.
        found: Origin,
        /// The checkpoint's.
        expected: Origin,
    },
    /// The entry at the checkpoint is not the one that was applied: the Chronicle was restored or
    /// rewritten. Restore it whole, or rebuild the read model from what it is now.
    #[error(
        "the entry at position {position} has leaf hash {found}, the checkpoint {expected}: the Chronicle was restored or rewritten"
    )]
    Rewritten {
        /// The checkpoint's position.
        position: Position,
        /// The leaf hash of the entry.
        found: LeafHash,
        /// The checkpoint's.
        expected: LeafHash,
    },
    /// The Chronicle ends before the checkpoint: it was restored from an older copy. Restore it
    /// whole, or rebuild the read model from what it is now.
    #[error(
        "the Chronicle ends at position {head}, before the checkpoint {checkpoint}: it was restored or rewritten"
    )]
    EndsBefore {
        /// Where the Chronicle ends.
        head: Position,
        /// Where the read model stands.
        checkpoint: Position,
    },
}
