//! Counts are kept by the fold, and are those of the rows at every moment.

use std::collections::BTreeMap;

use guildhall_core::{CountedRows, CustodyState, Health, OpsDb, Overview, Position, Tables};

use super::replay::log;
use crate::answers::open_ceremonies;
use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;

super::scenarios! { $ __counts = counts:
    counts_are_those_of_the_rows_after_every_batch,
    what_is_applied_again_is_not_counted_again,
    a_rebuild_counts_anew,
}

/// How many rows there are of each kind, one after the other.
fn counted(tables: &Tables) -> BTreeMap<CountedRows, i64> {
    let mut counts = BTreeMap::new();
    let mut count = |counted, rows: usize| counts.insert(counted, i64::try_from(rows).unwrap());
    let tiers = [
        CountedRows::ArtifactsOfTier0,
        CountedRows::ArtifactsOfTier1,
        CountedRows::ArtifactsOfTier2,
        CountedRows::ArtifactsOfTier3,
    ];
    for (tier, counted) in (0..).zip(tiers) {
        let of_tier = tables.governed_artifacts.iter().filter(|row| row.tier.get() == tier);
        count(counted, of_tier.count());
    }
    for (health, counted) in [
        (Health::Drifted, CountedRows::DriftedDeployments),
        (Health::Healthy, CountedRows::HealthyDeployments),
        (Health::Unknown, CountedRows::UnknownDeployments),
    ] {
        let of_health = tables.deployment_states.iter().filter(|row| row.health == health);
        count(counted, of_health.count());
    }
    let open = Some(CustodyState::CeremonyOpen);
    let closing = tables.custody_transitions.iter().filter(|link| link.from_state == open);
    count(CountedRows::Accords, tables.accord_bindings.len());
    count(CountedRows::ClosedCeremonies, closing.count());
    count(CountedRows::CustodyTransitions, tables.custody_transitions.len());
    count(CountedRows::OpenCeremonies, open_ceremonies(tables).len());
    count(CountedRows::Quarantined, tables.quarantined_entries.len());
    count(CountedRows::Verifications, tables.verification_results.len());
    counts
}

/// The counts that the store keeps are those of its rows, and so is what it shows of them.
async fn assert_counted<H: Harness>(harness: &H) -> BTreeMap<CountedRows, i64> {
    let tables = harness.tables().await;
    let rows = counted(&tables);
    let mut kept: BTreeMap<_, _> = CountedRows::ALL.iter().map(|counted| (*counted, 0)).collect();
    kept.extend(tables.row_counts.iter().map(|row| (row.counted, row.rows)));
    assert_eq!(kept, rows);
    let oldest = open_ceremonies(&tables).iter().map(|row| row.opened.occurred_at).min();
    let expected = Overview::of_counts(tables.row_counts, oldest);
    let ops_db: &dyn OpsDb = &*harness.ops_db();
    assert_eq!(ops_db.overview().await.unwrap(), expected);
    rows
}

/// Of everything some, and of some things at times fewer than before.
fn eventful() -> Log {
    log(23, 500, true)
}

/// Batches of one entry, of many, and gathered ones.
pub async fn counts_are_those_of_the_rows_after_every_batch<H: Harness>(harness: H) {
    let log = eventful();
    let projector = harness.projector(ProjectorSettings::default()).await;
    let mut before = assert_counted(&harness).await;
    let mut fewer = Vec::new();
    let (mut at, mut reached) = (Position::ZERO, Position::ZERO);
    for size in [1, 1, 1, 7, 40, 90].into_iter().cycle() {
        if at >= log.head() {
            break;
        }
        let (taken, batches) = if size == 90 { (30, 3) } else { (size, 1) };
        for nth in 1..=batches {
            let after = Position::try_from(at.get() + (nth - 1) * 30).unwrap();
            let batch = log.batch(after, taken);
            let applied = if nth < batches {
                projector.gather(batch).await.unwrap()
            } else {
                projector.apply(batch).await.unwrap()
            };
            reached = applied.position;
        }
        at = reached;
        let now = assert_counted(&harness).await;
        let fallen = now.iter().filter(|(counted, rows)| **rows < before[counted]);
        fewer.extend(fallen.map(|(counted, _)| *counted));
        before = now;
    }
    let falling = [CountedRows::OpenCeremonies, CountedRows::HealthyDeployments];
    assert!(falling.iter().all(|counted| fewer.contains(counted)), "{fewer:?}");
    assert!(before.values().all(|rows| *rows > 0), "something is not tested: {before:?}");
}

pub async fn what_is_applied_again_is_not_counted_again<H: Harness>(harness: H) {
    let log = eventful();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 300)).await.unwrap();
    let before = harness.tables().await.row_counts;
    projector.apply(log.batch(Position::ZERO, 300)).await.unwrap();
    assert_eq!(harness.tables().await.row_counts, before);
    projector.apply(log.batch(Position::new(200), 150)).await.unwrap();
    assert_counted(&harness).await;
}

/// Also where its memory is full at once, and it goes on in its tables.
pub async fn a_rebuild_counts_anew<H: Harness>(harness: H) {
    let log = eventful();
    drop(harness);
    for memory_bytes in [None, Some(0)] {
        let harness = H::fresh().await;
        let settings = ProjectorSettings { memory_bytes, ..ProjectorSettings::default() };
        let projector = harness.projector(settings).await;
        projector.apply(log.rest(Position::ZERO)).await.unwrap();
        let before = harness.tables().await.row_counts;
        let mut generation = projector.begin_rebuild().await.unwrap();
        for from in (0..log.head().get()).step_by(110) {
            let from = Position::try_from(from).unwrap();
            generation.apply(log.batch(from, 110)).await.unwrap();
        }
        generation.seal().await.unwrap();
        assert_eq!(generation.differences(log.head()).await.unwrap(), []);
        assert!(generation.swap(None).await.unwrap());
        assert_counted(&harness).await;
        assert_eq!(harness.tables().await.row_counts, before);
    }
}
