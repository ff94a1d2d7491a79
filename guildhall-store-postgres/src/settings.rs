//! What a projector and a rebuild of its tables go by.

use guildhall_core::store::ProjectorSettings;

use crate::partitions::Partitions;

/// What the projector and a rebuild of its tables share.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) projector: ProjectorSettings,
    pub(crate) partitions: Partitions,
}
