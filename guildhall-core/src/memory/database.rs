//! What an Ops DB in memory holds.

use super::tables::Rows;
use crate::checkpoint::Checkpoint;
use crate::lease::LeaseState;

#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) rows: Rows,
    /// None where no projector ever ran.
    pub(super) projector: Option<ProjectorRow>,
    /// How many rebuilds were begun.
    pub(super) rebuilds: u64,
}

/// How far the projector got and who may write.
#[derive(Debug, Clone)]
pub(super) struct ProjectorRow {
    pub(super) checkpoint: Checkpoint,
    pub(super) lease: LeaseState,
}

impl Default for ProjectorRow {
    fn default() -> Self {
        Self { checkpoint: Checkpoint::ZERO, lease: LeaseState::default() }
    }
}
