//! What a cluster says of its ceremonies, and what is in the Chronicle then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use CustodyState::{CeremonyOpen, Drafted, Ratified, Rejected};
use common::cluster::Cluster;
use common::{Guild, at, content, decided, feed, open, opened_at, until, watcher, whole, within};
use guildhall_core::command::{Act, Clock, Command, Recorder};
use guildhall_core::{ArtifactId, CeremonyId, Cid, CustodyPolicy, CustodyState, Json};
use guildhall_projector::ceremony::{CeremonyOrchestrator, FeedState};
use guildhall_store_sqlite::SqliteStore;
use serde_json::json;

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
async fn an_object_created_before_the_draft_is_opened_when_the_status_says() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let ids = [(); 4].map(|()| ArtifactId::new());
    for id in ids {
        guild.draft_as(id, at(50)).await;
    }
    let [told, untold, decided_at_once, decided_late] = ids;
    cluster.put(guild.with_status("told", told, 1, opened_at(60, open())));
    let mut taken_in = guild.with_status("untold", untold, 1, open());
    taken_in["metadata"]["managedFields"] = json!([
        { "manager": "substrate", "time": whole(58), "fieldsV1": { "f:status": { "f:phase": {} } } },
        { "manager": "kubectl", "time": whole(70), "fieldsV1": { "f:spec": { "f:reason": {} } } },
    ]);
    cluster.put(taken_in);
    let late = decided("Rejected", 90);
    cluster.put(guild.with_status("decided-late", decided_late, 1, late));
    let at_once = decided("Rejected", 50);
    cluster.put(guild.with_status("decided-at-once", decided_at_once, 1, at_once));
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.recorded == 6).await;
    assert_eq!(feed.refused, 0);
    let mut times = Vec::new();
    for id in ids {
        times.push(guild.chain(id).await.iter().map(|link| link.occurred_at).collect::<Vec<_>>());
    }
    let [told, untold, at_once] = [vec![50, 60], vec![50, 58], vec![50; 3]];
    let expected = [told, untold, at_once, vec![50, 90, 90]];
    assert_eq!(times, expected.map(|times| times.into_iter().map(at).collect::<Vec<_>>()));
}

#[tokio::test]
async fn an_opening_that_nothing_dates_is_held_back_until_it_is_told_or_decided() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let ids = [(); 2].map(|()| ArtifactId::new());
    for (name, id) in ["one", "two"].iter().zip(ids) {
        guild.draft_as(id, at(50)).await;
        cluster.put(guild.with_status(name, id, 1, open()));
    }
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.refused == 2).await;
    assert!(feed.refusals[0].reason.starts_with("CC07: "), "{feed:?}");
    cluster.set_status("change", "one", opened_at(60, open()));
    cluster.set_status("change", "two", decided("Ratified", 70));
    let feed = until(&orchestrator, |feed| feed.recorded == 3).await;
    assert_eq!(feed.refused, 0);
    assert_eq!(guild.chain(ids[0]).await[1].occurred_at, at(60));
    assert_eq!(guild.chain(ids[1]).await[1].occurred_at, at(70));
}

#[tokio::test]
async fn a_mistyped_year_is_held_back_until_it_is_mended_and_blocks_nothing() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let [at_once, later, opening] = [guild.draft().await, guild.draft().await, guild.draft().await];
    let mut typo = decided("Ratified", 5);
    typo["decidedAt"] = "2099-11-24T10:00:05.000000Z".into();
    cluster.put(guild.with_status("at-once", at_once, 1, typo.clone()));
    cluster.put(guild.with_status("later", later, 1, open()));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    cluster.set_status("change", "later", typo);
    let mut tomorrow = opened_at(3, open());
    tomorrow["conditions"][0]["lastTransitionTime"] = "2026-11-25T10:00:03Z".into();
    cluster.put(guild.with_status("opening", opening, 1, tomorrow));
    let feed = until(&orchestrator, |feed| feed.refused == 3).await;
    for refusal in &feed.refusals {
        let reason = &refusal.reason;
        assert!(reason.starts_with("occurred_at of dev.guildhouse.chronicle.custody"), "{reason}");
        assert!(
            reason.contains("2099-11-24T10:00:05") || reason.contains("2026-11-25"),
            "{reason}"
        );
        assert!(reason.contains("2026-11-24T12:05:00.000000Z"), "the limit: {reason}");
    }
    for id in [at_once, later] {
        assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen]);
        assert_eq!(guild.chain(id).await[1].occurred_at, at(1));
    }
    assert_eq!(guild.states(opening).await, [Drafted]);

    cluster.set_status("change", "at-once", decided("Ratified", 5));
    cluster.set_status("change", "later", decided("Ratified", 6));
    cluster.set_status("change", "opening", opened_at(3, open()));
    let feed = until(&orchestrator, |feed| feed.recorded == 5).await;
    assert_eq!((feed.refused, feed.ever_refused), (0, 3));
    assert_eq!(guild.chain(at_once).await[2].occurred_at, at(5));
    // The artifact goes on.
    cluster.put(guild.with_status("next", at_once, 7, decided("Withdrawn", 8)));
    until(&orchestrator, |feed| feed.recorded == 7).await;
    assert_eq!(guild.chain(at_once).await.last().unwrap().occurred_at, at(8));
}

