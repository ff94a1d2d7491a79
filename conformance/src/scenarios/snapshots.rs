//! Several questions to the Ops DB at one moment, whatever is written meanwhile.

use std::sync::Arc;

use guildhall_core::{
    ArtifactQuery, ArtifactSort, ArtifactSummary, Checkpoint, OPS_DB, OpsDb, Overview, Position,
};

use crate::answers::{LENGTH, artifacts, assert_same, expected, log};
use crate::harness::{Harness, ProjectorSettings};
use crate::reference::Reference;

super::scenarios! { $ __snapshots = snapshots:
    a_snapshot_stays_at_its_moment_beside_a_projector_that_writes,
    a_snapshot_that_is_taken_while_a_projector_writes_is_whole,
}

fn at(entries: usize) -> Position {
    Position::try_from(entries as u64).unwrap()
}

/// The questions of a dashboard, and how many rows of each table there are.
async fn questions(ops_db: &dyn OpsDb) -> (Option<Checkpoint>, Overview, Vec<ArtifactSummary>) {
    let checkpoint = ops_db.checkpoint(OPS_DB).await.unwrap();
    let overview = ops_db.overview().await.unwrap();
    let query = ArtifactQuery::default().limit(7).sort(ArtifactSort::Tier);
    (checkpoint, overview, artifacts(ops_db, &query).await)
}

/// Whatever is written meanwhile, one entry at a time or by a rebuild.
pub async fn a_snapshot_stays_at_its_moment_beside_a_projector_that_writes<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    let half = at(LENGTH / 2);
    projector.apply(log.batch(Position::ZERO, LENGTH / 2)).await.unwrap();
    let ops_db = harness.ops_db();
    let moment = ops_db.snapshot().await.unwrap();
    let expected = questions(&*ops_db).await;
    assert_eq!(expected.0.as_ref().map(|at| at.position), Some(half));
    let writing = tokio::spawn({
        let (log, projector) = (log.clone(), Arc::clone(&projector));
        async move {
            for done in (LENGTH / 2..LENGTH).step_by(20) {
                projector.apply(log.batch(at(done), 20)).await.unwrap();
            }
        }
    });
    let mut asked = 0;
    while asked < 2 || !writing.is_finished() {
        assert_eq!(questions(&*moment).await, expected);
        asked += 1;
    }
    writing.await.unwrap();
    assert_eq!(questions(&*moment).await, expected);
    assert_eq!(questions(&*moment.snapshot().await.unwrap()).await, expected, "of the same moment");
    drop(moment);
    let now = ops_db.snapshot().await.unwrap();
    assert_eq!(questions(&*now).await, questions(&*ops_db).await);
    assert_eq!(now.checkpoint(OPS_DB).await.unwrap().map(|at| at.position), Some(log.head()));
}

/// Rows and checkpoint are of one moment wherever it falls, as the reference model has them there.
pub async fn a_snapshot_that_is_taken_while_a_projector_writes_is_whole<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    let ops_db = harness.ops_db();
    let writing = tokio::spawn({
        let log = log.clone();
        async move {
            for done in (0..LENGTH).step_by(30) {
                projector.apply(log.batch(at(done), 30)).await.unwrap();
            }
        }
    });
    loop {
        let is_last = writing.is_finished();
        let moment = ops_db.snapshot().await.unwrap();
        let (checkpoint, overview, artifacts) = questions(&*moment).await;
        drop(moment);
        let applied = checkpoint.map_or(Position::ZERO, |at| at.position);
        let entries = log.entries().iter().filter(|entry| entry.position <= applied);
        let tables = Reference::tables_of(log.origin(), entries);
        assert_eq!(overview.custody_transitions, tables.custody_transitions.len() as u64);
        assert_eq!(overview.verifications, tables.verification_results.len() as u64);
        assert_eq!(overview.quarantined, tables.quarantined_entries.len() as u64);
        let query = ArtifactQuery::default().sort(ArtifactSort::Tier);
        assert_same(&artifacts, &expected(&tables, &query), &applied);
        if is_last {
            break;
        }
    }
    writing.await.unwrap();
}
