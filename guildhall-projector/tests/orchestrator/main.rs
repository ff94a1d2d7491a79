//! The orchestrator: who subscribes is told what can be queried, and what feeds hear is recorded
//! once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod failures;
mod feeds;
mod notices;
mod sinks;
#[cfg(feature = "webhook")]
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{
    AccordBound, ArtifactId, ArtifactRegistered, Chronicle, Cid, CustodyPolicy, CustodyState,
    DeploymentObserved, Json, OpsDb, Position, Tier, Timestamp,
};
use guildhall_projector::Runtime;
use guildhall_projector::ceremony::{CeremonyOrchestrator, Delivery, Notice, Subscription};
use support::settings;
use tokio::time::timeout;

/// How long anything here may take.
const SOON: Duration = Duration::from_secs(20);

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it hangs")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

fn act(second: i64) -> Act {
    Act::new("ada", "because", at(second))
}

/// Stores, what projects them and what records into them.
struct Guild {
    chronicle: Arc<dyn Chronicle>,
    ops_db: Arc<dyn OpsDb>,
    runtime: Runtime,
    recorder: Recorder,
}

impl Guild {
    fn in_memory() -> Self {
        Self::on(Arc::new(MemoryChronicle::new()))
    }

    fn on(chronicle: Arc<MemoryChronicle>) -> Self {
        let ops_db = MemoryOpsDb::new();
        let projector = Arc::new(ops_db.projector());
        let runtime = Runtime::spawn(chronicle.clone(), projector, settings());
        Self::of(chronicle, Arc::new(ops_db), runtime)
    }

    fn of(chronicle: Arc<dyn Chronicle>, ops_db: Arc<dyn OpsDb>, runtime: Runtime) -> Self {
        let recorder = Recorder::new(Arc::clone(&chronicle), CustodyPolicy::standard());
        Self { chronicle, ops_db, runtime, recorder }
    }

    async fn record(&self, command: impl Into<Command> + Send) -> Position {
        self.recorder.record(command).await.unwrap().position
    }

    /// A drafted artifact under an accord of its own: three entries.
    async fn draft(&self) -> ArtifactId {
        let accord = AccordBound::new("change control", "board", Json::parse("{}").unwrap(), at(0));
        let artifact = ArtifactRegistered::new(
            accord.accord_id,
            "dns_zone",
            "example.com",
            Tier::ALL[0],
            content(),
            "https://example.com/zone.json",
        );
        let id = artifact.artifact_id;
        self.record(accord).await;
        self.record(artifact).await;
        self.record(Command::transition(id, CustodyState::Drafted, act(0))).await;
        id
    }

    fn orchestrator(&self) -> guildhall_projector::ceremony::OrchestratorOptions {
        CeremonyOrchestrator::new(Arc::clone(&self.chronicle), Arc::clone(&self.ops_db))
            .settings(settings())
            .woken_by(Arc::new(self.runtime.clone()))
    }
}

fn content() -> Json {
    Json::parse(r#"{"ttl":300}"#).unwrap()
}

/// Of two looks in succession, one finds the content and the other finds nothing.
fn seen(artifact_id: ArtifactId, second: i64) -> DeploymentObserved {
    let found = (second % 2 == 0).then(|| Cid::of(&content()));
    looked(artifact_id, second, found)
}

fn looked(artifact_id: ArtifactId, second: i64, observed_cid: Option<Cid>) -> DeploymentObserved {
    DeploymentObserved {
        artifact_id,
        desired_cid: Cid::of(&content()),
        detail: Json::null(),
        observed_at: at(second),
        observed_cid,
        target: "eu".to_owned(),
    }
}

async fn notice(subscription: &mut Subscription) -> Arc<Notice> {
    match within(subscription.next()).await {
        Some(Delivery::Notice(notice)) => notice,
        other => panic!("{other:?}"),
    }
}

async fn until(orchestrator: &CeremonyOrchestrator, what: impl Fn(&CeremonyOrchestrator) -> bool) {
    within(async {
        while !what(orchestrator) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
