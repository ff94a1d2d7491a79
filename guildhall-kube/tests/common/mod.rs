//! A guild on SQLite that hears of a cluster's ceremonies.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod cluster;

use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use guildhall_core::command::{Act, Clock, Command, Recorder};
use guildhall_core::{
    AccordBound, AccordId, ArtifactId, ArtifactRegistered, Chronicle, Cid, CustodyPolicy,
    CustodyState, CustodyTransition, Json, OpsDb, Position, Tier, Timestamp,
};
use guildhall_kube::CeremonyWatcher;
use guildhall_projector::ceremony::{CeremonyOrchestrator, FeedStatus};
use guildhall_projector::{Runtime, Settings};
use guildhall_store_sqlite::SqliteStore;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long anything may take that has no promise of its own.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it hangs")
}

/// So many seconds after ten o'clock.
pub(crate) fn at(second: i64) -> Timestamp {
    let ten = Timestamp::from_rfc3339("2026-11-24T10:00:00Z").unwrap();
    Timestamp::from_micros(ten.as_micros() + second * 1_000_000).unwrap()
}

/// A clock by which it is twelve.
pub(crate) fn noon() -> Clock {
    Clock::from_fn(|| at(7200))
}

/// The same as Kubernetes writes it.
pub(crate) fn whole(second: i64) -> String {
    format!("{}Z", &at(second).to_string()[..19])
}

