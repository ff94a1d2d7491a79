//! A morning in a cluster that does not exist.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::event::artifact_type::{DNS_ZONE, HELM_VALUES};
use guildhall_core::{
    AccordBound, AccordId, ArtifactId, ArtifactRegistered, Chronicle, Cid, CustodyPolicy,
    CustodyState, Json, Tier, Timestamp,
};
use guildhall_store_sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Long enough to read a line.
const PAUSE: Duration = Duration::from_millis(700);

/// How long a step may take to be recorded.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the ceremonies are about.
pub(crate) struct Artifacts {
    accord_id: AccordId,
    zone: (ArtifactId, Cid),
    values: (ArtifactId, Cid),
}

/// Two artifacts, drafted.
pub(crate) async fn register(store: &SqliteStore) -> Result<Artifacts> {
    let recorder = Recorder::new(Arc::new(store.chronicle()), CustodyPolicy::standard());
    let at = Timestamp::now();
    let accord = AccordBound::new("change control", "board", Json::parse("{}")?, at);
    let accord_id = accord.accord_id;
    recorder.record(accord).await?;
    let mut drafted = Vec::new();
    for (kind, name) in [(DNS_ZONE, "calder.example"), (HELM_VALUES, "ingress")] {
        let content = Json::parse(&json!({ "of": name }).to_string())?;
        let schema = "https://calder.example/schema.json";
        let artifact =
            ArtifactRegistered::new(accord_id, kind, name, Tier::ALL[1], content, schema);
        let id = artifact.artifact_id;
        drafted.push((id, artifact.cid));
        recorder.record(artifact).await?;
        let draft = Act::new("amara.osei", "first draft", at);
        recorder.record(Command::transition(id, CustodyState::Drafted, draft)).await?;
    }
    Ok(Artifacts { accord_id, zone: drafted[0], values: drafted[1] })
}

fn object(artifacts: &Artifacts, name: &str, about: (ArtifactId, Cid), reason: &str) -> Value {
    let created = format!("{}Z", &Timestamp::now().to_string()[..19]);
    json!({
        "metadata": {
            "namespace": "change-control", "name": name, "creationTimestamp": created,
        },
        "spec": {
            "artifact": about.0, "cid": about.1, "accord": artifacts.accord_id,
            "requester": "amara.osei", "reason": reason,
        },
        "status": { "phase": "Open", "observedGeneration": 1 },
    })
}

fn decided(phase: &str, message: &str) -> Value {
    let at = Timestamp::now().to_string();
    json!({
        "phase": phase, "decidedBy": "jonas.weber", "decidedAt": at, "observedGeneration": 1,
        "evidence": { "approvals": ["mei.tanaka", "tomas.silva"] },
        "conditions": [{
            "type": "Decided", "status": "True", "reason": phase, "message": message,
            "lastTransitionTime": at,
        }],
    })
}

/// What happened before anybody watched.
pub(crate) fn before(cluster: &Cluster, artifacts: &Artifacts) {
    let mut closed = object(artifacts, "zone-1", artifacts.zone, "raise the TTL");
    closed["status"] = decided("Withdrawn", "superseded");
    cluster.put(closed);
}

/// What happens while it is watched. It goes on once what happened is recorded: how soon that is
/// depends on how long the feed pauses after a failure.
pub(crate) async fn tell(
    cluster: Arc<Cluster>,
    artifacts: Artifacts,
    chronicle: impl Chronicle,
) -> Result<()> {
    let pause = || tokio::time::sleep(PAUSE);
    let recorded = async |entries: u64| {
        let all = async {
            while chronicle.head().await?.position.get() < entries {
                pause().await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all).await.context("a step was not recorded")?
    };
    // An accord, two drafted artifacts, and the ceremony of before.
    let before = 5 + 2;
    recorded(before).await?;
    pause().await;
    println!("> a ceremony is opened");
    cluster.put(object(&artifacts, "zone-2", artifacts.zone, "raise the TTL, once more"));
    recorded(before + 1).await?;
    pause().await;
    println!("> somebody asks about another content than there is");
    let content = Cid::of(&Json::null());
    cluster.put(object(&artifacts, "ingress-1", (artifacts.values.0, content), "two replicas"));
    pause().await;
    println!("> somebody writes nonsense, to forge a line on this terminal");
    let mut nonsense = object(&artifacts, "nonsense", artifacts.values, "none");
    let forged = "Perhaps\n  recorded   at 99   ingress: ratified by nobody: \u{1b}[1mtrust me";
    nonsense["status"]["phase"] = forged.into();
    cluster.put(nonsense);
    pause().await;
    println!("> the ceremony passes, and the connection breaks in the middle of the news");
    cluster.cut_next_line();
    cluster.set_status("change-control", "zone-2", decided("Ratified", "two approvals"));
    recorded(before + 2).await?;
    pause().await;
    println!("> the API server goes away; meanwhile, a ceremony is opened and rejected");
    cluster.stop().await;
    let mut rejected = object(&artifacts, "ingress-2", artifacts.values, "three replicas");
    rejected["status"] = decided("Rejected", "no rollback plan");
    cluster.put(rejected);
    pause().await;
    println!("> it comes back, and remembers no history");
    cluster.forget();
    cluster.come_back().await?;
    recorded(before + 4).await?;
    pause().await;
    Ok(())
}
