//! Objects that are deleted: an open ceremony is missed, and never closed.

use std::time::Duration;

use CustodyState::{CeremonyOpen, Drafted, Ratified, Rejected};
use guildhall_core::command::{Act, Command};
use guildhall_core::{CeremonyId, CustodyState};
use guildhall_projector::ceremony::FeedState;

use crate::common::cluster::Cluster;
use crate::common::{Guild, at, decided, open, until, watcher, within};

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
