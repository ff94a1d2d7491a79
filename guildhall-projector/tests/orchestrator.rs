//! The orchestrator: who subscribes is told what can be queried, and what feeds hear is recorded
//! once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod support;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_conformance::faults::{Faulty, Mishap};
use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{
    AccordBound, Append, ArtifactId, ArtifactRegistered, CeremonyId, Chronicle, Cid, CustodyPolicy,
    CustodyState, DeploymentObserved, Event, Health, Json, NewEntry, OpsDb, Outcome, Position,
    Tier, Timestamp, VerificationRecorded,
};
use guildhall_projector::ceremony::{
    CeremonyFeed, CeremonyOrchestrator, CeremonyOutcome, CeremonyReport, Change, Delivery,
    FeedError, FeedState, Intake, Missed, Notice, Step, Subscription, Topic,
};
use guildhall_projector::{Runtime, Settings, State};
use guildhall_store_sqlite::SqliteStore;
use support::settings;
use tokio::time::timeout;

/// How long anything here may take.
const SOON: Duration = Duration::from_secs(20);

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it hangs")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

fn act(second: i64) -> Act {
    Act::new("ada", "because", at(second))
}

/// Stores, what projects them and what records into them.
struct Guild {
    chronicle: Arc<dyn Chronicle>,
    ops_db: Arc<dyn OpsDb>,
    runtime: Runtime,
    recorder: Recorder,
}

impl Guild {
    fn in_memory() -> Self {
        Self::on(Arc::new(MemoryChronicle::new()))
    }

    fn on(chronicle: Arc<MemoryChronicle>) -> Self {
        let ops_db = MemoryOpsDb::new();
        let projector = Arc::new(ops_db.projector());
        let runtime = Runtime::spawn(chronicle.clone(), projector, settings());
        Self::of(chronicle, Arc::new(ops_db), runtime)
    }

    fn of(chronicle: Arc<dyn Chronicle>, ops_db: Arc<dyn OpsDb>, runtime: Runtime) -> Self {
        let recorder = Recorder::new(Arc::clone(&chronicle), CustodyPolicy::standard());
        Self { chronicle, ops_db, runtime, recorder }
    }

    async fn record(&self, command: impl Into<Command> + Send) -> Position {
        self.recorder.record(command).await.unwrap().position
    }

    /// A drafted artifact under an accord of its own: three entries.
    async fn draft(&self) -> ArtifactId {
        let accord = AccordBound::new("change control", "board", Json::parse("{}").unwrap(), at(0));
        let artifact = ArtifactRegistered::new(
            accord.accord_id,
            "dns_zone",
            "example.com",
            Tier::ALL[0],
            content(),
            "https://example.com/zone.json",
        );
        let id = artifact.artifact_id;
        self.record(accord).await;
        self.record(artifact).await;
        self.record(Command::transition(id, CustodyState::Drafted, act(0))).await;
        id
    }

    fn orchestrator(&self) -> guildhall_projector::ceremony::OrchestratorOptions {
        CeremonyOrchestrator::new(Arc::clone(&self.chronicle), Arc::clone(&self.ops_db))
            .settings(settings())
            .woken_by(Arc::new(self.runtime.clone()))
    }
}

