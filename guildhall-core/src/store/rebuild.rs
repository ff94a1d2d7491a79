//! Rebuilding: the state machine by which every store fills the next generation of the tables.

use crate::checkpoint::Checkpoint;
use crate::error::StoreError;
use crate::fold::{Changes, Fold};
use crate::projector::{Applied, ApplyError, Batch};
use crate::store::settings::ProjectorSettings;
use crate::store::step::{Folded, Loading, Step, applied};

/// A rebuild's part of the work without the I/O: where the next generation stands, and the rows that
/// may still change, which are held back so that each is written once.
///
/// The tables begin empty and without keys. A store drives it as it does an
/// [`Applier`](crate::store::Applier), but for the lease: [`begin`](Self::begin),
/// [`Loading::missing`], [`Loading::fold`], then it writes the rows that are final and reports that
/// they are [written](Folded::written). After each batch it asks whether memory is full
/// ([`spill`](Self::spill)), and at the end for what is still held ([`release`](Self::release)): in
/// both cases it writes those rows, makes the keys, and from there on rows may change in the tables.
///
/// Whatever is dropped on the way leaves a generation of no more use, and says so ever after.
#[derive(Debug)]
pub struct Filler {
    checkpoint: Checkpoint,
    memory_bytes: usize,
    holds_rows: bool,
    /// None while a step is on its way, and once one was dropped.
    fold: Option<Fold>,
}

/// A step of the rebuild was not brought to its end.
#[derive(Debug, thiserror::Error)]
#[error("this generation failed before; begin another")]
struct Spent;

impl Filler {
    /// Over tables that are empty.
    pub fn new(settings: &ProjectorSettings) -> Self {
        let fold = Fold::over_empty_tables(settings.policy.clone(), settings.on_violation);
        Self {
            checkpoint: Checkpoint::ZERO,
            memory_bytes: settings.rebuild_memory_bytes,
            holds_rows: true,
            fold: Some(fold),
        }
    }

    /// Where the generation stands.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Checks that no step was dropped.
    ///
    /// # Errors
    /// Permanent: the generation is of no more use.
    pub fn check_usable(&self, doing: &'static str) -> Result<(), StoreError> {
        match &self.fold {
            Some(_) => Ok(()),
            None => Err(StoreError::permanent(doing, Spent)),
        }
    }

    /// Begins a batch, after checking that it goes on where the generation stands.
    ///
    /// # Errors
    /// [`ApplyError::Continuity`]; permanent where an earlier step was dropped.
    pub fn begin(&mut self, batch: Batch) -> Result<Loading<Filling<'_>>, ApplyError> {
        batch.after(&self.checkpoint)?;
        let fold = self.take("rebuilding")?;
        let step = Step::new(fold, batch, self.checkpoint.clone())?;
        Ok(Loading { step, by: Filling { filler: self } })
    }

    /// What is held back, if memory is full; the heads are forgotten once it is written.
    ///
    /// # Errors
    /// Permanent where an earlier step was dropped.
    pub fn spill(&mut self) -> Result<Option<Held<'_>>, StoreError> {
        let memory_bytes = self.memory_bytes;
        let fold = self.take("writing the rows held back")?;
        if fold.weight_bytes() <= memory_bytes || !self.holds_rows {
            self.fold = Some(fold.within(memory_bytes));
            return Ok(None);
        }
        Ok(Some(Held::take(self, fold)))
    }

    /// What is still held back; none where it was written before.
    ///
    /// # Errors
    /// Permanent where an earlier step was dropped.
    pub fn release(&mut self) -> Result<Option<Held<'_>>, StoreError> {
        let fold = self.take("writing the rows held back")?;
        if !self.holds_rows {
            self.fold = Some(fold);
            return Ok(None);
        }
        Ok(Some(Held::take(self, fold)))
    }

    fn take(&mut self, doing: &'static str) -> Result<Fold, StoreError> {
        self.fold.take().ok_or_else(|| StoreError::permanent(doing, Spent))
    }
}

/// Whether the rows of `deployment_states` and `row_counts` may be there already. Finding out needs their
/// keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployments {
    /// None of them is: into tables without their keys.
    New,
    /// Some may be.
    Upserted,
}

/// By a rebuild: the tables of the next generation.
#[derive(Debug)]
pub struct Filling<'f> {
    filler: &'f mut Filler,
}

impl<'f> Loading<Filling<'f>> {
    /// Folds the batch.
    ///
    /// # Errors
    /// [`ApplyError::Disagrees`] where the tables hold what they cannot; permanent where the store
    /// did not load what was missing.
    pub fn fold(self) -> Result<Folded<Filling<'f>>, ApplyError> {
        let Self { step, by } = self;
        let mut step = step.fold(false)?;
        let changes = if by.filler.holds_rows {
            step.fold.take_final_rows()
        } else {
            step.fold.take_changes()
        };
        Ok(Folded { step, changes, by })
    }
}

impl Folded<Filling<'_>> {
    /// How the rows of `deployment_states` and `row_counts` are to be written.
    pub fn deployments(&self) -> Deployments {
        if self.by.filler.holds_rows { Deployments::New } else { Deployments::Upserted }
    }

    /// Reports that the rows were written, and returns what the batch did.
    ///
    /// # Errors
    /// [`ApplyError::Halted`]: what comes before that entry is written.
    pub fn written(self) -> Result<Applied, ApplyError> {
        let Self { step, changes, by: Filling { filler } } = self;
        let before = filler.checkpoint.position;
        filler.checkpoint = step.checkpoint;
        filler.fold = Some(step.fold);
        applied(before, filler.checkpoint.position, &changes, step.halt)
    }
}

/// Rows that were held back while they could change: of `governed_artifacts`, `deployment_states` and
/// `row_counts`, none of which is in the tables.
#[derive(Debug)]
#[must_use = "write the rows, make the keys, and report that"]
pub struct Held<'f> {
    filler: &'f mut Filler,
    fold: Fold,
    rows: Changes,
}

impl<'f> Held<'f> {
    fn take(filler: &'f mut Filler, mut fold: Fold) -> Self {
        let is_full = fold.weight_bytes() > filler.memory_bytes;
        let rows = fold.take_changes();
        if is_full {
            fold.forget_heads();
        }
        Self { filler, fold, rows }
    }

    /// The rows to write.
    pub fn rows(&self) -> &Changes {
        &self.rows
    }

    /// Reports that they are written, and that the tables have their keys.
    pub fn written(self) {
        self.filler.holds_rows = false;
        self.filler.fold = Some(self.fold);
    }
}
