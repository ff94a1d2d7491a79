//! The machine, driven by a store that fails wherever it can.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::checkpoint::ContinuityError;
use crate::chronicle::DecodedEntry;
use crate::custody::CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified};
use crate::event::{CustodyTransitioned, Event, Outcome};
use crate::fixtures::{at, bound, chain, entries, observed, origin, registered, revised, verified};
use crate::fold::OnViolation;
use crate::invariant::Code;
use crate::memory::tables::Rows;
use crate::ops::Tables;
use crate::projector::{Applied, OPS_DB};
use crate::store::step::Folded;
use crate::store::{Deployments, Filler};
use crate::verdict::{Judged, Verdict};

const LEASE: Duration = Duration::from_secs(10);

/// What is durable of a store.
#[derive(Debug, Clone)]
struct Disk {
    rows: Rows,
    row: CheckpointRow,
}

impl Disk {
    fn empty() -> Self {
        Self { rows: Rows::default(), row: CheckpointRow::NONE }
    }

    /// Writes what a turn returns; it is durable once it is put in the disk's place.
    fn written(&self, folded: &Folded<Projecting<'_>>) -> Self {
        let mut next = self.clone();
        next.rows.write(folded.changes().clone());
        next.row = folded.row().clone();
        next
    }

    fn tables(&self) -> Tables {
        self.rows.to_tables(Some(&self.row.checkpoint))
    }
}

fn settings() -> ProjectorSettings {
    ProjectorSettings::new(LEASE)
}

fn applier(settings: ProjectorSettings) -> Applier {
    Applier::new(settings, HolderId::new())
}

/// Everything that the fold distinguishes, some of it refused.
fn story() -> Vec<DecodedEntry> {
    let links = chain(&[Drafted, CeremonyOpen, Ratified, Deployed, CeremonyOpen]);
    let forged = CustodyTransitioned { actor: "eve".to_owned(), ..links[1].clone() };
    let mut events: Vec<Event> = vec![bound().into(), registered().into(), registered().into()];
    events.extend([observed("eu", true, 1).into(), links[0].clone().into(), forged.into()]);
    events.extend(links[1..3].iter().cloned().map(Event::from));
    events.extend([observed("eu", false, 9).into(), observed("eu", true, 5).into()]);
    events.extend([verified(Outcome::Failed, 4).into(), links[3].clone().into()]);
    events.extend([observed("us", true, 2).into(), revised("[1]", registered().cid).into()]);
    events.extend([links[4].clone().into(), observed("eu", true, 11).into()]);
    entries(events)
}

fn batch(entries: &[DecodedEntry]) -> Batch {
    Batch::new(origin(), entries.to_vec()).unwrap()
}

fn folded<'a>(
    applier: &'a mut Applier,
    disk: &Disk,
    batch: Batch,
    read_models: &[CheckpointRow],
) -> Result<Folded<Projecting<'a>>, ApplyError> {
    let turn = applier.take_turn(disk.row.clone(), at(0))?;
    let mut loading = turn.begin(batch, read_models.to_vec())?;
    if let Some((keys, heads)) = loading.missing() {
        disk.rows.load_heads(keys, heads);
    }
    if let Some(judged) = loading.judged_before() {
        let quarantined = disk.tables().quarantined_entries;
        let quarantined = quarantined.into_iter().filter(|row| judged.contains(&row.position));
        loading.know_quarantined(quarantined.collect());
    }
    loading.fold()
}

fn apply(applier: &mut Applier, disk: &mut Disk, batch: Batch) -> Result<Applied, ApplyError> {
    let folded = folded(applier, disk, batch, &[])?;
    *disk = disk.written(&folded);
    folded.committed()
}

/// The tables that these entries make in one go.
fn in_one_go(entries: &[DecodedEntry]) -> Tables {
    let mut disk = Disk::empty();
    apply(&mut applier(settings()), &mut disk, batch(entries)).unwrap();
    disk.tables()
}

