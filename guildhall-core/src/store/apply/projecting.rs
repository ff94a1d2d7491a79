//! A batch on the live tables, and on the read models beside them.

use std::ops::RangeInclusive;

use super::{Applier, Kept, Left};
use crate::chronicle::DecodedEntry;
use crate::ids::Position;
use crate::ops::QuarantinedEntry;
use crate::projector::{Applied, ApplyError};
use crate::store::lease::CheckpointRow;
use crate::store::settings::ProjectorSettings;
use crate::store::step::{Folded, FoldedStep, Loading, Step, applied};
use crate::verdict::{Judged, Verdict};

/// By a projector: the live tables, and read models beside them.
#[derive(Debug)]
pub struct Projecting<'a> {
    applier: &'a mut Applier,
    ops_db: Moving,
    read_models: Vec<Moving>,
    /// Those of the entries that were judged before.
    quarantined: Vec<QuarantinedEntry>,
}

/// A row whose checkpoint moves.
#[derive(Debug)]
struct Moving {
    from: Position,
    row: CheckpointRow,
}

impl From<CheckpointRow> for Moving {
    fn from(row: CheckpointRow) -> Self {
        Self { from: row.checkpoint.position, row }
    }
}

impl<'a> Projecting<'a> {
    pub(super) fn of(
        applier: &'a mut Applier,
        row: CheckpointRow,
        read_models: Vec<CheckpointRow>,
    ) -> Self {
        let ops_db = Moving::from(row);
        let read_models = read_models.into_iter().map(Moving::from).collect();
        Self { applier, ops_db, read_models, quarantined: Vec::new() }
    }

    /// The position, of what is furthest behind.
    fn furthest_behind(&self, position: impl Fn(&Moving) -> Position) -> Position {
        let models = self.read_models.iter().map(&position);
        models.fold(position(&self.ops_db), Position::min)
    }
}

impl<'a> Loading<Projecting<'a>> {
    /// The positions whose rows of `quarantined_entries` have to be loaded too, for
    /// [`know_quarantined`](Self::know_quarantined): a read model that is behind the Ops DB is shown
    /// entries that were judged in an earlier batch. None where there are no such entries.
    pub fn judged_before(&self) -> Option<RangeInclusive<Position>> {
        let Step { batch, from, .. } = &self.step;
        if self.by.read_models.is_empty() {
            return None;
        }
        let first = self.by.furthest_behind(|it| it.from).next()?;
        let first = first.max(batch.entries().first()?.position);
        let last = batch.last_position()?.min(from.position);
        (first <= last).then_some(first..=last)
    }

    /// Puts the rows of `quarantined_entries` at the positions that were
    /// [judged before](Self::judged_before).
    pub fn know_quarantined(&mut self, rows: Vec<QuarantinedEntry>) {
        self.by.quarantined = rows;
    }

    /// Folds the batch.
    ///
    /// # Errors
    /// [`ApplyError::Disagrees`] where the tables are ahead of the checkpoint; permanent where the
    /// store did not load what was missing.
    pub fn fold(self) -> Result<Folded<Projecting<'a>>, ApplyError> {
        let Self { step, by } = self;
        let last = step.batch.last_position();
        let has_news = by.read_models.iter().any(|model| last > Some(model.from));
        let step = step.fold(has_news)?;
        Ok(Folded::of(step, by, last))
    }

    /// Folds the batch, which others follow at once, and says whether to write what was gathered so
    /// far. It is to be written where memory is full, where an entry halts the fold, and where a read
    /// model is to be shown the batch.
    ///
    /// # Errors
    /// Those of [`fold`](Self::fold).
    pub fn gather(self) -> Result<Gathered<'a>, ApplyError> {
        if !self.by.read_models.is_empty() {
            return self.fold().map(Gathered::Folded);
        }
        let Self { step, by } = self;
        let step = step.fold(false)?;
        let ProjectorSettings { memory_bytes, transaction_bytes, .. } = by.applier.settings;
        if step.halt.is_some() || step.fold.is_full(memory_bytes, transaction_bytes) {
            return Ok(Gathered::Folded(Folded::of(step, by, None)));
        }
        Ok(Gathered::HeldBack(HeldBack { step, by }))
    }
}

