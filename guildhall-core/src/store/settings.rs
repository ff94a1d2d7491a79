//! What a projector and a rebuild of its tables go by.

use std::time::Duration;

use crate::custody::CustodyPolicy;
use crate::fold::OnViolation;
use crate::projector::OPS_DB;

/// What a projector and a rebuild of its tables go by.
#[derive(Debug, Clone)]
pub struct ProjectorSettings {
    /// The projector's name in `projector_checkpoints`.
    pub name: String,
    /// By which moves of custody are judged.
    pub policy: CustodyPolicy,
    /// What becomes of an entry that breaks an invariant.
    pub on_violation: OnViolation,
    /// How long the lease holds without being renewed.
    pub lease_time: Duration,
    /// How many bytes the heads may hold between batches, about.
    pub memory_bytes: usize,
    /// How many bytes of rows a projector that is far behind gathers for one transaction, about.
    pub transaction_bytes: usize,
    /// How many bytes of rows and heads a rebuild may hold back, about.
    pub rebuild_memory_bytes: usize,
}

impl ProjectorSettings {
    /// Those of the Ops DB: the standard policy, quarantine, 32 MiB of heads between batches (some
    /// 50,000 artifacts), 32 MiB of rows for one transaction (those of some 100,000 entries), 96 MiB in
    /// a rebuild (some 30,000 artifacts with three targets each).
    pub fn new(lease_time: Duration) -> Self {
        Self {
            name: OPS_DB.to_owned(),
            policy: CustodyPolicy::standard(),
            on_violation: OnViolation::Quarantine,
            lease_time,
            memory_bytes: 32 << 20,
            transaction_bytes: 32 << 20,
            rebuild_memory_bytes: 96 << 20,
        }
    }
}
