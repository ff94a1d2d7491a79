//! What cannot be recorded, and what is shown of it.

use std::sync::Arc;
use std::time::Duration;

use CustodyState::{CeremonyOpen, Drafted, Ratified, Rejected};
use guildhall_core::command::{Act, Command};
use guildhall_core::{ArtifactId, Cid, CustodyState, Json};
use guildhall_projector::ceremony::{CeremonyOrchestrator, FeedState};
use guildhall_store_sqlite::SqliteStore;
use serde_json::json;

use crate::common::cluster::Cluster;
use crate::common::{Guild, at, decided, open, until, watcher, within};

#[tokio::test]
async fn a_closed_ceremony_neither_reopens_nor_ends_otherwise() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (id, fence) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("zone", id, 1, decided("Ratified", 2)));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    cluster.set_status("change", "zone", open());
    cluster.set_status("change", "zone", decided("Rejected", 3));
    let feed = until(&orchestrator, |feed| feed.refused == 1).await;
    let refusal = &feed.refusals[0];
    assert_eq!(refusal.reason, "it ended ratified, and is now said to have ended rejected");
    assert!(refusal.identity.starts_with("change/zone/"), "{}", refusal.identity);
    cluster.set_status("change", "zone", decided("Ratified", 4));
    cluster.put(guild.with_status("zz-fence", fence, 1, open()));
    let feed = until(&orchestrator, |feed| feed.recorded == 3).await;
    assert_eq!((feed.known, feed.refused, feed.ever_refused), (0, 0, 1), "it is as it was");
    within(orchestrator.shutdown()).await;

    // Nor after a restart, which forgets.
    cluster.set_status("change", "zone", decided("Rejected", 5));
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.refused == 1).await;
    assert!(feed.refusals[0].reason.starts_with("CC0"), "{}", feed.refusals[0].reason);
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Ratified]);
}

#[tokio::test]
async fn objects_that_cannot_be_read_are_shown_and_keep_no_other_from_being_heard() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    let broken = |name: &str, path: &str, value: serde_json::Value| {
        let mut object = guild.with_status(name, id, 1, decided("Ratified", 2));
        *object.pointer_mut(path).unwrap() = value;
        object
    };
    let mut deep = json!(1);
    for _ in 0..300 {
        deep = json!([deep]);
    }
    let mut silent = guild.with_status("j", id, 1, decided("Ratified", 2));
    silent["status"].as_object_mut().unwrap().remove("observedGeneration");
    let objects = [
        (broken("a", "/spec/artifact", "zone".into()), "spec.artifact: "),
        (broken("b", "/spec/cid", "bafy".into()), "spec.cid: "),
        (broken("c", "/spec/accord", json!(7)), "spec: invalid type: integer `7`"),
        (broken("d", "/status/phase", "Postponed".into()), "status: unknown variant `Postponed`"),
        (
            broken("e", "/status/decidedBy", json!(null)),
            "it is ratified, and status.decidedBy is missing",
        ),
        (broken("f", "/status/decidedAt", "today".into()), "status: "),
        (broken("g", "/status/evidence", deep), "status.evidence: "),
        (broken("h", "/status/evidence", json!(9_007_199_254_740_993_u64)), "status.evidence: "),
        (broken("i", "/status/observedGeneration", json!(2)), "status.observedGeneration is 2"),
        (silent, "status.observedGeneration is missing"),
        (broken("k", "/spec", json!("none")), "spec: invalid type: string"),
        (
            broken("l", "/spec/requester", "a\0b".into()),
            "spec.requester holds the character U+0000",
        ),
        (
            broken("m", "/spec/reason", "a\u{ffff}b".into()),
            "spec.reason holds the character U+FFFF",
        ),
        (
            broken("n", "/status/decidedBy", "\0".into()),
            "status.decidedBy holds the character U+0000",
        ),
        (
            broken("o", "/status/conditions/0/message", "\u{1fffe}".into()),
            "the message of the condition Decided holds the character U+1FFFE",
        ),
    ];
    let some = objects.len() / 2;
    for (object, _) in &objects[..some] {
        cluster.put(object.clone());
    }
    let orchestrator = guild.hears(watcher(&cluster).page_size(3));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    for (object, _) in &objects[some..] {
        cluster.put(object.clone());
    }
    cluster.put(guild.with_status("sound", id, 3, decided("Withdrawn", 4)));
    let feed = until(&orchestrator, |feed| feed.recorded == 2).await;
    assert_eq!((feed.refused, feed.restarts), (objects.len() as u64, 0));
    for ((object, reason), refusal) in objects.iter().zip(&feed.refusals) {
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(refusal.identity.starts_with(&format!("change/{name}/")), "{refusal:?}");
        assert!(refusal.reason.starts_with(reason), "{refusal:?}");
        let is_named = !["a", "c", "k"].contains(&name);
        assert_eq!(refusal.artifact_id, is_named.then_some(id), "{refusal:?}");
    }
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Drafted]);
}

