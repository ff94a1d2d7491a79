//! Applying a batch: the one state machine by which every store projects.

use crate::checkpoint::Checkpoint;
use crate::fold::Fold;
use crate::ids::{HolderId, Position};
use crate::projector::{ApplyError, Batch, Disagreement, Lease};
use crate::store::lease::{CheckpointRow, LeaseState};
use crate::store::settings::ProjectorSettings;
use crate::store::step::{Loading, Step};
use crate::time::Timestamp;

mod projecting;

pub use projecting::{Gathered, HeldBack, News, Projecting};

/// A projector's part of the work without the I/O: its claim to the lease, and the heads that it
/// keeps from batch to batch.
///
/// A store drives it once a batch, inside one transaction, and each step takes the one before:
///
/// 1. lock and read the projector's row, and the clock: [`take_turn`](Self::take_turn), or stand by;
/// 2. read the rows of an embedder's read models, if there are any: [`Turn::begin`] checks that the
///    batch goes on where they stand;
/// 3. load the heads that [`Loading::missing`] names, and the verdicts that
///    [`Loading::judged_before`] does;
/// 4. [`Loading::fold`], then write [`Folded::changes`], [`Folded::row`] and, for each read model,
///    [`Folded::news`];
/// 5. commit, and only then [`Folded::committed`].
///
/// Where more follows at once, [`Loading::gather`] takes the place of the fold and what comes after it: it
/// says to write, or to hold back what was folded ([`HeldBack`]) until memory is full or a batch is
/// applied. A batch that does not go on from what is held back makes it forgotten.
///
/// Whatever is dropped on the way forgets the heads, as they may be ahead of the tables then; the
/// next batch loads them again. So a store that fails need only return.
///
/// ```
/// use std::time::Duration;
/// use guildhall_core::store::{Applier, CheckpointRow, ProjectorSettings};
/// # use guildhall_core::*;
/// # fn lock_row() -> (CheckpointRow, Timestamp) {
/// #     (CheckpointRow::NONE, "2026-11-23T10:05:00Z".parse().unwrap())
/// # }
/// # fn load(_: &guildhall_core::fold::Keys, _: &mut guildhall_core::fold::Heads) {}
/// # fn write(_: &guildhall_core::fold::Changes) {}
/// # fn save(_: &CheckpointRow) {}
/// # fn commit() {}
/// # fn apply(applier: &mut Applier, batch: Batch) -> Result<Applied, ApplyError> {
/// let (row, now) = lock_row();
/// let turn = applier.take_turn(row, now)?;
/// let mut loading = turn.begin(batch, Vec::new())?;
/// if let Some((keys, heads)) = loading.missing() {
///     load(keys, heads);
/// }
/// let folded = loading.fold()?;
/// write(folded.changes());
/// save(folded.row());
/// commit();
/// folded.committed()
/// # }
/// # let settings = ProjectorSettings::new(Duration::from_secs(15));
/// # let mut applier = Applier::new(settings, HolderId::new());
/// # let batch = Batch::new("guildhall/doc".parse()?, Vec::new())?;
/// # assert_eq!(apply(&mut applier, batch)?.entries, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Folded::changes`]: crate::store::Folded::changes
/// [`Folded::row`]: crate::store::Folded::row
/// [`Folded::news`]: crate::store::Folded::news
/// [`Folded::committed`]: crate::store::Folded::committed
#[derive(Debug)]
pub struct Applier {
    settings: ProjectorSettings,
    holder: HolderId,
    /// Under which it last held the lease.
    fence: Option<i64>,
    kept: Option<Kept>,
}

/// What it keeps from batch to batch.
#[derive(Debug)]
struct Kept {
    /// How it left its row.
    left: Left,
    /// The heads that go with that, or with what is held back.
    fold: Fold,
    /// How far the entries reach that were folded and whose rows are held back; none where none are.
    held_back: Option<Checkpoint>,
}

impl Kept {
    /// What is to take a batch, and from where on: after what is held back, if the batch goes on from
    /// there. One that does not reach as far may be of a log that went back meanwhile.
    fn taking(self, batch: &Batch, row: &CheckpointRow) -> Option<(Fold, Checkpoint)> {
        let Some(reached) = self.held_back else {
            return Some((self.fold, row.checkpoint.clone()));
        };
        let reaches = batch.last_position().is_none_or(|last| last >= reached.position);
        (reaches && batch.after(&reached).is_ok()).then_some((self.fold, reached))
    }
}

/// How a projector left its row: as nobody but it may move the checkpoint for as long as it only
/// renews the lease, it knows by this whether the heads that it keeps are still what the tables hold.
#[derive(Debug, Clone, Copy)]
struct Left {
    generation: i64,
    position: Position,
}

impl Left {
    fn of(row: &CheckpointRow) -> Self {
        Self { generation: row.generation, position: row.checkpoint.position }
    }

