//! Projecting: what a read model's store does, and what it is handed (DESIGN section 7).

use std::time::Duration;

use async_trait::async_trait;

use crate::checkpoint::{Checkpoint, ContinuityError};
use crate::chronicle::{DecodedEntry, Entry};
use crate::error::{Fault, StoreError};
use crate::fold::FoldError;
use crate::ids::{HolderId, Position};
use crate::invariant::Violation;
use crate::ops::Difference;
use crate::origin::Origin;
use crate::time::Timestamp;

/// The projector name of the Ops DB itself.
pub const OPS_DB: &str = "ops_db";

/// Consecutive entries of one Chronicle, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    origin: Origin,
    entries: Vec<DecodedEntry>,
}

/// Entries that do not follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("position {found} follows {before}; a batch holds consecutive entries")]
pub struct NotConsecutive {
    /// A position.
    pub before: Position,
    /// The one that stands after it.
    pub found: Position,
}

impl Batch {
    /// Entries that were read from the Chronicle `origin`.
    ///
    /// # Errors
    /// [`NotConsecutive`] where there is a gap or a repetition.
    pub fn new(origin: Origin, entries: Vec<DecodedEntry>) -> Result<Self, NotConsecutive> {
        let gap = entries.windows(2).find(|pair| Some(pair[1].position) != pair[0].position.next());
        if let Some([before, found]) = gap {
            return Err(NotConsecutive { before: before.position, found: found.position });
        }
        Ok(Self { origin, entries })
    }

    /// The same, of entries that are still to be decoded.
    ///
    /// # Errors
    /// [`NotConsecutive`] where there is a gap or a repetition.
    pub fn decode(origin: Origin, entries: Vec<Entry>) -> Result<Self, NotConsecutive> {
        Self::new(origin, entries.into_iter().map(DecodedEntry::from).collect())
    }

    /// The Chronicle that the entries come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[DecodedEntry] {
        &self.entries
    }

    /// The last position; none where the batch is empty.
    pub fn last_position(&self) -> Option<Position> {
        self.entries.last().map(|entry| entry.position)
    }

    /// The entries that a read model at this checkpoint has not seen yet, after checking that it
    /// may apply them: the Chronicle is its own, nothing is left out in between, and where the
    /// batch reaches back to the checkpoint, the entry there is the one that it was.
    ///
    /// # Errors
    /// [`ContinuityError`]: nothing may be applied.
    pub fn after(&self, checkpoint: &Checkpoint) -> Result<&[DecodedEntry], ContinuityError> {
        if let Some(expected) = checkpoint.origin.as_ref().filter(|origin| **origin != self.origin)
        {
            return Err(ContinuityError::OtherOrigin {
                found: self.origin.clone(),
                expected: expected.clone(),
            });
        }
        let Some(first) = self.entries.first() else { return Ok(&[]) };
        if checkpoint.position.next().is_some_and(|next| first.position > next) {
            return Err(ContinuityError::Gap {
                found: first.position,
                checkpoint: checkpoint.position,
            });
        }
        let seen = self.entries.partition_point(|entry| entry.position <= checkpoint.position);
        let at_checkpoint =
            self.entries[..seen].last().filter(|entry| entry.position == checkpoint.position);
        if let (Some(entry), Some(expected)) = (at_checkpoint, checkpoint.leaf_hash)
            && entry.leaf_hash != expected
        {
            return Err(ContinuityError::Rewritten {
                position: entry.position,
                found: entry.leaf_hash,
                expected,
            });
        }
        Ok(&self.entries[seen..])
    }

    /// The checkpoint of a read model that has applied the batch up to and with `position`; the
    /// one before where the batch does not hold that position.
    pub(crate) fn checkpoint_at(&self, position: Position, before: &Checkpoint) -> Checkpoint {
        let at = self.entries.iter().rev().find(|entry| entry.position == position);
        at.map_or_else(
            || before.clone(),
            |entry| Checkpoint {
                position,
                leaf_hash: Some(entry.leaf_hash),
                origin: Some(self.origin.clone()),
            },
        )
    }

    /// The entries, moved out, without those up to and with `checkpoint`.
    pub fn into_entries_after(mut self, checkpoint: Position) -> Vec<DecodedEntry> {
        let seen = self.entries.partition_point(|entry| entry.position <= checkpoint);
        self.entries.drain(..seen);
        self.entries
    }
}