/// What became of a batch that others follow at once.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one lives as long as its batch is written")]
pub enum Gathered<'a> {
    /// It is to be written, with all that was held back before it.
    Folded(Folded<Projecting<'a>>),
    /// It is held back with what follows.
    HeldBack(HeldBack<'a>),
}

/// A batch that was folded, and whose rows are held back. Its turn renews the lease alone.
#[derive(Debug)]
#[must_use = "write the row, commit, and report that"]
pub struct HeldBack<'a> {
    step: FoldedStep,
    by: Projecting<'a>,
}

impl HeldBack<'_> {
    /// The projector's row to write: the lease is renewed, and the checkpoint stays where it is.
    pub fn row(&self) -> &CheckpointRow {
        &self.by.ops_db.row
    }

    /// Reports that the row was committed. Nothing is applied yet.
    pub fn committed(self) -> Applied {
        let Self { step, by: Projecting { applier, ops_db: Moving { row, .. }, .. } } = self;
        applier.fence = Some(row.lease.fence);
        let (left, held_back) = (Left::of(&row), Some(step.checkpoint));
        applier.kept = Some(Kept { left, fold: step.fold, held_back });
        Applied { position: row.checkpoint.position, ..Applied::default() }
    }
}

impl<'a> Folded<Projecting<'a>> {
    /// All that was gathered up to a step, whose batch ends with `last` where read models are shown it.
    fn of(mut step: FoldedStep, mut by: Projecting<'a>, last: Option<Position>) -> Self {
        if let Some(batch) = &step.batch {
            let upto = last.unwrap_or_default().min(step.checkpoint.position);
            for model in by.read_models.iter_mut().filter(|model| model.from < upto) {
                model.row.checkpoint = batch.checkpoint_at(upto, &model.row.checkpoint);
            }
        }
        by.ops_db.row.checkpoint = step.checkpoint.clone();
        let changes = step.fold.take_changes();
        Self { step, changes, by }
    }
}

impl Folded<Projecting<'_>> {
    /// The projector's row to write.
    pub fn row(&self) -> &CheckpointRow {
        &self.by.ops_db.row
    }

    /// The position that the Ops DB comes to; none where it stays where it is.
    pub fn reaches(&self) -> Option<Position> {
        let Moving { from, row } = &self.by.ops_db;
        let reached = row.checkpoint.position;
        (reached > *from).then_some(reached)
    }

    /// What is new to the `nth` read model; none where nothing is.
    pub fn news(&self, nth: usize) -> Option<News<'_>> {
        let batch = self.step.batch.as_ref()?;
        let Moving { from, row } = self.by.read_models.get(nth)?;
        let up_to =
            |position: Position| batch.entries().partition_point(|it| it.position <= position);
        let fresh = batch.entries().get(up_to(*from)..up_to(row.checkpoint.position))?;
        let quarantined = self.by.quarantined.iter().chain(&self.changes.quarantined);
        let mut quarantined: Vec<_> = quarantined.collect();
        quarantined.sort_by_key(|row| row.position);
        let verdict = |entry: &DecodedEntry| {
            let found = quarantined.binary_search_by_key(&entry.position, |row| row.position);
            found.map_or(Verdict::Applied, |at| Verdict::Quarantined(quarantined[at]))
        };
        let judged = fresh.iter().map(|entry| Judged { entry, verdict: verdict(entry) });
        let entries = judged.collect::<Vec<_>>();
        (!entries.is_empty()).then_some(News { entries, row })
    }

    /// Reports that all was committed, and returns what the batch did.
    ///
    /// # Errors
    /// [`ApplyError::Halted`]: what comes before that entry is committed.
    pub fn committed(self) -> Result<Applied, ApplyError> {
        let Self { step, changes, by } = self;
        let before = by.furthest_behind(|it| it.from);
        let after = by.furthest_behind(|it| it.row.checkpoint.position);
        let Projecting { applier, ops_db: Moving { row, .. }, .. } = by;
        applier.fence = Some(row.lease.fence);
        let (left, fold) = (Left::of(&row), step.fold.within(applier.settings.memory_bytes));
        applier.kept = Some(Kept { left, fold, held_back: None });
        applied(before, after, &changes, step.halt)
    }
}

/// What is new to a read model beside the Ops DB, whose tables show the batch already.
#[derive(Debug)]
pub struct News<'b> {
    /// The entries, in order, each with what became of it.
    pub entries: Vec<Judged<'b>>,
    /// The read model's row, to be written with them.
    pub row: &'b CheckpointRow,
}
