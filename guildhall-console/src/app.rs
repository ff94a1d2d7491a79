//! What every request is answered from.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{CustodyPolicy, OpsDb, Timestamp};
use guildhall_projector::Status;
use guildhall_projector::ceremony::CeremonyOrchestrator;
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::progress::Progress;

pub(crate) type Shared = Arc<App>;

/// What every request is answered from.
pub(crate) struct App {
    pub(crate) ops_db: Arc<dyn OpsDb>,
    pub(crate) orchestrator: CeremonyOrchestrator,
    pub(crate) projector: Option<watch::Receiver<Status>>,
    pub(crate) policy: CustodyPolicy,
    pub(crate) access: Access,
    /// What every path begins with; empty, or a slash and no slash at its end.
    pub(crate) base: String,
    pub(crate) stale_after: Duration,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) progress: Progress,
    #[cfg(feature = "proof")]
    pub(crate) proof: crate::proof::Proof,
    pub(crate) assets: String,
}

impl App {
    /// This host's clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