/// What one batch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Where the read model stands now.
    pub position: Position,
    /// How many entries were new to it.
    pub entries: u64,
    /// How many of them went to quarantine.
    pub quarantined: u64,
    /// How many of them have a type that this version does not know.
    pub skipped: u64,
}

/// Why a batch was not applied. Nothing of it was, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The batch does not go on where the read model stands.
    #[error(transparent)]
    Continuity(#[from] ContinuityError),
    /// Another projector of the same name holds the lease: stand by.
    #[error("{holder:?} holds the lease of projector {projector:?} until {until}")]
    Standby {
        /// The projector's name.
        projector: String,
        /// Who holds it.
        holder: HolderId,
        /// Until when, by the database's clock.
        until: Timestamp,
    },
    /// An entry breaks an invariant and the projector is to [halt](crate::OnViolation::Halt). Everything
    /// before it is applied.
    #[error("halted before position {position}: {} {violation}", .violation.code())]
    Halted {
        /// The entry.
        position: Position,
        /// What it breaks.
        violation: Violation,
    },
    /// An embedder's read model refused the batch.
    #[error("the read model {name:?} failed")]
    ReadModel {
        /// Its name.
        name: String,
        /// Whether trying again can help.
        fault: Fault,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tables are not what the entries up to the checkpoint make of them. Rebuild the read model.
    #[error(
        "the tables are not what the log up to the checkpoint {checkpoint} makes: {found}; rebuild them"
    )]
    Disagrees {
        /// Where the read model says that it stands.
        checkpoint: Position,
        /// What does not fit.
        found: Disagreement,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What does not fit between a read model's tables and its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disagreement {
    /// A row was written by an entry beyond the checkpoint: the checkpoint was set back, or the row
    /// was changed by hand.
    #[error("position {written} wrote a row")]
    RowAhead {
        /// What wrote the row.
        written: Position,
    },
    /// A row that is to be added is there already.
    #[error("a row that is to be added is there already ({constraint})")]
    RowExists {
        /// The table and the key, as the database names them.
        constraint: String,
    },
    /// A row that another refers to, or that is to be changed, is not there.
    #[error("a row that is to be there is missing ({constraint})")]
    RowMissing {
        /// The table or the key, as the database names them.
        constraint: String,
    },
    /// The checkpoint is not where this projector, which alone may move it, left it.
    #[error("the checkpoint was left at {left}")]
    CheckpointMoved {
        /// Where it was left.
        left: Position,
    },
}

impl ApplyError {
    /// Why a fold refused entries for a read model that stands at `checkpoint`.
    pub(crate) fn of_fold(error: FoldError, checkpoint: Position) -> Self {
        match error {
            FoldError::RowAhead { written, .. } => {
                Self::Disagrees { checkpoint, found: Disagreement::RowAhead { written } }
            }
            FoldError::HeadNotLoaded { .. } => {
                Self::Store(StoreError::permanent("folding entries", error))
            }
        }
    }

    /// Whether trying again can help, from the checkpoint. So it can after a gap: the read model went
    /// back meanwhile, as after a crash of its database.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Continuity(error) => matches!(error, ContinuityError::Gap { .. }),
            Self::Store(error) => error.is_transient(),
            Self::ReadModel { fault, .. } => *fault == Fault::Transient,
            Self::Standby { .. } | Self::Halted { .. } | Self::Disagrees { .. } => false,
        }
    }
}

/// Whether this projector may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It holds the lease.
    Held,
    /// Another holds it, until then by the database's clock.
    Standby {
        /// Who.
        holder: HolderId,
        /// Until when, unless it is renewed.
        until: Timestamp,
    },
}