#[tokio::test]
async fn what_the_chain_does_not_take_is_shown_and_taken_once_it_can_be() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (id, other, early) = (guild.draft().await, guild.draft().await, ArtifactId::new());
    let mut elsewhere = guild.with_status("a-elsewhere", other, 1, open());
    elsewhere["spec"]["cid"] = Cid::of(&Json::parse("{}").unwrap()).to_string().into();
    cluster.put(elsewhere);
    cluster.put(guild.with_status("b-early", early, 1, decided("Ratified", 2)));
    cluster.put(guild.with_status("c-sound", id, 3, open()));
    let soon = Duration::from_millis(20);
    let orchestrator = guild.hears(watcher(&cluster).retry_refused(soon));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    let lists = || cluster.requests().iter().filter(|path| !path.contains("watch=true")).count();
    let feed = until(&orchestrator, |feed| {
        assert_eq!(feed.state, FeedState::Listening, "it hears while it tries again");
        lists() >= 4
    })
    .await;
    assert_eq!((feed.recorded, feed.refused, feed.ever_refused), (1, 2, 2));
    let mut codes: Vec<&str> = feed.refusals.iter().map(|it| &it.reason[..4]).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["CC08", "CC11"]);
    guild.draft_as(early, at(0)).await;
    let feed = until(&orchestrator, |feed| feed.recorded == 3).await;
    assert_eq!((feed.restarts, feed.known, feed.refused), (0, 0, 1));
    assert_eq!(guild.states(early).await, [Drafted, CeremonyOpen, Ratified]);
}

#[tokio::test]
async fn an_ops_db_that_does_not_answer_is_reported_and_keeps_nothing_from_being_heard() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    cluster.put(guild.with_status("zone", id, 1, decided("Ratified", 2)));
    let folder = tempfile::tempdir().unwrap();
    let closed = SqliteStore::open(folder.path().join("closed.db")).await.unwrap();
    let ops_db = Arc::new(closed.ops_db());
    closed.close().await.unwrap();
    let orchestrator = CeremonyOrchestrator::new(Arc::clone(&guild.chronicle), ops_db)
        .feed(Arc::new(watcher(&cluster)))
        .start();
    let feed = until(&orchestrator, |feed| feed.recorded == 2 && feed.is_healthy()).await;
    assert_eq!((feed.refused, feed.restarts), (1, 0));
    let refusal = &feed.refusals[0];
    assert_eq!(refusal.identity, "the Ops DB");
    assert!(
        refusal.reason.starts_with("which ceremonies it holds open cannot be read: "),
        "{refusal:?}"
    );
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Ratified]);
}

#[tokio::test]
async fn a_ceremony_that_others_closed_is_not_closed_again() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    let object = cluster.put(guild.with_status("zone", id, 1, open()));
    let orchestrator: CeremonyOrchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 1).await;
    let ceremony_id = object["metadata"]["uid"].as_str().unwrap().parse().unwrap();
    let act = Act::new("ada", "by hand", at(9));
    let close = Command::close_ceremony(id, ceremony_id, Rejected, act);
    let by_hand = guild.recorder.record(close).await.unwrap().position;
    cluster.set_status("change", "zone", decided("Ratified", 10));
    let feed = until(&orchestrator, |feed| feed.refused == 1).await;
    assert_eq!(feed.refusals[0].artifact_id, Some(id));
    assert_eq!(guild.head().await, by_hand);
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Rejected]);
}
