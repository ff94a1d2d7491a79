//! What an Ops DB in memory holds.

use super::tables::Rows;
use crate::store::CheckpointRow;

#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) rows: Rows,
    /// None where no projector ever ran.
    pub(super) projector: Option<CheckpointRow>,
    /// How many rebuilds were begun.
    pub(super) rebuilds: u64,
}

impl Database {
    /// The projector's row, or that of one that never ran.
    pub(super) fn row(&self) -> CheckpointRow {
        self.projector.clone().unwrap_or(CheckpointRow::NONE)
    }
}