/// Applies entries to a read model, idempotently, with its checkpoint in the same transaction.
///
/// Of several projectors of one name, one holds the lease and the others stand by. A deposed one
/// cannot write: the lease is checked inside the transaction that writes.
///
/// # Cancel safety
/// Dropping [`apply`](Self::apply) leaves open whether the batch was applied; applying it again
/// changes nothing.
#[async_trait]
pub trait Projector: Send + Sync {
    /// Where the read model stands. With several read models in one projector, the one that is
    /// furthest behind.
    ///
    /// # Errors
    /// The store's own.
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError>;

    /// Where each of its read models stands, by name.
    ///
    /// # Errors
    /// The store's own.
    async fn checkpoints(&self) -> Result<Vec<(String, Checkpoint)>, StoreError> {
        Ok(vec![(OPS_DB.to_owned(), self.checkpoint().await?)])
    }

    /// Applies what is new in the batch, and the checkpoint with it, in one transaction; takes or
    /// renews the lease.
    ///
    /// # Errors
    /// [`ApplyError`].
    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError>;

    /// Takes in a batch that others follow at once. It may be held back in memory, so that one
    /// transaction applies many batches: until memory is full, or [`apply`](Self::apply) applies the
    /// last of them (an empty one does as well). [`Applied::position`] says how far everything is
    /// applied. What is held back is lost with the projector, and forgotten where a batch does not go on
    /// from it; the checkpoint says where to go on from. Takes or renews the lease.
    ///
    /// A store that holds nothing back applies it.
    ///
    /// # Errors
    /// [`ApplyError`].
    async fn gather(&self, batch: Batch) -> Result<Applied, ApplyError> {
        self.apply(batch).await
    }

    /// Takes the lease if it is free or lapsed, renews it if it is held.
    ///
    /// # Errors
    /// The store's own.
    async fn hold_lease(&self) -> Result<Lease, StoreError>;

    /// Gives the lease up, so that another need not wait for it to lapse.
    ///
    /// # Errors
    /// The store's own.
    async fn release_lease(&self) -> Result<(), StoreError>;

    /// How long a lease holds without being renewed.
    fn lease_time(&self) -> Duration;
}

/// A projector whose read model can be built anew beside the live one.
#[async_trait]
pub trait Rebuild: Projector {
    /// Starts an empty generation beside the live one, after throwing away an unfinished one.
    ///
    /// # Errors
    /// The store's own.
    async fn begin_rebuild(&self) -> Result<Box<dyn Generation>, StoreError>;
}

/// A generation of the Ops DB that nobody reads yet. Dropping it throws it away, at the latest
/// when the next one is begun.
#[async_trait]
#[must_use = "dropping a generation throws it away"]
pub trait Generation: Send {
    /// Where this generation stands.
    fn checkpoint(&self) -> Checkpoint;

    /// Applies what is new in the batch.
    ///
    /// # Errors
    /// [`ApplyError`]; the generation is of no more use.
    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError>;

    /// Makes indexes and constraints, so that [`swap`](Self::swap) has only names to change.
    /// Batches can still be applied afterwards.
    ///
    /// # Errors
    /// The store's own.
    async fn seal(&mut self) -> Result<(), StoreError>;

    /// How this generation, once it is sealed, differs from the live one in the rows that entries up to
    /// `live` wrote, the live checkpoint, and those beyond it that
    /// [can be compared](crate::Table::compared_up_to); nothing where both were made of the same log in
    /// the same way. Its cost is that of reading both.
    ///
    /// # Errors
    /// The store's own.
    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError>;

    /// Puts this generation in the live one's place, in one transaction, if it stands no further
    /// back; returns false, and changes nothing, if the live one has gone further meanwhile. It
    /// goes back all the same where the live one stands at `rewind_from`: there the log does not
    /// reach any more, because it was restored from an older copy.
    ///
    /// # Errors
    /// The store's own. After a transient one this generation is as it was, and can be swapped in
    /// later; where it is lost, the error is permanent, at the latest that of the next call.
    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError>;
}