#[tokio::test]
async fn a_head_that_already_lies_in_the_future_dates_no_opening() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = ArtifactId::new();
    // It was recorded by a host whose clock was wrong.
    let future = "2099-11-24T10:00:00.000000Z".parse().unwrap();
    let wrong = Recorder::new(Arc::clone(&guild.chronicle), CustodyPolicy::standard());
    let wrong = wrong.by_clock(Clock::from_fn(move || future));
    guild.register_as(id).await;
    let draft = Command::transition(id, Drafted, Act::new("ada", "draft", future));
    wrong.record(draft).await.unwrap();
    cluster.put(guild.with_status("open", id, 1, open()));
    cluster.put(guild.with_status("decided", id, 2, decided("Ratified", 3)));
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.refused == 2).await;
    for refusal in &feed.refusals {
        let reason = &refusal.reason;
        assert!(reason.starts_with("CC07: ") && reason.contains("head's 2099-11-24"), "{reason}");
    }
    assert_eq!(guild.states(id).await, [Drafted]);
}

#[tokio::test]
async fn of_two_ceremonies_whose_objects_overlap_the_one_decided_first_is_recorded_first() {
    for is_told in [true, false] {
        let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
        let id = guild.draft().await;
        let told = |second, status| if is_told { opened_at(second, status) } else { status };
        let later = told(10, decided("Ratified", 20));
        cluster.put(guild.with_status("later", id, 0, later));
        let earlier = told(6, decided("Withdrawn", 8));
        cluster.put(guild.with_status("earlier", id, 5, earlier));
        let orchestrator = guild.hears(watcher(&cluster));
        let feed = until(&orchestrator, |feed| feed.recorded == 4).await;
        assert_eq!(feed.refused, 0);
        let times: Vec<_> = guild.chain(id).await.iter().map(|link| link.occurred_at).collect();
        let [earlier, later] = if is_told { [6, 10] } else { [5, 20] };
        assert_eq!(times, [-60, earlier, 8, later, 20].map(at));
    }
}

#[tokio::test]
async fn an_object_created_within_the_second_of_the_draft_is_recorded() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = ArtifactId::new();
    let drafted_at = "2026-11-24T10:00:07.300000Z".parse().unwrap();
    guild.draft_as(id, drafted_at).await;
    // Kubernetes says the second, and no more.
    let mut status = decided("Ratified", 7);
    status["decidedAt"] = whole(7).into();
    cluster.put(guild.with_status("zone", id, 7, status));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    let times: Vec<_> = guild.chain(id).await.iter().map(|link| link.occurred_at).collect();
    assert_eq!(times, [drafted_at; 3]);
}

#[tokio::test]
async fn an_object_that_is_deleted_closes_nothing_and_is_missed_if_it_was_open() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (open_one, closed_one) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("open", open_one, 1, open()));
    cluster.put(guild.with_status("closed", closed_one, 1, decided("Ratified", 2)));
    cluster.put(guild.object("idle", guild.draft().await, 1));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    for name in ["closed", "idle", "open"] {
        cluster.delete("change", name);
    }
    let feed = until(&orchestrator, |feed| feed.refused > 0).await;
    assert_eq!((feed.recorded, feed.refused), (3, 1));
    assert_eq!(feed.refusals[0].artifact_id, Some(open_one));
    assert!(feed.refusals[0].reason.starts_with("its object was deleted while it was open"));
    assert_eq!(guild.states(open_one).await, [Drafted, CeremonyOpen]);
}

#[tokio::test]
async fn an_object_that_is_heard_of_only_as_it_is_deleted_opens_nothing() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (open_one, closed_one) = (guild.draft().await, guild.draft().await);
    let idle = [("open", open_one), ("closed", closed_one)];
    let [mut open_one_was, mut closed_one_was] =
        idle.map(|(name, id)| cluster.put(guild.object(name, id, 1)));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    open_one_was["status"] = open();
    cluster.tell("DELETED", open_one_was);
    closed_one_was["status"] = decided("Ratified", 2);
    cluster.tell("DELETED", closed_one_was);
    let feed = until(&orchestrator, |feed| feed.recorded == 2).await;
    assert_eq!(feed.ever_refused, 0);
    assert_eq!(guild.states(open_one).await, [Drafted]);
    assert_eq!(guild.states(closed_one).await, [Drafted, CeremonyOpen, Ratified]);
}