#[test]
fn heads_are_loaded_once_and_again_after_a_turn_that_was_dropped() {
    let (story, mut disk, mut applier) = (story(), Disk::empty(), applier(settings()));
    apply(&mut applier, &mut disk, batch(&story[..6])).unwrap();
    let missing = |applier: &mut Applier, disk: &Disk| {
        let turn = applier.take_turn(disk.row.clone(), at(0)).unwrap();
        let mut loading = turn.begin(batch(&story[6..8]), Vec::new()).unwrap();
        loading.missing().map(|(keys, _)| keys.artifacts.len())
    };
    assert_eq!(missing(&mut applier, &disk), None);
    assert_eq!(missing(&mut applier, &disk), Some(1), "the heads went with the turn before");
}

#[test]
fn heads_are_loaded_again_where_memory_is_full_or_another_wrote() {
    let story = story();
    let has_to_load = |applier: &mut Applier, disk: &Disk| {
        let turn = applier.take_turn(disk.row.clone(), at(60)).unwrap();
        turn.begin(batch(&story[6..8]), Vec::new()).unwrap().missing().is_some()
    };
    let mut disk = Disk::empty();
    let mut tiny = applier(ProjectorSettings { memory_bytes: 0, ..settings() });
    apply(&mut tiny, &mut disk, batch(&story[..6])).unwrap();
    assert!(has_to_load(&mut tiny, &disk));

    let mut disk = Disk::empty();
    let mut one = applier(settings());
    apply(&mut one, &mut disk, batch(&story[..6])).unwrap();
    disk.row = disk.row.swapped(&disk.row.checkpoint, None).unwrap();
    assert!(has_to_load(&mut one, &disk));
}

#[test]
fn who_stands_by_begins_nothing() {
    let mut disk = Disk::empty();
    apply(&mut applier(settings()), &mut disk, batch(&story()[..2])).unwrap();
    let mut rival = applier(settings());
    let standby = rival.take_turn(disk.row.clone(), at(9)).unwrap_err();
    assert_eq!((standby.projector.as_str(), standby.until), (OPS_DB, at(10)));
    assert!(!rival.has_held_lease());
    rival.take_turn(disk.row.clone(), at(10)).unwrap().held();
    assert!(rival.has_held_lease());
}

#[test]
fn a_checkpoint_that_somebody_moved_forward_is_refused() {
    let (story, mut disk, mut applier) = (story(), Disk::empty(), applier(settings()));
    apply(&mut applier, &mut disk, batch(&story[..6])).unwrap();
    disk.row.checkpoint.position = Position::new(8);
    let refused = apply(&mut applier, &mut disk, batch(&story[8..])).unwrap_err();
    let left = Disagreement::CheckpointMoved { left: Position::new(6) };
    assert!(matches!(refused, ApplyError::Disagrees { found, .. } if found == left));
}

/// The crash takes back that the second took over, so its next turn has the fence of its last.
#[test]
fn a_takeover_that_a_crash_forgot_is_no_takeover() {
    let (story, mut disk) = (story(), Disk::empty());
    let mut projectors = [applier(settings()), applier(settings())];
    apply(&mut projectors[0], &mut disk, batch(&story[..2])).unwrap();
    let before = disk.clone();
    let mut turn = |nth: usize, disk: &mut Disk, first: usize, last: usize, second: i64| {
        let turn = projectors[nth].take_turn(disk.row.clone(), at(second)).unwrap();
        let mut loading = turn.begin(batch(&story[first..last]), Vec::new()).unwrap();
        if let Some((keys, heads)) = loading.missing() {
            disk.rows.load_heads(keys, heads);
        }
        let folded = loading.fold().unwrap();
        *disk = disk.written(&folded);
        folded.committed().unwrap();
    };
    turn(1, &mut disk, 2, 3, 20);
    let fence = disk.row.lease.fence;
    disk = before;
    turn(0, &mut disk, 2, 4, 21);
    turn(1, &mut disk, 4, story.len(), 40);
    assert_eq!(disk.row.lease.fence, fence);
    assert_eq!(disk.tables(), in_one_go(&story));
}

fn gather(applier: &mut Applier, disk: &mut Disk, batch: Batch) -> Result<Applied, ApplyError> {
    let turn = applier.take_turn(disk.row.clone(), at(0))?;
    let mut loading = turn.begin(batch, Vec::new())?;
    if let Some((keys, heads)) = loading.missing() {
        disk.rows.load_heads(keys, heads);
    }
    match loading.gather()? {
        Gathered::Folded(folded) => {
            *disk = disk.written(&folded);
            folded.committed()
        }
        Gathered::HeldBack(held_back) => {
            disk.row = held_back.row().clone();
            Ok(held_back.committed())
        }
    }
}

