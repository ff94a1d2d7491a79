//! Rebuilding: a next generation beside the live one, swapped in whole (DESIGN section 7).

use guildhall_core::memory::MemoryOpsDb;
use guildhall_core::{
    ApplyError, Batch, ContinuityError, Difference, DifferenceKind, Entry, Position,
    Projector as _, Tables,
};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::reference::Reference;
use crate::tables::Compare as _;
use crate::workload::{Hostile, Mix};

super::scenarios! { $ __rebuild = rebuild:
    a_rebuild_shows_nothing_until_it_is_swapped_in,
    a_generation_that_is_behind_is_not_swapped_in,
    a_generation_goes_back_to_where_a_restored_log_ends,
    the_live_projector_goes_on_after_a_swap,
    an_unfinished_generation_leaves_no_trace,
    a_newer_rebuild_throws_the_older_one_away,
    a_generation_refuses_a_gap,
    rebuilding_again_and_again_gives_the_same_tables,
    a_generation_of_the_same_log_differs_in_nothing,
    a_generation_of_a_forged_log_says_what_differs,
}

fn log() -> Log {
    Log::of(Hostile::new(61, Mix::DENSE).take(300).map(|hostile| hostile.entry))
}

fn reference(log: &Log, count: usize) -> guildhall_core::Tables {
    Reference::tables_of(log.origin(), &log.entries()[..count])
}

pub async fn a_rebuild_shows_nothing_until_it_is_swapped_in<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 100)).await.unwrap();
    let before = harness.tables().await;
    let overview = harness.ops_db().overview().await.unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    assert_eq!(generation.checkpoint().position, Position::ZERO);
    let applied = generation.apply(log.rest(Position::ZERO)).await.unwrap();
    assert_eq!((applied.position, applied.entries), (log.head(), 300));
    assert_eq!(generation.checkpoint().position, log.head());
    generation.seal().await.unwrap();
    harness.tables().await.assert_are(&before);
    assert_eq!(harness.ops_db().overview().await.unwrap(), overview);
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::new(100));

    assert!(generation.swap(None).await.unwrap());
    harness.tables().await.without_reasons().assert_are(&reference(&log, 300));
    assert_ne!(harness.ops_db().overview().await.unwrap(), overview);
    assert_eq!(projector.checkpoint().await.unwrap().position, log.head());
}

pub async fn a_generation_that_is_behind_is_not_swapped_in<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 100)).await.unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(log.batch(Position::ZERO, 150)).await.unwrap();
    generation.seal().await.unwrap();
    // The live one has gone on meanwhile.
    projector.apply(log.batch(Position::new(100), 60)).await.unwrap();
    assert!(!generation.swap(None).await.unwrap());
    harness.tables().await.without_reasons().assert_are(&reference(&log, 160));
    projector.apply(log.batch(Position::new(160), 10)).await.unwrap();
    // It catches up after it was sealed, and then it may.
    generation.apply(log.batch(Position::new(140), 30)).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
    harness.tables().await.without_reasons().assert_are(&reference(&log, 170));
}

pub async fn a_generation_goes_back_to_where_a_restored_log_ends<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 160)).await.unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(log.batch(Position::ZERO, 100)).await.unwrap();
    // Not if the live one stands elsewhere than it did.
    assert!(!generation.swap(Some(Position::new(159))).await.unwrap());
    harness.tables().await.without_reasons().assert_are(&reference(&log, 160));
    assert!(generation.swap(Some(Position::new(160))).await.unwrap());
    harness.tables().await.without_reasons().assert_are(&reference(&log, 100));
    projector.apply(log.batch(Position::new(100), 30)).await.unwrap();
    harness.tables().await.without_reasons().assert_are(&reference(&log, 130));
}

pub async fn the_live_projector_goes_on_after_a_swap<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 100)).await.unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(log.batch(Position::ZERO, 200)).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
    // What it remembers of the tables is of the generation before.
    projector.apply(log.batch(Position::new(90), 150)).await.unwrap();
    projector.apply(log.rest(Position::new(240))).await.unwrap();
    harness.tables().await.without_reasons().assert_are(&reference(&log, 300));
}