    /// Whether nobody wrote since. A new generation is another's work; a checkpoint that went back
    /// did so with the tables, in a crash of the database, or the fold says that it did not. Only a
    /// checkpoint that somebody moved forward, past entries that were not applied, is an error.
    fn is_what(self, found: &CheckpointRow) -> Result<bool, ApplyError> {
        let found = Self::of(found);
        let is_ours = self.generation == found.generation;
        if is_ours && found.position > self.position {
            let left = Disagreement::CheckpointMoved { left: self.position };
            return Err(ApplyError::Disagrees { checkpoint: found.position, found: left });
        }
        Ok(is_ours && found.position == self.position)
    }
}

/// Another projector of the same name holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// The projector's name.
    pub projector: String,
    /// Who holds it.
    pub holder: HolderId,
    /// Until when, by the database's clock.
    pub until: Timestamp,
}

impl From<Standby> for ApplyError {
    fn from(Standby { projector, holder, until }: Standby) -> Self {
        Self::Standby { projector, holder, until }
    }
}

impl From<Standby> for Lease {
    fn from(Standby { holder, until, .. }: Standby) -> Self {
        Self::Standby { holder, until }
    }
}

impl Applier {
    /// A projector that has applied nothing yet, and claims the lease as `holder`.
    pub fn new(settings: ProjectorSettings, holder: HolderId) -> Self {
        Self { settings, holder, fence: None, kept: None }
    }

    /// What it goes by.
    pub fn settings(&self) -> &ProjectorSettings {
        &self.settings
    }

    /// Whether it ever held the lease, so that its row is there.
    pub fn has_held_lease(&self) -> bool {
        self.fence.is_some()
    }

    /// Whether it has every head that a batch needs, and holds nothing back, for as long as its row is
    /// as it left it: a store may then fold the batch before it knows whether that is so, if nothing is
    /// written where it is not.
    pub fn has_heads_of(&self, batch: &Batch) -> bool {
        self.kept.as_ref().is_some_and(|kept| {
            kept.held_back.is_none() && kept.fold.missing(batch.entries()).is_empty()
        })
    }

    /// Takes or renews the lease in its row, as found and locked in the transaction.
    ///
    /// # Errors
    /// [`Standby`]: another holds it. Nothing is to be written.
    pub fn take_turn(
        &mut self,
        mut found: CheckpointRow,
        now: Timestamp,
    ) -> Result<Turn<'_>, Standby> {
        let fence = found.lease.fence;
        let lease = found.lease.take(self.holder, self.fence, self.settings.lease_time, now);
        if found.lease.fence != fence || lease != Lease::Held {
            // Another may have written in between, even under a fence that is the same again because
            // the database crashed and forgot who held the lease.
            self.kept = None;
        }
        match lease {
            Lease::Held => Ok(Turn { applier: self, row: found }),
            Lease::Standby { holder, until } => {
                Err(Standby { projector: self.settings.name.clone(), holder, until })
            }
        }
    }

    /// Gives the lease up, if it is this projector's; says whether there is something to write.
    pub fn release(&self, lease: &mut LeaseState) -> bool {
        lease.release(self.holder)
    }
}

/// The lease is held until the transaction ends, if its row is written in it.
#[derive(Debug)]
#[must_use = "begin a batch, or write the row and say that it is held"]
pub struct Turn<'a> {
    applier: &'a mut Applier,
    row: CheckpointRow,
}

impl<'a> Turn<'a> {
    /// The row to write.
    pub fn row(&self) -> &CheckpointRow {
        &self.row
    }

    /// Reports that the row was committed, where there was no batch to apply.
    pub fn held(self) {
        self.applier.fence = Some(self.row.lease.fence);
    }

    /// Begins a batch, after checking that it goes on where the Ops DB and the read models beside
    /// it stand. Each of `read_models` is the row of one, in the order in which they are applied.
    ///
    /// # Errors
    /// [`ApplyError::Continuity`], or [`ApplyError::Disagrees`] where somebody moved the checkpoint.
    pub fn begin(
        self,
        batch: Batch,
        read_models: Vec<CheckpointRow>,
    ) -> Result<Loading<Projecting<'a>>, ApplyError> {
        let Self { applier, row } = self;
        // Taken out: whatever fails from here on, the heads may be ahead of the tables.
        let kept = match applier.kept.take() {
            Some(kept) if kept.left.is_what(&row)? => kept.taking(&batch, &row),
            _ => None,
        };
        let (fold, from) = kept.unwrap_or_else(|| {
            let ProjectorSettings { policy, on_violation, .. } = &applier.settings;
            (Fold::new(policy.clone(), *on_violation), row.checkpoint.clone())
        });
        let step = Step::new(fold, batch, from)?;
        for model in &read_models {
            step.batch.after(&model.checkpoint)?;
        }
        Ok(Loading { step, by: Projecting::of(applier, row, read_models) })
    }
}

#[cfg(test)]
mod tests;