#[test]
fn what_follows_each_other_is_applied_at_once() {
    let (story, mut disk, mut applier) = (story(), Disk::empty(), applier(settings()));
    for nth in 0..9 {
        let applied = gather(&mut applier, &mut disk, batch(&story[nth..=nth])).unwrap();
        assert_eq!(applied, Applied::default());
        assert_eq!(disk.tables(), in_one_go(&[]));
        assert!(
            !applier.has_heads_of(&batch(&story[nth..=nth])),
            "another way would leave rows out"
        );
    }
    let applied = apply(&mut applier, &mut disk, batch(&[])).unwrap();
    assert_eq!((applied.position.get(), applied.entries, applied.quarantined), (9, 9, 2));
    assert_eq!(disk.tables(), in_one_go(&story[..9]));
}

#[test]
fn what_fills_the_memory_is_applied() {
    let story = story();
    let fills = [
        ProjectorSettings { memory_bytes: 0, ..settings() },
        ProjectorSettings { transaction_bytes: 0, ..settings() },
    ];
    for settings in fills {
        let (mut disk, mut applier) = (Disk::empty(), applier(settings));
        let applied = gather(&mut applier, &mut disk, batch(&story[..6])).unwrap();
        assert_eq!((applied.position.get(), applied.entries), (6, 6));
        assert_eq!(disk.tables(), in_one_go(&story[..6]));
    }
}

/// The log was restored from an older copy: what was held back is not in it.
#[test]
fn what_was_held_back_is_forgotten_where_a_batch_does_not_reach_it() {
    let story = story();
    for (first, last) in [(2, 4), (3, 4), (4, 4)] {
        let (mut disk, mut applier) = (Disk::empty(), applier(settings()));
        apply(&mut applier, &mut disk, batch(&story[..4])).unwrap();
        gather(&mut applier, &mut disk, batch(&story[4..8])).unwrap();
        if first < last {
            apply(&mut applier, &mut disk, batch(&story[first..last])).unwrap();
            assert_eq!(disk.tables(), in_one_go(&story[..4]));
            // It goes on from the checkpoint.
            let gap = apply(&mut applier, &mut disk, batch(&story[8..])).unwrap_err();
            assert!(matches!(gap, ApplyError::Continuity(ContinuityError::Gap { .. })), "{gap}");
        }
        apply(&mut applier, &mut disk, batch(&story[4..])).unwrap();
        assert_eq!(disk.tables(), in_one_go(&story));
    }
}

#[test]
fn a_halt_applies_what_was_held_back() {
    let (story, mut disk) = (story(), Disk::empty());
    let mut applier = applier(ProjectorSettings { on_violation: OnViolation::Halt, ..settings() });
    gather(&mut applier, &mut disk, batch(&story[..1])).unwrap();
    let halted = gather(&mut applier, &mut disk, batch(&story[1..8])).unwrap_err();
    assert!(matches!(halted, ApplyError::Halted { position, .. } if position.get() == 3));
    assert_eq!(disk.tables(), in_one_go(&story[..2]));
}

#[test]
fn a_halt_commits_what_came_before_it() {
    let (story, mut disk) = (story(), Disk::empty());
    let mut applier = applier(ProjectorSettings { on_violation: OnViolation::Halt, ..settings() });
    for _ in 0..2 {
        let halted = apply(&mut applier, &mut disk, batch(&story)).unwrap_err();
        assert!(matches!(halted, ApplyError::Halted { position, .. } if position.get() == 3));
        assert_eq!(disk.tables(), in_one_go(&story[..2]));
    }
}

