//! Connections that end, break or never come about, and what is in the Chronicle then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;

use std::time::Duration;

use common::cluster::{Cluster, Fault};
use common::{Guild, decided, open, until, watcher};
use guildhall_core::CustodyState::{CeremonyOpen, Drafted, Ratified};
use guildhall_projector::ceremony::{FeedState, FeedStatus};

/// How often a list was begun, and how often a watch.
fn asked(cluster: &Cluster) -> (usize, usize) {
    let requests = cluster.requests();
    let watches = requests.iter().filter(|path| path.contains("watch=true")).count();
    let pages = requests.iter().filter(|path| path.contains("&continue=")).count();
    (requests.len() - watches - pages, watches)
}

/// The version that the last watch asked for.
fn last_version(cluster: &Cluster) -> String {
    let requests = cluster.requests();
    let watch = requests.iter().rev().find(|path| path.contains("watch=true")).unwrap();
    watch.split("resourceVersion=").nth(1).unwrap().split('&').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (one, other) = (guild.draft().await, guild.draft().await);
    let orchestrator = guild.hears(watcher(&cluster).watch_for(Duration::from_secs(1)));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    cluster.put(guild.with_status("one", one, 1, open()));
    until(&orchestrator, |feed| feed.recorded == 1).await;
    // Nothing else happened up to here, which no object says.
    let version = cluster.bookmark();
    until(&orchestrator, |_| asked(&cluster).1 >= 3).await;
    assert_eq!(last_version(&cluster), version.to_string());
    cluster.put(guild.with_status("other", other, 1, open()));
    let feed = until(&orchestrator, |feed| feed.recorded == 2).await;
    assert_eq!((feed.known, feed.restarts, asked(&cluster).0), (0, 0, 1));
    assert!(cluster.requests().iter().all(|path| {
        !path.contains("watch=true")
            || (path.contains("allowWatchBookmarks=true") && path.contains("timeoutSeconds=1"))
    }));
}

#[tokio::test]
async fn a_connection_cut_in_mid_line_loses_nothing_and_lists_nothing_again() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    for nth in 0..10 {
        let id = guild.draft().await;
        if nth % 3 == 1 {
            cluster.cut_next_line();
        }
        cluster.put(guild.with_status(&format!("zone-{nth}"), id, 1, open()));
        if nth % 3 == 2 {
            cluster.cut_next_line();
        }
        cluster.set_status("change", &format!("zone-{nth}"), decided("Ratified", 2));
        until(&orchestrator, |feed| feed.recorded == 2 * (nth + 1)).await;
        assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Ratified]);
    }
    let feed = common::feed(&orchestrator);
    assert_eq!((feed.known, feed.refused, asked(&cluster).0), (0, 0, 1));
    assert!(asked(&cluster).1 >= 7, "{:?}", cluster.requests());
}

#[tokio::test]
async fn a_version_that_is_gone_is_answered_by_a_new_list() {
    for is_line in [true, false] {
        let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
        let (one, other) = (guild.draft().await, guild.draft().await);
        cluster.put(guild.with_status("one", one, 1, open()));
        let orchestrator = guild.hears(watcher(&cluster));
        until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
        cluster.stop().await;
        cluster.put(guild.with_status("other", other, 1, open()));
        cluster.set_status("change", "one", decided("Ratified", 2));
        if is_line {
            cluster.forget();
        } else {
            // Some servers say it before they begin.
            cluster.fail_watches([Fault::Status(410)]);
        }
        cluster.come_back().await.unwrap();
        let feed = until(&orchestrator, |feed| feed.recorded == 3).await;
        assert_eq!((feed.known, feed.refused), (0, 0));
        assert_eq!(asked(&cluster).0, 2);
        assert_eq!(guild.states(one).await, [Drafted, CeremonyOpen, Ratified]);
        assert_eq!(guild.states(other).await, [Drafted, CeremonyOpen]);
    }
}

#[tokio::test]
async fn a_list_that_expires_between_its_pages_is_begun_anew() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (one, other) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("one", one, 1, open()));
    cluster.put(guild.with_status("other", other, 1, open()));
    cluster.fail_lists([Fault::None, Fault::Status(410)]);
    let orchestrator = guild.hears(watcher(&cluster).page_size(1));
    let feed = until(&orchestrator, |feed| feed.recorded == 2).await;
    assert_eq!((feed.known, feed.refused, feed.restarts), (0, 0, 1));
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_shown_and_tried_again_from_where_it_was() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (one, other) = (guild.draft().await, guild.draft().await);
    cluster.stop().await;
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.restarts >= 3).await;
    let message = feed.last_error.unwrap().message;
    let expected = "listing ceremonies in all namespaces: the API server is not reached";
    assert!(message.starts_with(expected) && message.contains("refused"), "{message}");
    assert!(!orchestrator.status().is_healthy());
    cluster.put(guild.with_status("one", one, 1, open()));
    cluster.come_back().await.unwrap();
    until(&orchestrator, |feed| feed.recorded == 1 && feed.is_healthy()).await;
    assert!(orchestrator.status().is_healthy());

    cluster.stop().await;
    until(&orchestrator, |feed| feed.state == FeedState::BackingOff).await;
    cluster.put(guild.with_status("other", other, 1, open()));
    cluster.come_back().await.unwrap();
    until(&orchestrator, |feed| feed.recorded == 2 && feed.is_healthy()).await;
    assert_eq!(asked(&cluster).0, 1, "the list was not asked for again");
}

