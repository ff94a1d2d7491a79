//! When a ceremony was opened and closed, as far as its object says.

use std::sync::Arc;

use CustodyState::{CeremonyOpen, Drafted};
use guildhall_core::command::{Act, Clock, Command, Recorder};
use guildhall_core::{ArtifactId, CustodyPolicy, CustodyState};
use serde_json::json;

use crate::common::cluster::Cluster;
use crate::common::{Guild, at, decided, open, opened_at, until, watcher, whole};

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
