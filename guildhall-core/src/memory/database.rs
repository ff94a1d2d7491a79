//! What an Ops DB in memory holds.

use std::sync::Arc;

use super::tables::Rows;
use crate::store::CheckpointRow;

#[derive(Debug, Default)]
pub(super) struct Database {
    /// Shared with snapshots: whoever writes while there is one writes to a copy.
    pub(super) rows: Arc<Rows>,
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
