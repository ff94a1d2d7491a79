//! What feeds hand over is recorded once, and what cannot be is shown.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::command::Command;
use guildhall_core::{ArtifactId, CeremonyId, Cid, CustodyState, Position};
use guildhall_projector::ceremony::{
    CeremonyFeed, CeremonyOrchestrator, CeremonyOutcome, CeremonyReport, FeedError, FeedState,
    Intake, Step,
};
use tokio::time::timeout;

use crate::{Guild, act, content, until, within};

/// Fails, panics or hands over what it is told to, one script a run; then it listens for ever.
struct Scripted {
    runs: Mutex<VecDeque<Script>>,
    begun: AtomicUsize,
}

enum Script {
    Hears(Vec<CeremonyReport>),
    Fails,
    Panics,
}

impl Scripted {
    fn new(runs: impl IntoIterator<Item = Script>) -> Arc<Self> {
        let runs = Mutex::new(runs.into_iter().collect());
        Arc::new(Self { runs, begun: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl CeremonyFeed for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let script = self.runs.lock().unwrap().pop_front();
        match script {
            Some(Script::Hears(steps)) => {
                for step in steps {
                    intake.take(step).await?;
                }
                Err("the connection broke".into())
            }
            Some(Script::Fails) => Err("unreachable".into()),
            Some(Script::Panics) => panic!("on purpose"),
            None => {
                intake.listening();
                std::future::pending().await
            }
        }
    }
}

pub(super) fn heard(
    artifact_id: ArtifactId,
    ceremony_id: CeremonyId,
    step: Step,
    second: i64,
) -> CeremonyReport {
    let identity = format!("ceremony-{ceremony_id}");
    CeremonyReport { identity, artifact_id, ceremony_id, cid: None, step, act: act(second) }
}

#[tokio::test]
async fn what_a_feed_hears_again_is_recorded_once_also_after_a_restart() {
    let guild = Guild::in_memory();
    let (id, ceremony) = (guild.draft().await, CeremonyId::new());
    let rejected = Step::Closed(CeremonyOutcome::Rejected);
    let steps = || vec![heard(id, ceremony, Step::Opened, 1), heard(id, ceremony, rejected, 2)];
    let twice = Scripted::new([
        Script::Hears(steps()),
        Script::Fails,
        Script::Panics,
        Script::Hears(steps()),
    ]);
    let orchestrator = guild.orchestrator().feed(twice.clone()).start();
    let broke = |message: &str| message == "the connection broke";
    until(&orchestrator, |it| {
        let feed = it.status().feeds.remove(0);
        feed.restarts == 4 && feed.last_error.is_some_and(|error| broke(&error.message))
    })
    .await;
    until(&orchestrator, |it| it.status().is_healthy()).await;
    let feed = orchestrator.status().feeds[0].clone();
    assert_eq!((feed.recorded, feed.known, feed.refused), (2, 2, 0));
    assert!(feed.last_error.is_none(), "it listens: that is past");
    within(orchestrator.shutdown()).await;
    assert_eq!(orchestrator.status().feeds[0].state, FeedState::Stopped);

    let again = Scripted::new([Script::Hears(steps())]);
    let orchestrator = guild.orchestrator().feed(again).start();
    until(&orchestrator, |it| it.status().feeds[0].restarts == 1).await;
    let feed = orchestrator.status().feeds[0].clone();
    assert_eq!((feed.recorded, feed.known), (0, 2));
    assert_eq!(guild.chronicle.head().await.unwrap().position, Position::new(5));
    within(guild.runtime.wait_until(Position::new(5))).await.unwrap();
    let chain = guild.ops_db.chain(id, None, 10).await.unwrap().rows;
    assert_eq!(chain.last().unwrap().to_state, CustodyState::Rejected);
}

#[tokio::test]
async fn a_step_that_breaks_an_invariant_is_shown_and_stops_nothing() {
    let guild = Guild::in_memory();
    let (id, ceremony) = (guild.draft().await, CeremonyId::new());
    let ratified = Step::Closed(CeremonyOutcome::Ratified);
    let elsewhere = CeremonyReport {
        cid: Some(Cid::from_digest([7; 32])),
        ..heard(id, CeremonyId::new(), Step::Opened, 1)
    };
    let steps = vec![
        heard(id, CeremonyId::new(), ratified, 1),
        elsewhere,
        heard(ArtifactId::new(), CeremonyId::new(), Step::Opened, 1),
        CeremonyReport { cid: Some(Cid::of(&content())), ..heard(id, ceremony, Step::Opened, 1) },
        heard(id, CeremonyId::new(), ratified, 2),
        heard(id, ceremony, ratified, 2),
    ];
    let orchestrator = guild.orchestrator().feed(Scripted::new([Script::Hears(steps)])).start();
    until(&orchestrator, |it| it.status().feeds[0].restarts == 1).await;
    let feed = orchestrator.status().feeds[0].clone();
    assert_eq!((feed.recorded, feed.known, feed.refused), (2, 0, 4));
    let codes: Vec<&str> = feed.refusals.iter().map(|refusal| &refusal.reason[..4]).collect();
    assert_eq!(codes, ["CC04", "CC08", "CC11", "CC09"]);
}

/// Hands over the same steps whenever it is told to.
struct Insistent {
    steps: Vec<CeremonyReport>,
    again: tokio::sync::Notify,
}

impl Insistent {
    fn new(steps: impl IntoIterator<Item = CeremonyReport>) -> Arc<Self> {
        Arc::new(Self { steps: steps.into_iter().collect(), again: tokio::sync::Notify::new() })
    }
}

#[async_trait]
impl CeremonyFeed for Insistent {
    fn name(&self) -> &str {
        "insistent"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        loop {
            intake.connecting();
            for step in self.steps.clone() {
                intake.take(step).await?;
            }
            intake.listening();
            self.again.notified().await;
        }
    }
}

#[tokio::test]
async fn what_is_refused_again_and_again_counts_once_and_until_it_is_recorded() {
    let guild = Guild::in_memory();
    let (id, first, second) = (guild.draft().await, CeremonyId::new(), CeremonyId::new());
    let [ratified, rejected] =
        [CeremonyOutcome::Ratified, CeremonyOutcome::Rejected].map(Step::Closed);
    guild.record(Command::open_ceremony(id, first, act(1))).await;
    let opened = heard(id, second, Step::Opened, 3);
    let feed = Insistent::new([opened.clone(), heard(id, second, rejected, 4), opened]);
    let orchestrator = guild.orchestrator().feed(feed.clone()).start();
    let counts = |it: &CeremonyOrchestrator| {
        let feed = it.status().feeds.remove(0);
        let shown = feed.refusals.len();
        (feed.state == FeedState::Listening).then_some((feed.refused, feed.ever_refused, shown))
    };
    until(&orchestrator, |it| counts(it) == Some((1, 1, 1))).await;
    guild.record(Command::close_ceremony(id, first, CustodyState::Drafted, act(2))).await;
    feed.again.notify_one();
    until(&orchestrator, |it| counts(it) == Some((0, 1, 0))).await;
    assert_eq!(orchestrator.status().feeds[0].recorded, 2);
    within(orchestrator.shutdown()).await;

    // That its opening is known takes back nothing that is said of its end.
    let feed = Insistent::new([Step::Opened, ratified].map(|step| heard(id, second, step, 4)));
    let orchestrator = guild.orchestrator().feed(feed.clone()).start();
    for round in 1..=2 {
        until(&orchestrator, |it| it.status().feeds[0].known == round).await;
        until(&orchestrator, |it| counts(it) == Some((1, 1, 1))).await;
        feed.again.notify_one();
    }
}

/// Ignores that it is to stop until it is let go.
struct Stubborn {
    begun: tokio::sync::Notify,
    let_go: Mutex<std::sync::mpsc::Receiver<()>>,
    has_ended: AtomicUsize,
}

#[async_trait]
impl CeremonyFeed for Stubborn {
    fn name(&self) -> &str {
        "stubborn"
    }

    async fn run(&self, _: &Intake) -> Result<(), FeedError> {
        self.begun.notify_one();
        // It holds its thread, as nothing should: an abort has to wait.
        let _ = self.let_go.lock().unwrap().recv();
        self.has_ended.store(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_waits_until_the_feeds_have_ended() {
    let guild = Guild::in_memory();
    let (let_go, held) = std::sync::mpsc::channel();
    let feed = Arc::new(Stubborn {
        begun: tokio::sync::Notify::new(),
        let_go: Mutex::new(held),
        has_ended: AtomicUsize::new(0),
    });
    let orchestrator = guild.orchestrator().feed(feed.clone()).start();
    within(feed.begun.notified()).await;
    let mut shutdown = std::pin::pin!(orchestrator.shutdown());
    let early = timeout(Duration::from_millis(100), &mut shutdown).await;
    assert!(early.is_err(), "the feed is at work");
    let_go.send(()).unwrap();
    within(shutdown).await;
    assert_eq!(feed.has_ended.load(Ordering::SeqCst), 1);
    assert_eq!(orchestrator.status().feeds[0].state, FeedState::Stopped);
}

/// Says how it is doing, one thing at a time.
struct Candid(tokio::sync::Notify);

#[async_trait]
impl CeremonyFeed for Candid {
    fn name(&self) -> &str {
        "candid"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        self.0.notified().await;
        intake.refuse("object 7".to_owned(), None, "it names no artifact".to_owned());
        intake.listening();
        self.0.notified().await;
        intake.failing(&std::io::Error::other("half of it is away"));
        self.0.notified().await;
        intake.resolve("object 7");
        intake.listening();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_feed_says_that_it_does_not_hear_yet_and_what_it_cannot_hand_over() {
    let guild = Guild::in_memory();
    let candid = Arc::new(Candid(tokio::sync::Notify::new()));
    let orchestrator = guild.orchestrator().feed(candid.clone()).start();
    until(&orchestrator, |it| it.status().feeds[0].state == FeedState::Connecting).await;
    assert!(!orchestrator.status().is_healthy(), "it hears nothing");
    candid.0.notify_one();
    until(&orchestrator, |it| it.status().is_healthy()).await;
    let feed = orchestrator.status().feeds[0].clone();
    assert_eq!((feed.state, feed.refused), (FeedState::Listening, 1));
    let refusal = &feed.refusals[0];
    assert_eq!((refusal.artifact_id, &*refusal.identity), (None, "object 7"));
    assert_eq!(refusal.reason, "it names no artifact");
    candid.0.notify_one();
    until(&orchestrator, |it| it.status().feeds[0].state == FeedState::BackingOff).await;
    let feed = orchestrator.status().feeds[0].clone();
    assert_eq!(feed.last_error.unwrap().message, "half of it is away");
    candid.0.notify_one();
    until(&orchestrator, |it| it.status().is_healthy()).await;
    let feed = orchestrator.status().feeds[0].clone();
    assert_eq!((feed.refused, feed.ever_refused, feed.refusals.len()), (0, 1, 0));
    assert!(feed.last_error.is_none());
}
