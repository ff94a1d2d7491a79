//! What is recorded of an object, and that it is recorded once.

use CustodyState::{CeremonyOpen, Drafted, Ratified, Rejected};
use guildhall_core::{CeremonyId, Cid, CustodyState, Json};
use guildhall_projector::ceremony::FeedState;
use serde_json::json;

use crate::common::cluster::Cluster;
use crate::common::{Guild, at, content, decided, feed, open, until, watcher, whole, within};

#[tokio::test]
async fn an_open_ceremony_is_recorded_and_so_is_its_outcome() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    let object = cluster.put(guild.object("zone-1", id, 5));
    cluster.set_status("change", "zone-1", open());
    until(&orchestrator, |feed| feed.recorded == 1).await;
    let uid = object["metadata"]["uid"].as_str().unwrap();
    let ceremony_id: CeremonyId = uid.parse().unwrap();

    let opened = guild.chain(id).await.pop().unwrap();
    assert_eq!((opened.to_state, opened.ceremony_id), (CeremonyOpen, Some(ceremony_id)));
    assert_eq!((opened.actor.as_str(), opened.occurred_at), ("amara.osei", at(5)));
    assert_eq!(
        (opened.reason.as_str(), opened.cid),
        ("please decide about zone-1", Cid::of(&content()))
    );
    let grounds = json!({
        "accord": guild.accord_id,
        "object": { "namespace": "change", "name": "zone-1", "uid": uid },
    });
    assert_eq!(opened.evidence, Json::parse(&grounds.to_string()).unwrap());
    let waiting = guild.ops_db.open_ceremonies(None, 10).await.unwrap().rows;
    assert_eq!(waiting[0].opened.ceremony_id, Some(ceremony_id));

    cluster.set_status("change", "zone-1", decided("Ratified", 60));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    let closed = guild.chain(id).await.pop().unwrap();
    assert_eq!((closed.to_state, closed.ceremony_id), (Ratified, Some(ceremony_id)));
    assert_eq!((closed.actor.as_str(), closed.reason.as_str()), ("jonas.weber", "two approvals"));
    assert_eq!(closed.occurred_at, at(60));
    assert_eq!(
        closed.evidence,
        Json::parse(r#"{"approvals":["mei.tanaka","tomas.silva"]}"#).unwrap()
    );
    assert!(guild.ops_db.open_ceremonies(None, 10).await.unwrap().rows.is_empty());
    let feed = feed(&orchestrator);
    assert_eq!((feed.known, feed.refused, feed.restarts), (0, 0, 0));
}

#[tokio::test]
async fn a_ceremony_first_seen_closed_is_recorded_as_opened_and_then_closed() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let ids = [guild.draft().await, guild.draft().await, guild.draft().await];
    for (phase, id) in ["Ratified", "Rejected", "Withdrawn"].iter().zip(ids) {
        let name = phase.to_lowercase();
        cluster.put(guild.with_status(&name, id, 1, decided(phase, 2)));
    }
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 6).await;
    for (state, id) in [Ratified, Rejected, Drafted].into_iter().zip(ids) {
        assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, state]);
    }
}

#[tokio::test]
async fn what_was_missed_is_recorded_as_it_happened_however_the_list_and_little_memory_have_it() {
    for backlog_bytes in [16 << 20, 1] {
        let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
        let id = guild.draft().await;
        // By name, the last comes first.
        for nth in 0..9 {
            let (name, opened) = (format!("zone-{}", 9 - nth), nth * 10);
            let status = decided(if nth % 2 == 0 { "Withdrawn" } else { "Ratified" }, opened + 5);
            cluster.put(guild.with_status(&name, id, opened, status));
        }
        cluster.put(guild.with_status("a-zone", id, 95, open()));
        let orchestrator = guild.hears(watcher(&cluster).page_size(4).backlog_bytes(backlog_bytes));
        until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
        let feed = feed(&orchestrator);
        assert_eq!((feed.recorded, feed.known, feed.refused, feed.restarts), (19, 0, 0, 0));
        let chain = guild.chain(id).await;
        assert_eq!(chain.last().unwrap().to_state, CeremonyOpen);
        assert!(chain.windows(2).all(|pair| pair[0].occurred_at <= pair[1].occurred_at));
    }
}

#[tokio::test]
async fn what_is_seen_again_after_a_restart_is_recorded_once() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (one, other) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("one", one, 1, decided("Rejected", 2)));
    cluster.put(guild.with_status("other", other, 1, open()));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 3).await;
    within(orchestrator.shutdown()).await;
    let head = guild.head().await;

    // Nothing is remembered by another watcher, and versions have moved on.
    cluster.set_status("change", "one", decided("Rejected", 2));
    cluster.forget();
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.known == 3).await;
    assert_eq!((feed.recorded, feed.refused), (0, 0));
    assert_eq!(guild.head().await, head);

    // What happened meanwhile is heard.
    cluster.set_status("change", "other", decided("Ratified", 9));
    until(&orchestrator, |feed| feed.recorded == 1).await;
    assert_eq!(guild.states(other).await, [Drafted, CeremonyOpen, Ratified]);
}

#[tokio::test]
async fn a_status_of_an_older_generation_is_not_believed() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (id, fence) = (guild.draft().await, guild.draft().await);
    let mut object = guild.with_status("zone", id, 1, decided("Ratified", 2));
    object["metadata"]["generation"] = 2.into();
    cluster.put(object);
    cluster.put(guild.with_status("zz-fence", fence, 1, open()));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 1).await;
    assert_eq!(guild.states(id).await, [Drafted], "the fence was recorded, this was not");
    let mut status = decided("Rejected", 3);
    status["observedGeneration"] = 2.into();
    cluster.set_status("change", "zone", status);
    let feed = until(&orchestrator, |feed| feed.recorded == 3).await;
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Rejected]);
    assert_eq!(feed.refused, 0);
}

#[tokio::test]
async fn a_status_from_before_an_object_was_marked_as_being_deleted_is_believed() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    let mut object = guild.with_status("zone", id, 1, decided("Ratified", 2));
    object["metadata"]["generation"] = 2.into();
    object["metadata"]["deletionTimestamp"] = whole(3).into();
    cluster.put(object);
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Ratified]);
}

#[tokio::test]
async fn only_a_condition_that_is_true_tells_why() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    let mut status = decided("Ratified", 2);
    status["conditions"][0]["status"] = "False".into();
    cluster.put(guild.with_status("zone", id, 1, status));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    assert_eq!(guild.chain(id).await.pop().unwrap().reason, "ratified");
}