#[tokio::test]
async fn objects_deleted_while_nobody_looked_are_missed_in_the_next_list() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (gone, stays) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("gone", gone, 1, open()));
    cluster.put(guild.with_status("stays", stays, 1, open()));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    cluster.stop().await;
    until(&orchestrator, |feed| feed.state == FeedState::BackingOff).await;
    cluster.delete("change", "gone");
    cluster.set_status("change", "stays", decided("Rejected", 2));
    cluster.forget();
    cluster.come_back().await.unwrap();
    let feed = until(&orchestrator, |feed| feed.recorded == 3 && feed.refused == 1).await;
    assert_eq!((feed.refusals[0].artifact_id, feed.known), (Some(gone), 0));
    assert_eq!(guild.states(gone).await, [Drafted, CeremonyOpen]);
    assert_eq!(guild.states(stays).await, [Drafted, CeremonyOpen, Rejected]);
    // It is told once.
    cluster.forget();
    cluster.cut_next_line();
    let lists = || cluster.requests().iter().filter(|path| !path.contains("watch=true")).count();
    let before = lists();
    cluster.set_status("change", "stays", decided("Rejected", 2));
    let feed = until(&orchestrator, |feed| lists() > before && feed.is_healthy()).await;
    assert_eq!((feed.refused, feed.ever_refused), (1, 1));
}

#[tokio::test]
async fn a_ceremony_whose_object_went_while_nobody_watched_is_reported_until_a_command_closes_it() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let [decided_one, open_one, stays] =
        [guild.draft().await, guild.draft().await, guild.draft().await];
    let mut uids = Vec::new();
    for (name, id) in [("decided", decided_one), ("open", open_one), ("stays", stays)] {
        let object = cluster.put(guild.with_status(name, id, 1, open()));
        uids.push(object["metadata"]["uid"].as_str().unwrap().to_owned());
    }
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 3).await;
    within(orchestrator.shutdown()).await;
    cluster.set_status("change", "decided", decided("Ratified", 9));
    cluster.delete("change", "decided");
    cluster.delete("change", "open");
    // Nor do its events tell.
    cluster.forget();
    // What a command opened has no object to miss.
    let by_hand = guild.draft().await;
    let open_by_hand = Act::new("ada", "by hand", at(1));
    let open_by_hand = Command::open_ceremony(by_hand, CeremonyId::new(), open_by_hand);
    guild.recorder.record(open_by_hand).await.unwrap();
    guild.states(by_hand).await;

    let soon = Duration::from_millis(20);
    let orchestrator = guild.hears(watcher(&cluster).retry_refused(soon));
    let feed = until(&orchestrator, |feed| feed.refused == 2 && feed.is_healthy()).await;
    assert_eq!((feed.recorded, feed.known), (0, 1));
    for refusal in &feed.refusals {
        assert!(refusal.reason.contains("until a command closes it"), "{refusal:?}");
        let nth = usize::from(refusal.artifact_id == Some(open_one));
        let name = ["decided", "open"][nth];
        assert_eq!(refusal.identity, format!("change/{name}/{}", uids[nth]));
    }
    // As long as it is so.
    let lists = || cluster.requests().iter().filter(|path| !path.contains("watch=true")).count();
    let before = lists();
    let feed = until(&orchestrator, |_| lists() > before + 2).await;
    assert_eq!((feed.refused, feed.ever_refused), (2, 2));
    let close = |id, uid: &str| {
        let act = Act::new("ada", "found in the minutes", at(9));
        Command::close_ceremony(id, uid.parse().unwrap(), Ratified, act)
    };
    guild.recorder.record(close(decided_one, &uids[0])).await.unwrap();
    let feed = until(&orchestrator, |feed| feed.refused == 1).await;
    assert_eq!(feed.refusals[0].artifact_id, Some(open_one));
    guild.recorder.record(close(open_one, &uids[1])).await.unwrap();
    let feed = until(&orchestrator, |feed| feed.refused == 0).await;
    assert_eq!((feed.ever_refused, feed.restarts), (2, 0));
}

