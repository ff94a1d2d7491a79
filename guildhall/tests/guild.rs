//! A guild in memory, and what is true of all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::{act, assert_nothing_is_quarantined, draft_zone, honours_its_policy, soon};
use common::{state, suspend_drafts, work_through_a_day, zone};
use guildhall::core::command::Clock;
use guildhall::prelude::*;
use guildhall::projector::ceremony::{
    CeremonyFeed, CeremonyReport, FeedError, Intake, IntakeOutcome, Step,
};
use guildhall::{GuildError, Source};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_day_in_memory() {
    work_through_a_day(&Guild::in_memory()).await;
}

#[tokio::test]
async fn a_policy_given_once_is_everybodys_in_memory() {
    honours_its_policy(Guild::builder(Source::Memory)).await;
}

/// Hears of one ceremony, and tells what became of it.
struct OneCeremony {
    artifact_id: ArtifactId,
    taken: mpsc::UnboundedSender<IntakeOutcome>,
}

#[async_trait]
impl CeremonyFeed for OneCeremony {
    fn name(&self) -> &str {
        "one"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        intake.listening();
        let (artifact_id, ceremony_id) = (self.artifact_id, CeremonyId::new());
        let (identity, step) = ("one".to_owned(), Step::Opened);
        let heard =
            CeremonyReport { identity, artifact_id, ceremony_id, cid: None, step, act: act() };
        Ok(self.taken.send(intake.take(heard).await?)?)
    }
}

#[tokio::test]
async fn a_feed_is_heard_while_the_guild_runs_and_held_to_its_policy_and_clock() {
    let new_year: Timestamp = "2026-01-01T00:00:00.000000Z".parse().unwrap();
    let of_new_year = Clock::from_fn(move || new_year);
    for (policy, clock, is_taken) in [
        (CustodyPolicy::standard(), Clock::system(), true),
        (suspend_drafts(), Clock::system(), false),
        (CustodyPolicy::standard(), of_new_year, false),
    ] {
        let (accord, zone) = zone();
        let artifact_id = zone.artifact_id;
        let (taken, mut told) = mpsc::unbounded_channel();
        let feed = Arc::new(OneCeremony { artifact_id, taken });
        let builder = Guild::builder(Source::Memory).policy(policy).clock(clock).feed(feed);
        let guild = builder.open().await.unwrap();
        guild.recorder().record(accord).await.unwrap();
        guild.recorder().record(zone).await.unwrap();
        let act = Act::new("ada", "why", new_year);
        let draft = Command::transition(artifact_id, CustodyState::Drafted, act);
        guild.recorder().record(draft).await.unwrap();
        guild.run();
        let told = soon(told.recv()).await.unwrap();
        assert_eq!(matches!(told, IntakeOutcome::Recorded { .. }), is_taken, "{told:?}");
        soon(guild.close()).await.unwrap();
    }
}

#[tokio::test]
async fn what_runs_is_answered_and_what_was_shut_down_is_started_anew() {
    let guild = Guild::in_memory();
    let first = guild.run();
    soon(guild.run().shutdown()).await.unwrap();
    assert!(first.status().state.is_final());
    let (id, drafted) = draft_zone(&guild).await;
    soon(guild.run().wait_until(drafted)).await.unwrap();
    assert_eq!(state(&guild, id).await, Some(CustodyState::Drafted));
    assert_nothing_is_quarantined(&guild).await;
    soon(guild.close()).await.unwrap();
}

#[tokio::test]
async fn what_the_last_handle_of_a_guild_ran_ends_with_it() {
    let guild = Guild::in_memory();
    guild.run();
    let mut subscription = guild.orchestrator().subscribe([Topic::AllCeremonies]).await.unwrap();
    drop(guild);
    assert!(soon(subscription.next()).await.is_none());
}

#[tokio::test]
async fn a_clock_given_once_is_the_recorders() {
    let new_year = "2026-01-01T00:00:00.000000Z".parse().unwrap();
    let clock = Clock::from_fn(move || new_year);
    let guild = Guild::builder(Source::Memory).clock(clock).open().await.unwrap();
    let (accord, zone) = zone();
    let artifact_id = zone.artifact_id;
    guild.recorder().record(accord).await.unwrap();
    guild.recorder().record(zone).await.unwrap();
    let draft = Command::transition(artifact_id, CustodyState::Drafted, act());
    let refused = guild.recorder().record(draft).await;
    assert!(matches!(refused, Err(RecordError::InFuture(_))), "{refused:?}");
}

#[tokio::test]
async fn nothing_shows_a_password() {
    let url = "postgres://app:hunter2@127.0.0.1:1/ops?hunter2=hunter2";
    let builder = Guild::builder(url);
    let mut shown = vec![format!("{builder:?}")];
    for url in [url, "postgre://app:hunter2@db/ops", "app:hunter2@db/ops"] {
        let error = soon(Guild::open(url)).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            shown.push(format!("{error} {error:?}"));
            cause = error.source();
        }
    }
    shown.push(format!("{:?}", Guild::in_memory()));
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_kind_that_was_left_out_names_its_feature() {
    let kinds = [
        ("postgres://app@127.0.0.1:1/ops", "postgres", cfg!(feature = "postgres")),
        ("sqlite:/nowhere/guildhall.db", "sqlite", cfg!(feature = "sqlite")),
        ("/nowhere/guildhall.db", "sqlite", cfg!(feature = "sqlite")),
    ];
    for (url, expected, _) in kinds.into_iter().filter(|(_, _, is_built)| !is_built) {
        match Guild::open(url).await {
            Err(error @ GuildError::NotBuilt { feature, .. }) => {
                assert_eq!(feature, expected);
                assert!(error.to_string().contains(expected), "{error}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
}