fn content() -> Json {
    Json::parse(r#"{"ttl":300}"#).unwrap()
}

fn seen(artifact_id: ArtifactId, second: i64) -> DeploymentObserved {
    DeploymentObserved {
        artifact_id,
        desired_cid: Cid::of(&content()),
        detail: Json::null(),
        observed_at: at(second),
        observed_cid: None,
        target: "eu".to_owned(),
    }
}

async fn notice(subscription: &mut Subscription) -> Arc<Notice> {
    match within(subscription.next()).await {
        Some(Delivery::Notice(notice)) => notice,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_change_is_told_once_under_its_topics_and_can_be_queried() {
    let guild = Guild::in_memory();
    let (id, other) = (guild.draft().await, guild.draft().await);
    within(guild.runtime.wait_until(Position::new(6))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let mut ceremonies = within(orchestrator.subscribe([Topic::CeremoniesOf(id)])).await.unwrap();
    let mut posture = within(orchestrator.subscribe([Topic::PostureOf(id)])).await.unwrap();
    let mut all =
        within(orchestrator.subscribe([Topic::AllCeremonies, Topic::AllPostures])).await.unwrap();
    let after = all.position();
    let ceremony = CeremonyId::new();
    guild.record(Command::open_ceremony(other, CeremonyId::new(), act(1))).await;
    let opened = guild.record(Command::open_ceremony(id, ceremony, act(1))).await;
    let told = notice(&mut ceremonies).await;
    let (actor, reason) = ("ada".to_owned(), "because".to_owned());
    assert_eq!(told.position, opened);
    assert_eq!(
        told.change,
        Change::CeremonyOpened {
            ceremony_id: Some(ceremony),
            actor: actor.clone(),
            reason: reason.clone()
        }
    );
    let open = guild.ops_db.open_ceremonies(None, 10).await.unwrap().rows;
    assert!(open.iter().any(|row| row.opened.position == opened), "the notice can be queried");
    guild.record(Command::close_ceremony(id, ceremony, CustodyState::Ratified, act(2))).await;
    let outcome = CeremonyOutcome::Ratified;
    let closed = notice(&mut ceremonies).await;
    assert_eq!(
        closed.change,
        Change::CeremonyClosed { ceremony_id: Some(ceremony), outcome, actor, reason }
    );
    let rows = guild.ops_db.closed_ceremonies(None, 10).await.unwrap().rows;
    assert_eq!(rows[0].closed.position, closed.position);

    guild.record(Command::transition(id, CustodyState::Deployed, act(3))).await;
    guild.record(seen(id, 4)).await;
    let verdict = VerificationRecorded {
        artifact_id: id,
        evidence: Json::null(),
        outcome: Outcome::Passed,
        target: None,
        verified_at: at(5),
        verifier: "scanner".to_owned(),
    };
    let last = guild.record(verdict).await;
    let moved = notice(&mut posture).await;
    assert!(matches!(moved.change, Change::CustodyMoved { to_state: CustodyState::Deployed, .. }));
    assert_eq!(
        notice(&mut posture).await.change,
        Change::DeploymentObserved { target: "eu".to_owned(), health: Health::Unknown }
    );
    assert!(matches!(
        notice(&mut posture).await.change,
        Change::VerificationRecorded { outcome: Outcome::Passed, target: None, .. }
    ));
    // Whoever hears of everything hears of each once, in order; the past tells the same.
    let mut heard = Vec::new();
    while heard.last().is_none_or(|notice: &Notice| notice.position < last) {
        heard.push(Notice::clone(&*notice(&mut all).await));
    }
    assert_eq!(heard.len(), 6);
    assert!(heard.windows(2).all(|pair| pair[0].position < pair[1].position));
    let topics = [Topic::AllCeremonies, Topic::AllPostures];
    let past = orchestrator.catch_up(&topics, after, Position::MAX).await.unwrap();
    assert!(past.is_done && past.position == last);
    assert_eq!(past.notices, heard);
    assert_eq!((ceremonies.try_next(), posture.try_next()), (None, None));
    assert!(orchestrator.status().is_healthy());
    assert_eq!(orchestrator.status().notices, 6);
}

#[tokio::test]
async fn what_goes_to_quarantine_is_not_told() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let mut all =
        within(orchestrator.subscribe([Topic::AllCeremonies, Topic::AllPostures])).await.unwrap();
    let broken = NewEntry::new(&Event::from(seen(ArtifactId::new(), 1)));
    let sound = NewEntry::new(&Event::from(seen(id, 1)));
    let appended = guild.chronicle.append(Append::of([broken.clone(), sound, broken])).await;
    assert!(appended.is_ok());
    assert_eq!(notice(&mut all).await.position, Position::new(5));
    assert_eq!(guild.ops_db.overview().await.unwrap().quarantined, 1);
    assert_eq!(all.try_next(), None);
}

#[tokio::test]
async fn a_slow_subscriber_holds_nobody_up_and_reads_what_it_missed_by_position() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().queued_notices(3).start();
    let mut slow = within(orchestrator.subscribe([Topic::AllPostures])).await.unwrap();
    let mut last = Position::ZERO;
    for second in 0..1500 {
        let entries = [NewEntry::new(&Event::from(seen(id, second)))];
        last = guild.chronicle.append(Append::of(entries)).await.unwrap()[0].position;
    }
    // It has read nothing yet, and everything went on.
    let mut position = Position::ZERO;
    while position < last {
        position = within(orchestrator.moved_from(position)).await.unwrap();
    }
    let mut heard = Vec::new();
    let missed = loop {
        match within(slow.next()).await.unwrap() {
            Delivery::Notice(notice) => heard.push(Notice::clone(&notice)),
            Delivery::Missed(missed) => break missed,
        }
    };
    assert_eq!((heard.len(), missed.count), (3, 1497));
    let Missed { mut after, through, .. } = missed;
    let topics = [Topic::PostureOf(id)];
    loop {
        let past = orchestrator.catch_up(&topics, after, through).await.unwrap();
        heard.extend(past.notices);
        after = past.position;
        if past.is_done {
            break;
        }
    }
    let positions: Vec<u64> = heard.iter().map(|notice| notice.position.get()).collect();
    assert_eq!(positions, (4..=1503).collect::<Vec<_>>());
    assert_eq!(orchestrator.status().missed, 1497);
}

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

fn heard(
    artifact_id: ArtifactId,
    ceremony_id: CeremonyId,
    step: Step,
    second: i64,
) -> CeremonyReport {
    let identity = format!("ceremony-{ceremony_id}");
    CeremonyReport { identity, artifact_id, ceremony_id, cid: None, step, act: act(second) }
}

async fn until(orchestrator: &CeremonyOrchestrator, what: impl Fn(&CeremonyOrchestrator) -> bool) {
    within(async {
        while !what(orchestrator) {
            tokio::task::yield_now().await;
        }
    })
    .await;
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

#[tokio::test]
async fn a_failure_that_passes_is_survived_and_one_that_does_not_ends_it() {
    let chronicle = Arc::new(MemoryChronicle::new());
    let guild = Guild::on(Arc::clone(&chronicle));
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let mishaps = [Mishap::Transient, Mishap::AnswerLost, Mishap::None, Mishap::Permanent];
    let chronicle = Arc::new(Faulty::new(MemoryChronicle::clone(&chronicle), mishaps));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).settings(settings()).start();
    let mut postures = within(orchestrator.subscribe([Topic::AllPostures])).await.unwrap();
    guild.record(seen(id, 1)).await;
    assert_eq!(notice(&mut postures).await.position, Position::new(4));
    assert_eq!(orchestrator.status().restarts, 2);
    guild.record(seen(id, 2)).await;
    assert_eq!(within(postures.next()).await, None, "the subscription ends");
    until(&orchestrator, |it| it.status().state == State::Failed).await;
    assert!(!orchestrator.status().is_healthy());
    assert!(within(orchestrator.subscribe([Topic::AllPostures])).await.is_err());
}

#[tokio::test]
async fn a_panic_ends_it_as_a_failure_that_does_not_pass_does() {
    let chronicle = Arc::new(MemoryChronicle::new());
    let guild = Guild::on(Arc::clone(&chronicle));
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let chronicle = Arc::new(Faulty::new(MemoryChronicle::clone(&chronicle), [Mishap::Panic]));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).settings(settings()).start();
    let mut postures = within(orchestrator.subscribe([Topic::AllPostures])).await.unwrap();
    guild.record(seen(id, 1)).await;
    assert_eq!(within(postures.next()).await, None, "the subscription ends");
    until(&orchestrator, |it| it.status().state == State::Failed).await;
    let error = orchestrator.status().last_error.unwrap().message;
    assert!(error.starts_with("a task panicked") && error.contains("on purpose"), "{error}");
    assert!(within(orchestrator.moved_from(Position::new(3))).await.is_err());
    within(orchestrator.shutdown()).await;
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

#[tokio::test]
async fn who_subscribes_to_nothing_has_nothing_read_and_hears_where_things_stand() {
    let chronicle = Arc::new(MemoryChronicle::new());
    let guild = Guild::on(Arc::clone(&chronicle));
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let chronicle = Arc::new(Faulty::new(MemoryChronicle::clone(&chronicle), []));
    let ops_db = Arc::clone(&guild.ops_db);
    let options = CeremonyOrchestrator::new(chronicle.clone(), ops_db).settings(settings());
    let orchestrator = options.start();
    let mut nothing = within(orchestrator.subscribe([])).await.unwrap();
    let last = guild.record(seen(id, 1)).await;
    assert_eq!(within(orchestrator.moved_from(Position::new(3))).await.unwrap(), last);
    assert_eq!(chronicle.calls.load(Ordering::Relaxed), 0, "the log is not read");
    assert_eq!(nothing.try_next(), None);
}

#[tokio::test]
async fn a_dropped_orchestrator_ends_its_subscriptions() {
    let guild = Guild::in_memory();
    let orchestrator = guild.orchestrator().start();
    let mut subscription = within(orchestrator.subscribe([Topic::AllCeremonies])).await.unwrap();
    drop(orchestrator);
    assert_eq!(within(subscription.next()).await, None);
}

/// Two handles on one file, as two processes have: one projects, the other one is told.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_what_another_process_projects_is_told_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let (here, there) =
        (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    let projector = Arc::new(there.projector().start().unwrap());
    let runtime = Runtime::spawn(Arc::new(there.chronicle()), projector, Settings::default());
    let guild = Guild::of(Arc::new(there.chronicle()), Arc::new(there.ops_db()), runtime);
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();

    let ops_db = here.ops_db();
    let orchestrator =
        CeremonyOrchestrator::new(Arc::new(here.chronicle()), Arc::new(ops_db.clone())).start();
    let mut ceremonies = within(orchestrator.subscribe([Topic::AllCeremonies])).await.unwrap();
    for round in 1..=20 {
        let ceremony = CeremonyId::new();
        let opened = guild.record(Command::open_ceremony(id, ceremony, act(2 * round))).await;
        assert_eq!(notice(&mut ceremonies).await.position, opened);
        let open = ops_db.open_ceremonies(None, 10).await.unwrap().rows;
        assert_eq!(open.first().and_then(|row| row.ceremony_id), Some(ceremony));
        let withdrawn = CustodyState::Drafted;
        let close = Command::close_ceremony(id, ceremony, withdrawn, act(2 * round + 1));
        guild.record(close).await;
        let closed = notice(&mut ceremonies).await;
        let is_withdrawn = CeremonyOutcome::Withdrawn;
        assert!(
            matches!(closed.change, Change::CeremonyClosed { outcome, .. } if outcome == is_withdrawn)
        );
        assert_eq!(ops_db.overview().await.unwrap().open_ceremonies, 0);
    }
    within(orchestrator.shutdown()).await;
    within(guild.runtime.shutdown()).await.unwrap();
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
