//! Rebuilding: a next generation beside the live one, swapped in whole (DESIGN section 7).

use guildhall_core::{ApplyError, ContinuityError, Position};

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
