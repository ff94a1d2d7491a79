//! The tables in memory, whole.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;

use super::tables::Rows;
use crate::checkpoint::Checkpoint;
use crate::error::StoreError;
use crate::ids::Position;
use crate::ops::{SCANNED_ROWS, Scan, TableRow};
use crate::store::Row;

/// What the tables held when it was begun.
#[derive(Debug)]
pub(super) struct MemoryScan {
    checkpoint: Option<Checkpoint>,
    history_from: Position,
    /// Each of one table.
    chunks: VecDeque<Vec<TableRow>>,
}

impl MemoryScan {
    pub(super) fn of(rows: &Rows, checkpoint: Option<Checkpoint>, history_from: Position) -> Self {
        let Rows {
            accord_bindings,
            governed_artifacts,
            artifact_revisions,
            custody_transitions,
            deployment_states,
            deployment_changes,
            verification_results,
            quarantined_entries,
            row_counts,
        } = rows;
        // In the order of `Table::ALL`.
        let chunks = chunks_of(accord_bindings)
            .chain(chunks_of(governed_artifacts))
            .chain(chunks_of(artifact_revisions))
            .chain(chunks_of(custody_transitions))
            .chain(chunks_of(deployment_states))
            .chain(chunks_of(deployment_changes))
            .chain(chunks_of(verification_results))
            .chain(chunks_of(quarantined_entries))
            .chain(chunks_of(row_counts));
        Self { checkpoint, history_from, chunks: chunks.collect() }
    }
}

fn chunks_of<K, R: Row>(table: &BTreeMap<K, R>) -> impl Iterator<Item = Vec<TableRow>> {
    let rows: Vec<TableRow> = table.values().map(TableRow::of).collect();
    let chunks: Vec<_> = rows.chunks(SCANNED_ROWS).map(<[TableRow]>::to_vec).collect();
    chunks.into_iter()
}

#[async_trait]
impl Scan for MemoryScan {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn history_from(&self) -> Position {
        self.history_from
    }

    async fn next_rows(&mut self) -> Result<Option<Vec<TableRow>>, StoreError> {
        Ok(self.chunks.pop_front())
    }
}
