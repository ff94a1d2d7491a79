//! The in-memory stores keep every promise that a store makes.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_conformance::{Harness, ProjectorSettings};
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{Chronicle, OpsDb, Rebuild, Seals, Tables};

struct MemoryHarness {
    chronicle: MemoryChronicle,
    ops_db: MemoryOpsDb,
}

const PAYLOAD_LIMIT_BYTES: usize = 64 << 10;

#[async_trait]
impl Harness for MemoryHarness {
    async fn fresh() -> Self {
        Self {
            chronicle: MemoryChronicle::with_payload_limit(PAYLOAD_LIMIT_BYTES),
            ops_db: MemoryOpsDb::new(),
        }
    }

    fn payload_limit_bytes(&self) -> usize {
        PAYLOAD_LIMIT_BYTES
    }

    fn chronicle(&self) -> Arc<dyn Chronicle> {
        Arc::new(self.chronicle.clone())
    }

    async fn other_chronicle(&self) -> Arc<dyn Chronicle> {
        self.chronicle()
    }

    fn seals(&self) -> Arc<dyn Seals> {
        Arc::new(self.chronicle.clone())
    }

    async fn other_seals(&self) -> Arc<dyn Seals> {
        self.seals()
    }

    fn ops_db(&self) -> Arc<dyn OpsDb> {
        Arc::new(self.ops_db.clone())
    }

    async fn projector(&self, settings: ProjectorSettings) -> Arc<dyn Rebuild> {
        // It remembers nothing between batches, so it has no setting for that.
        let projector = self.ops_db.projector().with_policy(settings.policy);
        let projector = projector.with_on_violation(settings.on_violation);
        Arc::new(projector.with_lease_time(settings.lease_time))
    }

    async fn tables(&self) -> Tables {
        self.ops_db.tables()
    }

    async fn reopened(self) -> Self {
        // Memory has nothing to reopen; the last handle keeps it.
        self
    }
}

guildhall_conformance::suite!(MemoryHarness);