#[tokio::test]
async fn a_server_that_forbids_or_has_too_much_to_do_is_shown_and_asked_again() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    cluster.put(guild.with_status("zone", id, 1, open()));
    cluster.forbid(Some("/ceremonies"));
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |feed| feed.restarts >= 2).await;
    let message = feed.last_error.unwrap().message;
    assert!(message.contains("it is forbidden (403)"), "{message}");
    assert!(message.contains("it may not be listed"), "{message}");
    assert!(!orchestrator.status().is_healthy());
    let says = |words: &'static str| {
        move |feed: &FeedStatus| feed.last_error.iter().any(|error| error.message.contains(words))
    };
    for (code, words) in [
        (503, "refuses (503)"),
        (404, "is its definition installed?"),
        (401, "the API server is not told who asks"),
    ] {
        cluster.fail_lists(std::iter::repeat_n(Fault::Status(code), 20));
        until(&orchestrator, says(words)).await;
    }
    cluster.forbid(None);
    until(&orchestrator, |feed| feed.recorded == 1).await;
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert!(feed.last_error.is_none(), "it is past");
    assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen]);
}

#[tokio::test]
async fn a_namespace_that_is_forbidden_keeps_no_other_from_being_heard() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let (heard, forbidden) = (guild.draft().await, guild.draft().await);
    cluster.put(guild.with_status("zone", heard, 1, open()));
    let mut object = guild.with_status("zone", forbidden, 1, open());
    object["metadata"]["namespace"] = "closed".into();
    cluster.put(object);
    cluster.forbid(Some("/namespaces/closed/"));
    let orchestrator = guild.hears(watcher(&cluster).namespaces(["closed", "change"]));
    let is_failing = |feed: &FeedStatus| feed.state == FeedState::BackingOff;
    let feed = until(&orchestrator, |feed| feed.recorded == 1 && is_failing(feed)).await;
    let message = feed.last_error.unwrap().message;
    assert!(message.starts_with("listing ceremonies in namespace closed: "), "{message}");
    assert!(!orchestrator.status().is_healthy());
    cluster.set_status("change", "zone", decided("Ratified", 2));
    until(&orchestrator, |feed| feed.recorded == 2 && is_failing(feed)).await;
    assert_eq!(guild.states(heard).await, [Drafted, CeremonyOpen, Ratified]);

    cluster.forbid(None);
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert_eq!((feed.recorded, feed.known, feed.restarts), (3, 0, 0));
    assert!(feed.last_error.is_none());
    let of_the_other = |path: &&String| path.contains("/namespaces/change/");
    assert_eq!(cluster.requests().iter().filter(of_the_other).count(), 2, "a list and a watch");
}

#[tokio::test]
async fn a_watch_whose_connection_died_without_a_word_is_begun_anew() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    cluster.fail_watches([Fault::SilenceAfterHead]);
    let orchestrator = guild.hears(watcher(&cluster).silence(Duration::from_millis(200)));
    until(&orchestrator, |feed| feed.is_healthy()).await;
    cluster.put(guild.with_status("zone", id, 1, open()));
    let feed = until(&orchestrator, |feed| feed.recorded == 1).await;
    assert_eq!((feed.restarts, asked(&cluster).0), (0, 1));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    cluster.put(guild.with_status("zone", id, 1, open()));
    cluster.fail_lists([Fault::Silence]);
    cluster.fail_watches([Fault::Silence]);
    let orchestrator = guild.hears(watcher(&cluster).patience(Duration::from_millis(300)));
    let feed = until(&orchestrator, |feed| feed.restarts == 1).await;
    let message = feed.last_error.unwrap().message;
    assert_eq!(message, "listing ceremonies in all namespaces: no answer within 300ms");
    let feed = until(&orchestrator, |feed| feed.restarts == 2).await;
    let message = feed.last_error.unwrap().message;
    assert_eq!(message, "watching ceremonies in all namespaces: no answer within 300ms");
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    assert_eq!((feed.recorded, feed.known), (1, 0));
}

#[tokio::test]
async fn it_counts_as_healthy_only_while_it_hears() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    cluster.fail_lists([Fault::Silence]);
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |_| asked(&cluster).0 == 1).await;
    assert_eq!((feed.state, feed.is_healthy()), (FeedState::Connecting, false), "no list is there");
    cluster.fail_watches([Fault::Silence]);
    let orchestrator = guild.hears(watcher(&cluster));
    let feed = until(&orchestrator, |_| asked(&cluster).1 == 1).await;
    assert_eq!((feed.state, feed.is_healthy()), (FeedState::Connecting, false), "nor a watch");
}

#[tokio::test]
async fn lines_that_are_not_understood_are_survived() {
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let id = guild.draft().await;
    let orchestrator = guild.hears(watcher(&cluster));
    until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
    cluster.tell("FOUND", serde_json::json!({ "kind": "Surprise" }));
    cluster.tell("ADDED", serde_json::json!(["no object"]));
    cluster.put(guild.with_status("zone", id, 1, open()));
    let feed = until(&orchestrator, |feed| feed.recorded == 1).await;
    assert_eq!((feed.refused, feed.restarts), (1, 0));
    assert!(feed.refusals[0].reason.contains("metadata cannot be read"), "{:?}", feed.refusals);
}
