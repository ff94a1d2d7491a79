//! Watching some namespaces of a cluster.

use CustodyState::{CeremonyOpen, Drafted, Ratified};
use guildhall_core::CustodyState;
use guildhall_projector::ceremony::FeedState;

use crate::common::cluster::Cluster;
use crate::common::{Guild, decided, open, until, watcher};

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