#[test]
fn a_read_model_is_shown_every_verdict_however_far_behind_it_is() {
    let (story, mut disk, mut applier) = (story(), Disk::empty(), applier(settings()));
    let codes = |news: &News<'_>| -> Vec<(u64, Option<Code>)> {
        let code = |judged: &Judged<'_>| match judged.verdict {
            Verdict::Applied => None,
            Verdict::Quarantined(row) => Some(row.code),
        };
        news.entries.iter().map(|it| (it.entry.position.get(), code(it))).collect()
    };
    apply(&mut applier, &mut disk, batch(&story[..4])).unwrap();
    let [new, level] = [CheckpointRow::NONE, disk.row.clone()];
    let folded = folded(&mut applier, &disk, batch(&story[..6]), &[new, level]).unwrap();
    let [shown, level] = [0, 1].map(|nth| folded.news(nth).unwrap());
    let (once, forged) = (Some(Code::CC11), Some(Code::CC06));
    assert_eq!(codes(&shown)[..4], [(1, None), (2, None), (3, once), (4, None)]);
    assert_eq!(codes(&level), [(5, None), (6, forged)]);
    assert_eq!(codes(&shown)[4..], codes(&level));
    assert_eq!(
        (&shown.row.checkpoint, &level.row.checkpoint),
        (&folded.row().checkpoint, &folded.row().checkpoint)
    );
    assert!(folded.news(2).is_none());
    // What is furthest behind came from nowhere.
    assert_eq!(folded.committed().unwrap().entries, 6);
}

#[test]
fn a_read_model_beyond_a_halt_waits() {
    let (story, disk) = (story(), Disk::empty());
    let mut applier = applier(ProjectorSettings { on_violation: OnViolation::Halt, ..settings() });
    let folded = folded(&mut applier, &disk, batch(&story), &[CheckpointRow::NONE]).unwrap();
    let news = folded.news(0).unwrap();
    assert_eq!((news.entries.len(), news.row.checkpoint.position.get()), (2, 2));
}

/// Fills a generation with the batches that end so, and gives its rows.
fn filled(entries: &[DecodedEntry], ends: &[usize], memory_bytes: usize) -> (Rows, Checkpoint) {
    let settings = ProjectorSettings { rebuild_memory_bytes: memory_bytes, ..settings() };
    let (mut filler, mut rows, mut has_keys) = (Filler::new(&settings), Rows::default(), false);
    for end in ends.iter().copied().chain([entries.len()]) {
        let mut loading = filler.begin(batch(&entries[..end.min(entries.len())])).unwrap();
        if let Some((keys, heads)) = loading.missing() {
            assert!(has_keys, "heads are looked up by keys");
            rows.load_heads(keys, heads);
        }
        let folded = loading.fold().unwrap();
        assert_eq!(has_keys, folded.deployments() == Deployments::Upserted);
        rows.write(folded.changes().clone());
        folded.written().unwrap();
        if let Some(held) = filler.spill().unwrap() {
            rows.write(held.rows().clone());
            has_keys = true;
            held.written();
        }
    }
    if let Some(held) = filler.release().unwrap() {
        rows.write(held.rows().clone());
        held.written();
    }
    let checkpoint = filler.checkpoint().clone();
    (rows, checkpoint)
}

#[test]
fn a_rebuild_whose_rows_were_not_written_is_of_no_more_use() {
    let story = story();
    let mut filler = Filler::new(&settings());
    drop(filler.begin(batch(&story[..2])).unwrap().fold().unwrap());
    let spent = filler.begin(batch(&story[..2])).unwrap_err();
    assert!(matches!(&spent, ApplyError::Store(error) if !error.is_transient()), "{spent}");
    assert!(filler.release().is_err() && filler.check_usable("testing").is_err());

    // What does not go on where it stands was not begun.
    let mut filler = Filler::new(&settings());
    assert!(matches!(filler.begin(batch(&story[1..])), Err(ApplyError::Continuity(_))));
    drop(filler.release().unwrap());
    assert!(filler.begin(batch(&story)).is_err());
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy)]
enum End {
    Committed,
    /// The transaction is rolled back, after the heads were loaded or after the fold.
    RolledBack,
    /// It is durable, and nobody heard so.
    Unheard,
}