pub(crate) fn content() -> Json {
    Json::parse(r#"{"ttl":300}"#).unwrap()
}

/// Short pauses.
pub(crate) fn settings() -> Settings {
    Settings::default()
        .backoff_first(Duration::from_millis(1))
        .backoff_most(Duration::from_millis(20))
}

/// Speaks to a cluster, and tries nothing again by itself.
pub(crate) fn client(cluster: &Cluster) -> Client {
    let mut config = Config::new(cluster.url().parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// A watcher that waits for nothing for long.
pub(crate) fn watcher(cluster: &Cluster) -> CeremonyWatcher {
    CeremonyWatcher::new(client(cluster)).patience(Duration::from_secs(5))
}

/// Stores, what projects them and what records into them.
pub(crate) struct Guild {
    pub(crate) chronicle: Arc<dyn Chronicle>,
    pub(crate) ops_db: Arc<dyn OpsDb>,
    pub(crate) runtime: Runtime,
    pub(crate) recorder: Recorder,
    pub(crate) accord_id: AccordId,
    _folder: tempfile::TempDir,
}

impl Guild {
    /// With an accord in it: one entry.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("guildhall.db")).await.unwrap();
        let chronicle: Arc<dyn Chronicle> = Arc::new(store.chronicle());
        let projector = Arc::new(store.projector().start().unwrap());
        let runtime = Runtime::spawn(Arc::clone(&chronicle), projector, settings());
        let recorder = Recorder::new(Arc::clone(&chronicle), CustodyPolicy::standard());
        let recorder = recorder.by_clock(noon());
        let terms = Json::parse("{}").unwrap();
        let accord = AccordBound::new("change control", "board", terms, at(-100));
        let accord_id = accord.accord_id;
        recorder.record(accord).await.unwrap();
        let ops_db = Arc::new(store.ops_db());
        Self { chronicle, ops_db, runtime, recorder, accord_id, _folder: folder }
    }

    /// An artifact of this id.
    pub(crate) async fn register_as(&self, artifact_id: ArtifactId) {
        let schema = "https://example.com/zone.json";
        let tier = Tier::ALL[0];
        let zone =
            ArtifactRegistered::new(self.accord_id, "dns_zone", "zone", tier, content(), schema);
        self.recorder.record(ArtifactRegistered { artifact_id, ..zone }).await.unwrap();
    }

    /// An artifact of this id, drafted: two entries.
    pub(crate) async fn draft_as(&self, artifact_id: ArtifactId, drafted_at: Timestamp) {
        self.register_as(artifact_id).await;
        let draft = Act::new("ada", "draft", drafted_at);
        let draft = Command::transition(artifact_id, CustodyState::Drafted, draft);
        self.recorder.record(draft).await.unwrap();
    }

    /// An artifact, drafted a minute before ten.
    pub(crate) async fn draft(&self) -> ArtifactId {
        let artifact_id = ArtifactId::new();
        self.draft_as(artifact_id, at(-60)).await;
        artifact_id
    }

    /// Hears of what this watcher hears of.
    pub(crate) fn hears(&self, watcher: impl Into<Arc<CeremonyWatcher>>) -> CeremonyOrchestrator {
        self.hears_by(noon(), watcher)
    }

    /// The same, by this clock.
    pub(crate) fn hears_by(
        &self,
        clock: Clock,
        watcher: impl Into<Arc<CeremonyWatcher>>,
    ) -> CeremonyOrchestrator {
        CeremonyOrchestrator::new(Arc::clone(&self.chronicle), Arc::clone(&self.ops_db))
            .clock(clock)
            .settings(settings())
            .woken_by(Arc::new(self.runtime.clone()))
            .feed(watcher.into())
            .start()
    }

    pub(crate) async fn head(&self) -> Position {
        self.chronicle.head().await.unwrap().position
    }

    /// The artifact's chain, once all that is recorded is applied.
    pub(crate) async fn chain(&self, artifact_id: ArtifactId) -> Vec<CustodyTransition> {
        within(self.runtime.wait_until(self.head().await)).await.unwrap();
        self.ops_db.chain(artifact_id, None, 100).await.unwrap().rows
    }

    /// The states that it went through.
    pub(crate) async fn states(&self, artifact_id: ArtifactId) -> Vec<CustodyState> {
        self.chain(artifact_id).await.iter().map(|link| link.to_state).collect()
    }

    /// A ceremony's object, without a status, created so many seconds after ten.
    pub(crate) fn object(&self, name: &str, artifact_id: ArtifactId, created: i64) -> Value {
        let cid = Cid::of(&content());
        json!({
            "metadata": {
                "namespace": "change", "name": name, "creationTimestamp": whole(created),
            },
            "spec": {
                "artifact": artifact_id, "cid": cid, "accord": self.accord_id,
                "requester": "amara.osei", "reason": format!("please decide about {name}"),
            },
        })
    }

    /// The same, with this status.
    pub(crate) fn with_status(
        &self,
        name: &str,
        artifact_id: ArtifactId,
        created: i64,
        status: Value,
    ) -> Value {
        let mut object = self.object(name, artifact_id, created);
        object["status"] = status;
        object
    }
}

pub(crate) fn open() -> Value {
    json!({ "phase": "Open", "observedGeneration": 1 })
}

/// The same status, which says that it was opened so many seconds after ten.
pub(crate) fn opened_at(second: i64, mut status: Value) -> Value {
    let opened = json!({
        "type": "Opened", "status": "True", "reason": "Asked", "message": "",
        "lastTransitionTime": whole(second),
    });
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    status["conditions"] = [conditions, vec![opened]].concat().into();
    status
}

/// Decided so many seconds after ten.
pub(crate) fn decided(phase: &str, second: i64) -> Value {
    json!({
        "phase": phase,
        "decidedBy": "jonas.weber",
        "decidedAt": at(second).to_string(),
        "evidence": { "approvals": ["mei.tanaka", "tomas.silva"] },
        "observedGeneration": 1,
        "conditions": [{
            "type": "Decided", "status": "True", "reason": phase, "message": "two approvals",
            "lastTransitionTime": whole(second),
        }],
    })
}

pub(crate) fn feed(orchestrator: &CeremonyOrchestrator) -> FeedStatus {
    orchestrator.status().feeds[0].clone()
}

/// Waits until the feed is as is wanted, and returns how it is.
pub(crate) async fn until(
    orchestrator: &CeremonyOrchestrator,
    what: impl Fn(&FeedStatus) -> bool,
) -> FeedStatus {
    let waits = async {
        loop {
            let status = feed(orchestrator);
            if what(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    match timeout(SOON, waits).await {
        Ok(status) => status,
        Err(_) => panic!("it never comes to that: {:#?}", feed(orchestrator)),
    }
}