#[tokio::test]
async fn what_another_watcher_opened_or_another_namespace_has_is_not_missed() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (id, elsewhere) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("zone", id, 1, open()));
    let mut object = guild.with_status("zone", elsewhere, 1, open());
    object["metadata"]["namespace"] = "other".into();
    cluster.put(object);
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 2).await;
    within(orchestrator.shutdown()).await;
    guild.states(id).await;

    // Another cluster, which has none of it.
    let other = Cluster::start().await.unwrap();
    let orchestrator = guild.hears(watcher(&other).named("the other cluster"));
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert_eq!(feed.ever_refused, 0);
    // The same cluster, of which a namespace is watched.
    cluster.delete("other", "zone");
    cluster.forget();
    let orchestrator = guild.hears(watcher(&cluster).namespaces(["change"]));
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert_eq!((feed.known, feed.ever_refused), (1, 0));
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert_eq!((feed.known, feed.ever_refused), (1, 1), "it is missed where it is watched");
}

#[tokio::test]
async fn clusters_are_told_apart_by_their_names_and_not_by_their_feeds() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (before, id) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("before", before, 1, open()));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 1).await;
    within(orchestrator.shutdown()).await;
    cluster.put(guild.with_status("zone", id, 2, open()));
    let orchestrator = guild.hears(watcher(&cluster).cluster("north"));
    let feed = until(&orchestrator, |feed| feed.recorded == 1 && feed.is_healthy()).await;
    assert_eq!((feed.known, feed.ever_refused), (1, 0), "a name makes no other event ids");
    let opened = guild.chain(id).await.pop().unwrap();
    assert!(opened.evidence.as_str().contains(r#""cluster":"north""#), "{opened:?}");
    within(orchestrator.shutdown()).await;

    // Another cluster has neither, and its feed has the same name.
    let other = Cluster::start().await.unwrap();
    let orchestrator = guild.hears(watcher(&other).cluster("south"));
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert_eq!(feed.ever_refused, 0);
    within(orchestrator.shutdown()).await;
    cluster.delete("change", "zone");
    cluster.forget();
    let orchestrator = guild.hears(watcher(&cluster).cluster("north"));
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert_eq!((feed.known, feed.ever_refused), (1, 1), "its own it misses");
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
async fn what_an_earlier_process_opened_is_missed_as_soon_as_it_is_deleted() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    let object = cluster.put(guild.with_status("zone", id, 1, open()));
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.recorded == 1).await;
    within(orchestrator.shutdown()).await;
    guild.states(id).await;
    // To the next one, it has no status that can be read, and is told as deleted all the same.
    let mut unreadable = object;
    unreadable["status"]["phase"] = "Perhaps".into();
    cluster.put(unreadable);
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.is_healthy() && feed.refused == 1).await;
    cluster.delete("change", "zone");
    let is_missed = |reason: &str| reason.starts_with("its object was deleted while it was open");
    until(&orchestrator, |feed| feed.refusals.iter().any(|it| is_missed(&it.reason))).await;
}

#[tokio::test]
async fn only_the_chosen_namespaces_are_heard_of() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let ids = [guild.draft().await, guild.draft().await, guild.draft().await];
    let place = |name: &str, id, namespace: &str| {
        let mut object = guild.with_status(name, id, 1, open());
        object["metadata"]["namespace"] = namespace.into();
        cluster.put(object)
    };
    place("listed", ids[0], "one");
    place("ignored", ids[2], "three");
    let orchestrator = guild.hears(watcher(&cluster).namespaces(["one", "two"]));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    place("also-ignored", ids[2], "three");
    place("watched", ids[1], "two");
    until(&orchestrator, |feed| feed.recorded == 2).await;
    assert_eq!(guild.states(ids[0]).await, [Drafted, CeremonyOpen]);
    assert_eq!(guild.states(ids[1]).await, [Drafted, CeremonyOpen]);
    assert_eq!(guild.states(ids[2]).await, [Drafted]);
    let resource = "/apis/substrate.guildhouse.dev/v1alpha1/namespaces/";
    let is_chosen = |path: &String| {
        let namespace = path.strip_prefix(resource).unwrap().split('/').next().unwrap();
        ["one", "two"].contains(&namespace)
    };
    assert!(cluster.requests().iter().all(is_chosen), "{:?}", cluster.requests());
}

#[tokio::test]
async fn one_ceremony_that_follows_another_in_a_different_namespace_is_listed_after_it() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    cluster.put(guild.with_status("later", id, 10, open()));
    let mut earlier = guild.with_status("earlier", id, 1, decided("Ratified", 2));
    earlier["metadata"]["namespace"] = "other".into();
    cluster.put(earlier);
    let orchestrator = guild.hears(watcher(&cluster).namespaces(["change", "other"]));
    let feed = until(&orchestrator, |feed| feed.recorded == 3).await;
    assert_eq!(feed.refused, 0);
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Ratified, CeremonyOpen]);
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