pub async fn an_unfinished_generation_leaves_no_trace<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::without_lease()).await;
    projector.apply(log.batch(Position::ZERO, 50)).await.unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(log.batch(Position::ZERO, 200)).await.unwrap();
    drop(generation);
    harness.tables().await.without_reasons().assert_are(&reference(&log, 50));
    drop(projector);
    let harness = harness.reopened().await;
    harness.tables().await.without_reasons().assert_are(&reference(&log, 50));
    let projector = harness.projector(ProjectorSettings::without_lease()).await;
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(log.batch(Position::ZERO, 60)).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
    harness.tables().await.without_reasons().assert_are(&reference(&log, 60));
}

pub async fn a_newer_rebuild_throws_the_older_one_away<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 50)).await.unwrap();
    let mut older = projector.begin_rebuild().await.unwrap();
    older.apply(log.batch(Position::ZERO, 100)).await.unwrap();
    let mut newer = projector.begin_rebuild().await.unwrap();
    let refused = older.apply(log.rest(Position::new(100))).await;
    assert!(matches!(refused, Err(ApplyError::Store(_))), "{refused:?}");
    older.swap(None).await.expect_err("it was thrown away");
    drop(older);
    newer.apply(log.batch(Position::ZERO, 80)).await.unwrap();
    harness.tables().await.without_reasons().assert_are(&reference(&log, 50));
    assert!(newer.swap(None).await.unwrap());
    harness.tables().await.without_reasons().assert_are(&reference(&log, 80));
}

pub async fn a_generation_refuses_a_gap<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(log.batch(Position::ZERO, 10)).await.unwrap();
    match generation.apply(log.rest(Position::new(11))).await {
        Err(ApplyError::Continuity(ContinuityError::Gap { found, checkpoint })) => {
            assert_eq!((found.get(), checkpoint.get()), (12, 10));
        }
        other => panic!("{other:?}"),
    }
    harness.tables().await.without_checkpoints().assert_are(&guildhall_core::Tables::default());
}

pub async fn rebuilding_again_and_again_gives_the_same_tables<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let expected = harness.tables().await;
    for _ in 0..3 {
        let mut generation = projector.begin_rebuild().await.unwrap();
        generation.apply(log.batch(Position::ZERO, 120)).await.unwrap();
        generation.apply(log.rest(Position::new(120))).await.unwrap();
        assert!(generation.swap(None).await.unwrap());
        drop(generation);
        harness.tables().await.assert_are(&expected);
    }
}

pub async fn a_generation_of_the_same_log_differs_in_nothing<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 100)).await.unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    // Rows that entries beyond the live checkpoint wrote, or wrote again, are not compared.
    generation.apply(log.batch(Position::ZERO, 200)).await.unwrap();
    generation.seal().await.unwrap();
    assert_eq!(generation.differences(Position::new(100)).await.unwrap(), []);
    // Nor are they where the live one has gone on.
    projector.apply(log.batch(Position::new(100), 200)).await.unwrap();
    assert_eq!(generation.differences(Position::new(100)).await.unwrap(), []);
    assert_eq!(generation.differences(Position::new(200)).await.unwrap(), []);
}

/// The rows that differ, found by comparing each with each.
fn compared<R: PartialEq, K: PartialEq>(
    table: &'static str,
    (live, next): (&[R], &[R]),
    key: impl Fn(&R) -> K,
    position: impl Fn(&R) -> Position,
) -> Vec<Difference> {
    let find = |rows: &[R], row: &R| rows.iter().position(|other| key(other) == key(row));
    let absent = |here: &[R], there: &[R]| -> Vec<Position> {
        here.iter().filter(|row| find(there, row).is_none()).map(&position).collect()
    };
    let is_changed = |row: &&R| find(next, row).is_some_and(|at| next[at] != **row);
    let found = [
        (DifferenceKind::Gone, absent(live, next)),
        (DifferenceKind::Changed, live.iter().filter(is_changed).map(&position).collect()),
        (DifferenceKind::New, absent(next, live)),
    ];
    let differences = found.into_iter().filter_map(|(kind, positions)| {
        let first = *positions.iter().min()?;
        Some(Difference { table, kind, rows: positions.len() as u64, first })
    });
    differences.collect()
}

