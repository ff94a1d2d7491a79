//! The tables whole, row by row: what digests and audits rest on.

use std::sync::Arc;

use guildhall_core::store::Row;
use guildhall_core::{Checkpoint, OpsDb, Position, Table, TableRow, Tables};

use crate::answers::{LENGTH, log};
use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::workload::{Mix, Workload};

super::scenarios! { $ __scan = scan:
    a_scan_has_every_row_of_every_table_in_the_order_of_its_key,
    a_scan_stays_at_its_moment_beside_a_projector_that_writes,
    a_scan_of_a_store_that_was_never_projected_is_empty,
}

/// All rows, as they come.
async fn scanned(ops_db: &dyn OpsDb) -> (Option<Checkpoint>, Vec<TableRow>) {
    let mut scan = ops_db.scan().await.unwrap();
    let checkpoint = scan.checkpoint().cloned();
    let mut rows = Vec::new();
    while let Some(next) = scan.next_rows().await.unwrap() {
        assert!(!next.is_empty());
        assert!(next.iter().all(|row| row.table() == next[0].table()), "of one table");
        rows.extend(next);
    }
    assert!(scan.next_rows().await.unwrap().is_none(), "the end stays the end");
    (checkpoint, rows)
}

/// The same rows, read without a scan.
fn expected(tables: &Tables) -> Vec<TableRow> {
    fn rows<R: Row>(rows: &[R]) -> impl Iterator<Item = TableRow> {
        rows.iter().map(TableRow::of)
    }
    let Tables {
        accord_bindings,
        governed_artifacts,
        artifact_revisions,
        custody_transitions,
        deployment_states,
        deployment_changes,
        verification_results,
        quarantined_entries,
        row_counts,
        projector_checkpoints: _,
    } = tables;
    rows(accord_bindings)
        .chain(rows(governed_artifacts))
        .chain(rows(artifact_revisions))
        .chain(rows(custody_transitions))
        .chain(rows(deployment_states))
        .chain(rows(deployment_changes))
        .chain(rows(verification_results))
        .chain(rows(quarantined_entries))
        .chain(rows(row_counts))
        .collect()
}

fn assert_same(found: &[TableRow], expected: &[TableRow]) {
    for (nth, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "row {nth}");
    }
    assert_eq!(found.len(), expected.len());
}

/// Through entries that break invariants too, and with more rows of a table than are read at a time.
pub async fn a_scan_has_every_row_of_every_table_in_the_order_of_its_key<H: Harness>(harness: H) {
    let projector = harness.projector(ProjectorSettings::default()).await;
    let ops_db = harness.ops_db();
    let log = log();
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let (checkpoint, rows) = scanned(&*ops_db).await;
    assert_eq!(checkpoint.map(|at| at.position), Some(log.head()));
    for table in &Table::ALL {
        let of_it: Vec<_> = rows.iter().filter(|row| row.table() == table).collect();
        assert!(!of_it.is_empty(), "{} is not tested", table.name);
        assert!(of_it.windows(2).all(|pair| pair[0].cmp_key(pair[1]).is_lt()), "{}", table.name);
    }
    assert_same(&rows, &expected(&harness.tables().await));

    let long = Log::of(Workload::new(7, Mix::CUSTODY).take(8_000));
    let harness = H::fresh().await;
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(long.rest(Position::ZERO)).await.unwrap();
    let (_, rows) = scanned(&*harness.ops_db()).await;
    assert_same(&rows, &expected(&harness.tables().await));
    let verifications = rows.iter().filter(|row| row.table().name == "verification_results");
    assert!(verifications.count() > 2 * guildhall_core::ops::SCANNED_ROWS);
}

/// Begun halfway, and read after everything else was written.
pub async fn a_scan_stays_at_its_moment_beside_a_projector_that_writes<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, LENGTH / 2)).await.unwrap();
    let ops_db: Arc<dyn OpsDb> = harness.ops_db();
    let before = expected(&harness.tables().await);
    let mut scan = ops_db.scan().await.unwrap();
    let mut rows = scan.next_rows().await.unwrap().unwrap();
    let half = Position::try_from(LENGTH as u64 / 2).unwrap();
    projector.apply(log.rest(half)).await.unwrap();
    while let Some(next) = scan.next_rows().await.unwrap() {
        rows.extend(next);
    }
    assert_eq!(scan.checkpoint().map(|at| at.position), Some(half));
    drop(scan);
    assert_same(&rows, &before);
    assert_same(&scanned(&*ops_db).await.1, &expected(&harness.tables().await));
}

/// Nothing is there, and nothing is said to be.
pub async fn a_scan_of_a_store_that_was_never_projected_is_empty<H: Harness>(harness: H) {
    let (checkpoint, rows) = scanned(&*harness.ops_db()).await;
    assert_eq!(checkpoint.map_or(Position::ZERO, |at| at.position), Position::ZERO);
    assert!(rows.is_empty());
}
