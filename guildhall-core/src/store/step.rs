//! One step of a projector or a rebuild: a batch is loaded for, and folded.

use crate::checkpoint::{Checkpoint, ContinuityError};
use crate::fold::{Changes, Fold, Halt, Heads, Keys};
use crate::ids::Position;
use crate::projector::{Applied, ApplyError, Batch};

/// A batch that the fold cannot take yet: heads may have to be loaded. `B` is what applies it, a
/// [projector](crate::store::Projecting) or a [rebuild](crate::store::Filling).
#[derive(Debug)]
#[must_use = "load what is missing, then fold"]
pub struct Loading<B> {
    pub(super) step: Step,
    pub(super) by: B,
}

impl<B> Loading<B> {
    /// What has to be loaded, and where the store puts it; none where nothing has to.
    pub fn missing(&mut self) -> Option<(&Keys, &mut Heads)> {
        let Step { keys, fold, .. } = &mut self.step;
        (!keys.is_empty()).then(|| (&*keys, fold.heads_mut()))
    }
}

/// A batch that was folded, and what it changes, which is to be written and committed.
#[derive(Debug)]
#[must_use = "write it, commit, and report that"]
pub struct Folded<B> {
    pub(super) step: FoldedStep,
    pub(super) changes: Changes,
    pub(super) by: B,
}

impl<B> Folded<B> {
    /// The rows to write.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The same, for a store that writes rows of a table in an order of its own.
    pub fn changes_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }
}

/// What a projector and a rebuild have in common: a batch, and the fold that is to take it.
#[derive(Debug)]
pub(super) struct Step {
    fold: Fold,
    pub(super) batch: Batch,
    pub(super) from: Checkpoint,
    keys: Keys,
}

/// A batch that was taken.
#[derive(Debug)]
pub(super) struct FoldedStep {
    pub(super) fold: Fold,
    /// Where somebody else is to be shown it.
    pub(super) batch: Option<Batch>,
    pub(super) checkpoint: Checkpoint,
    pub(super) halt: Option<Halt>,
}

impl Step {
    /// Checks that the batch goes on at `from`.
    pub(super) fn new(fold: Fold, batch: Batch, from: Checkpoint) -> Result<Self, ContinuityError> {
        let keys = fold.missing(batch.after(&from)?);
        Ok(Self { fold, batch, from, keys })
    }

    /// Folds what is new in the batch, and keeps a copy of the batch only where it is shown to
    /// somebody else.
    pub(super) fn fold(self, is_shown: bool) -> Result<FoldedStep, ApplyError> {
        let Self { mut fold, batch, from, .. } = self;
        let origin = batch.origin().clone();
        let (batch, fresh) = if is_shown {
            let fresh = batch.after(&from)?.to_vec();
            (Some(batch), fresh)
        } else {
            (None, batch.into_entries_after(from.position))
        };
        // A halt is before the entry that it met last.
        let (mut before, mut met) = (None, None);
        let met_each = fresh.into_iter().inspect(|entry| {
            before = met.replace((entry.position, entry.leaf_hash));
        });
        let halt =
            fold.apply(met_each).map_err(|error| ApplyError::of_fold(error, from.position))?;
        let last = if halt.is_some() { before } else { met };
        let checkpoint = last.map_or(from, |(position, leaf_hash)| Checkpoint {
            position,
            leaf_hash: Some(leaf_hash),
            origin: Some(origin),
        });
        Ok(FoldedStep { fold, batch, checkpoint, halt })
    }
}

/// What a batch did that is committed now.
pub(super) fn applied(
    before: Position,
    after: Position,
    changes: &Changes,
    halt: Option<Halt>,
) -> Result<Applied, ApplyError> {
    match halt {
        Some(Halt { position, violation }) => Err(ApplyError::Halted { position, violation }),
        None => Ok(Applied {
            position: after,
            entries: after.get() - before.get(),
            quarantined: changes.quarantined.len() as u64,
            skipped: changes.skipped,
        }),
    }
}