fn all_compared(live: &Tables, next: &Tables) -> Vec<Difference> {
    let tables = (&*live.accord_bindings, &*next.accord_bindings);
    let mut found = compared("accord_bindings", tables, |row| row.id, |row| row.position);
    let tables = (&*live.governed_artifacts, &*next.governed_artifacts);
    found.extend(compared("governed_artifacts", tables, |row| row.id, |row| row.position));
    let tables = (&*live.artifact_revisions, &*next.artifact_revisions);
    let key = |row: &guildhall_core::ArtifactRevision| (row.artifact_id, row.revision);
    found.extend(compared("artifact_revisions", tables, key, |row| row.position));
    let tables = (&*live.custody_transitions, &*next.custody_transitions);
    let key = |row: &guildhall_core::CustodyTransition| (row.artifact_id, row.seq);
    found.extend(compared("custody_transitions", tables, key, |row| row.position));
    let tables = (&*live.deployment_states, &*next.deployment_states);
    let key = |row: &guildhall_core::DeploymentState| (row.artifact_id, row.target.clone());
    found.extend(compared("deployment_states", tables, key, |row| row.position));
    let tables = (&*live.deployment_changes, &*next.deployment_changes);
    let key = |row: &guildhall_core::DeploymentChange| {
        (row.artifact_id, row.target.clone(), row.observed_at, row.position)
    };
    found.extend(compared("deployment_changes", tables, key, |row| row.position));
    let tables = (&*live.verification_results, &*next.verification_results);
    found.extend(compared("verification_results", tables, |row| row.id, |row| row.position));
    // Another version may word a reason otherwise.
    let wordless = |tables: &Tables| tables.clone().without_reasons().quarantined_entries;
    let tables = (&*wordless(live), &*wordless(next));
    found.extend(compared("quarantined_entries", tables, |row| row.position, |row| row.position));
    let tables = (&*live.row_counts, &*next.row_counts);
    found.extend(compared("row_counts", tables, |row| row.counted, |row| row.position));
    found
}

pub async fn a_generation_of_a_forged_log_says_what_differs<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let live = harness.tables().await;
    // Every ninth entry says what another one said, and the rest of the log is as it was.
    let forged = |(nth, entry): (usize, &Entry)| {
        let other = &log.entries()[nth.saturating_sub(7)];
        let (event_type, payload) = (other.event_type.clone(), other.payload.clone());
        let forged =
            Entry { event_type, payload, stream_id: other.stream_id, ..Entry::clone(entry) };
        if nth % 9 == 8 { forged } else { entry.clone() }
    };
    let entries: Vec<Entry> = log.entries().iter().enumerate().map(forged).collect();
    let batch = Batch::decode(log.origin().clone(), entries).unwrap();
    let expected = MemoryOpsDb::new();
    expected.projector().apply(batch.clone()).await.unwrap();
    let expected = all_compared(&live, &expected.tables());
    for kind in [DifferenceKind::Gone, DifferenceKind::Changed, DifferenceKind::New] {
        assert!(expected.iter().any(|found| found.kind == kind), "{expected:?}");
    }
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(batch).await.unwrap();
    generation.seal().await.unwrap();
    assert_eq!(generation.differences(log.head()).await.unwrap(), expected);
    // A live checkpoint that somebody set back hides nothing of it.
    assert_eq!(generation.differences(Position::ZERO).await.unwrap(), expected);
    // To compare changes nothing, and it can still take its place.
    harness.tables().await.assert_are(&live);
    assert!(generation.swap(None).await.unwrap());
}
