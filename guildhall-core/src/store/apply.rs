//! Applying a batch: the one state machine by which every store projects.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::checkpoint::{Checkpoint, ContinuityError};
use crate::chronicle::DecodedEntry;
use crate::custody::CustodyPolicy;
use crate::fold::{Changes, Fold, Halt, Heads, Keys, OnViolation};
use crate::ids::{HolderId, Position};
use crate::ops::QuarantinedEntry;
use crate::projector::{Applied, ApplyError, Batch, Disagreement, Lease, OPS_DB};
use crate::store::lease::{CheckpointRow, LeaseState};
use crate::time::Timestamp;
use crate::verdict::{Judged, Verdict};

/// What a projector and a rebuild of its tables go by.
#[derive(Debug, Clone)]
pub struct ProjectorSettings {
    /// The projector's name in `projector_checkpoints`.
    pub name: String,
    /// By which moves of custody are judged.
    pub policy: CustodyPolicy,
    /// What becomes of an entry that breaks an invariant.
    pub on_violation: OnViolation,
    /// How long the lease holds without being renewed.
    pub lease_time: Duration,
    /// How many bytes the heads may hold between batches, about.
    pub memory_bytes: usize,
    /// How many bytes of rows a projector that is far behind gathers for one transaction, about.
    pub transaction_bytes: usize,
    /// How many bytes of rows and heads a rebuild may hold back, about.
    pub rebuild_memory_bytes: usize,
}

impl ProjectorSettings {
    /// Those of the Ops DB: the standard policy, quarantine, 32 MiB of heads between batches (some
    /// 50,000 artifacts), 32 MiB of rows for one transaction (those of some 100,000 entries), 96 MiB in
    /// a rebuild (some 30,000 artifacts with three targets each).
    pub fn new(lease_time: Duration) -> Self {
        Self {
            name: OPS_DB.to_owned(),
            policy: CustodyPolicy::standard(),
            on_violation: OnViolation::Quarantine,
            lease_time,
            memory_bytes: 32 << 20,
            transaction_bytes: 32 << 20,
            rebuild_memory_bytes: 96 << 20,
        }
    }
}

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
        let ops_db = Moving::from(row);
        let read_models = read_models.into_iter().map(Moving::from).collect();
        let by = Projecting { applier, ops_db, read_models, quarantined: Vec::new() };
        Ok(Loading { step, by })
    }
}

/// A batch that the fold cannot take yet: heads may have to be loaded. `B` is what applies it, a
/// [projector](Projecting) or a [rebuild](crate::store::Filling).
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

impl Projecting<'_> {
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

/// What a projector and a rebuild have in common: a batch, and the fold that is to take it.
#[derive(Debug)]
pub(super) struct Step {
    fold: Fold,
    batch: Batch,
    from: Checkpoint,
    keys: Keys,
}

/// A batch that was taken.
#[derive(Debug)]
pub(super) struct FoldedStep {
    pub(super) fold: Fold,
    /// Where somebody else is to be shown it.
    batch: Option<Batch>,
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

#[cfg(test)]
mod tests;