#[derive(Debug, Clone)]
enum Step {
    /// So many entries from so many before what this projector took in last, after so many seconds.
    Apply {
        projector: usize,
        back: usize,
        entries: usize,
        is_followed: bool,
        end: End,
        seconds: i64,
    },
    Restart {
        projector: usize,
    },
    /// The database comes back with what it was so many commits ago.
    Crash {
        commits: usize,
    },
    Rebuild {
        ends: Vec<usize>,
        memory_bytes: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let end =
        prop_oneof![3 => Just(End::Committed), 1 => Just(End::RolledBack), 1 => Just(End::Unheard)];
    prop_oneof![
        8 => (0..2usize, 0..4usize, 0..5usize, any::<bool>(), end, 0..20i64).prop_map(
            |(projector, back, entries, is_followed, end, seconds)| {
                Step::Apply { projector, back, entries, is_followed, end, seconds }
            }
        ),
        1 => (0..2usize).prop_map(|projector| Step::Restart { projector }),
        1 => (1..4usize).prop_map(|commits| Step::Crash { commits }),
        1 => (prop::collection::vec(0..16usize, 0..4), 0..4000usize)
            .prop_map(|(ends, memory_bytes)| Step::Rebuild { ends, memory_bytes }),
    ]
}

proptest! {
    #[test]
    fn any_order_of_failures_makes_the_tables_of_one_go(
        steps in prop::collection::vec(any_step(), 0..40),
        memory_bytes in prop::sample::select(vec![0, 700, 1 << 20]),
        transaction_bytes in prop::sample::select(vec![0, 3000, 1 << 20]),
    ) {
        let story = story();
        let new =
            || applier(ProjectorSettings { memory_bytes, transaction_bytes, ..settings() });
        let mut projectors = [new(), new()];
        // How far each has taken entries in, applied or not.
        let mut taken = [0, 0];
        let (mut commits, mut second) = (vec![Disk::empty()], 0);
        for step in steps {
            let disk = commits.last().unwrap().clone();
            let stands = usize::try_from(disk.row.checkpoint.position.get()).unwrap();
            match step {
                Step::Restart { projector } => projectors[projector] = new(),
                Step::Crash { commits: lost } => {
                    commits.truncate(commits.len().saturating_sub(lost).max(1));
                }
                Step::Rebuild { ends, memory_bytes } => {
                    let (rows, checkpoint) = filled(&story[..stands], &ends, memory_bytes);
                    let row = disk.row.swapped(&checkpoint, None).unwrap();
                    commits.push(Disk { rows, row });
                }
                Step::Apply { projector, back, entries, is_followed, end, seconds } => {
                    second += seconds;
                    let from = taken[projector].max(stands);
                    let first = from.saturating_sub(back);
                    let last = (from + entries).min(story.len());
                    let batch = batch(&story[first..last]);
                    let applier = &mut projectors[projector];
                    let turn = match applier.take_turn(disk.row.clone(), at(second)) {
                        Ok(turn) => turn,
                        Err(_) => continue,
                    };
                    taken[projector] = 0;
                    let mut loading = match turn.begin(batch, Vec::new()) {
                        Ok(loading) => loading,
                        Err(error) => {
                            // What was held back is forgotten, and the batch goes on from there.
                            prop_assert!(error.is_transient() && first > stands, "{error}");
                            continue;
                        }
                    };
                    if let Some((keys, heads)) = loading.missing() {
                        disk.rows.load_heads(keys, heads);
                    }
                    let gathered = if is_followed {
                        loading.gather().unwrap()
                    } else {
                        Gathered::Folded(loading.fold().unwrap())
                    };
                    let next = match &gathered {
                        Gathered::Folded(folded) => disk.written(folded),
                        Gathered::HeldBack(held_back) => {
                            Disk { row: held_back.row().clone(), ..disk.clone() }
                        }
                    };
                    if !matches!(end, End::RolledBack) {
                        commits.push(next);
                    }
                    if matches!(end, End::Committed) {
                        taken[projector] = last;
                        match gathered {
                            Gathered::Folded(folded) => drop(folded.committed().unwrap()),
                            Gathered::HeldBack(held_back) => drop(held_back.committed()),
                        }
                    }
                }
            }
            let disk = commits.last().unwrap();
            let stands = usize::try_from(disk.row.checkpoint.position.get()).unwrap();
            prop_assert_eq!(disk.tables(), in_one_go(&story[..stands]));
        }
    }
}
