//! Ceremonies and posture, live: changes are reported to subscribers, and feeds report how
//! ceremonies begin and end.
//!
//! The orchestrator follows the Ops DB's checkpoint, whichever process moves it, and reports to
//! subscribers what was applied: a query prompted by a [`Notice`] finds what it reports. It never
//! waits for a subscriber. It decides nothing: what a [`CeremonyFeed`] receives becomes an entry
//! through the checked append or is refused, and ceremonies change here in no other way.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use guildhall_core::command::{Act, Command, Recorder};
//! use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
//! use guildhall_core::*;
//! use guildhall_projector::ceremony::{CeremonyOrchestrator, Change, Delivery, Topic};
//! use guildhall_projector::{Runtime, Settings};
//!
//! let (chronicle, ops_db) = (Arc::new(MemoryChronicle::new()), Arc::new(MemoryOpsDb::new()));
//! let projector = Arc::new(ops_db.projector());
//! let runtime = Runtime::spawn(chronicle.clone(), projector, Settings::default());
//! let orchestrator = CeremonyOrchestrator::new(chronicle.clone(), ops_db.clone())
//!     .woken_by(Arc::new(runtime.clone()))
//!     .start();
//! let mut ceremonies = orchestrator.subscribe([Topic::AllCeremonies]).await?;
//!
//! let recorder = Recorder::new(chronicle, CustodyPolicy::standard());
//! let act = || Ok::<_, TimestampError>(Act::new("ada", "why", "2026-11-23T10:05:00Z".parse()?));
//! let accord = AccordBound::new("change control", "board", Json::parse("{}")?, act()?.occurred_at);
//! let zone = ArtifactRegistered::new(accord.accord_id, "dns_zone", "example.com", Tier::ZERO,
//!     Json::parse("{}")?, "https://example.com/zone.json");
//! let artifact_id = zone.artifact_id;
//! recorder.record(accord).await?;
//! recorder.record(zone).await?;
//! recorder.record(Command::transition(artifact_id, CustodyState::Drafted, act()?)).await?;
//! recorder.record(Command::open_ceremony(artifact_id, CeremonyId::new(), act()?)).await?;
//!
//! let Some(Delivery::Notice(notice)) = ceremonies.next().await else { panic!() };
//! assert!(matches!(notice.change, Change::CeremonyOpened { .. }));
//! assert_eq!(ops_db.overview().await?.open_ceremonies, 1);
//! # Ok(())
//! # }
//! ```

mod feed;
mod follower;
mod notice;
mod open;
mod sink;
mod subscription;
#[cfg(feature = "webhook")]
mod webhook;

use std::sync::Arc;

use guildhall_core::command::{Clock, Recorder};
use guildhall_core::{Chronicle, CustodyPolicy, OpsDb, Position, StoreError, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

pub use feed::{
    COUNTED_REFUSALS, CeremonyFeed, CeremonyReport, FeedError, FeedState, FeedStatus, Intake,
    IntakeOutcome, KEPT_REFUSALS, Refusal, Step,
};
pub use guildhall_core::Wakeup;
pub use notice::{CeremonyOutcome, Change, Notice, Seen, Topic, TopicError, TopicKind};
pub use sink::{
    DeliveryId, NoticeSink, Silence, Silences, SinkError, SinkOptions, SinkStatus, SinkTask,
};
#[cfg(feature = "webhook")]
pub use webhook::{Webhook, WebhookError, WebhookSecret, WebhookSettings};

pub use subscription::{Delivery, Missed, Subscription};

use crate::backoff::Backoff;
use crate::error::RuntimeError;
use crate::runtime::stop_requested;
use crate::settings::Settings;
use crate::status::{LastError, State, chain};
use follower::{Follower, Source};
use subscription::Hub;

/// How many deliveries wait for a subscriber at most, unless set otherwise.
pub const QUEUED_NOTICES: usize = 1024;

/// What an orchestrator is made of, before it starts.
#[must_use = "nothing is orchestrated until it is started"]
pub struct OrchestratorOptions {
    chronicle: Arc<dyn Chronicle>,
    ops_db: Arc<dyn OpsDb>,
    policy: CustodyPolicy,
    clock: Clock,
    settings: Settings,
    queued_notices: usize,
    wakeup: Option<Arc<dyn Wakeup>>,
    feeds: Vec<Arc<dyn CeremonyFeed>>,
}

impl std::fmt::Debug for OrchestratorOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OrchestratorOptions")
            .field("settings", &self.settings)
            .field("queued_notices", &self.queued_notices)
            .field("feeds", &self.feeds.iter().map(|feed| feed.name()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl OrchestratorOptions {
    /// The policy that feeds are held to; [`CustodyPolicy::standard`] by default. Give it the
    /// projector's.
    pub fn policy(self, policy: CustodyPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The clock that reports of feeds are compared with, and how much later it may be: what says that
    /// it happens after that is refused until it is mended or true. The host's and five minutes by
    /// default.
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Patience and pauses; of [`Settings`], reading and batches do not matter here.
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// How many deliveries wait for a subscriber at most; [`QUEUED_NOTICES`] by default.
    pub fn queued_notices(self, queued_notices: usize) -> Self {
        Self { queued_notices, ..self }
    }

    /// What announces that the Ops DB has moved, such as this process's [`Runtime`](crate::Runtime).
    /// Without, the Chronicle does, a little later.
    pub fn woken_by(self, wakeup: Arc<dyn Wakeup>) -> Self {
        Self { wakeup: Some(wakeup), ..self }
    }

    /// A source of ceremonies' steps.
    pub fn feed(mut self, feed: Arc<dyn CeremonyFeed>) -> Self {
        self.feeds.push(feed);
        self
    }

    /// Starts it, on the current Tokio runtime.
    #[must_use = "the orchestrator stops when the last handle on it is dropped"]
    pub fn start(self) -> CeremonyOrchestrator {
        let (stop, stopping) = watch::channel(false);
        let (status_sender, status) = watch::channel(FollowStatus::starting());
        let hub = Arc::new(Hub::new(self.queued_notices));
        let source = Arc::new(Source { chronicle: self.chronicle.clone(), ops_db: self.ops_db });
        let recorder = Recorder::new(self.chronicle, self.policy).by_clock(self.clock);
        let recorder = Arc::new(recorder);
        let mut tasks = JoinSet::new();
        let mut feeds = Vec::new();
        for feed in self.feeds {
            let (status, watched) = watch::channel(FeedStatus::starting(feed.name()));
            let (recorder, settings) = (Arc::clone(&recorder), self.settings.clone());
            let source = Arc::clone(&source);
            let intake = Intake::new(feed.name(), recorder, source, settings.clone(), status);
            let intake = Arc::new(intake);
            tasks.spawn(feed::supervise(feed, intake, settings, stopping.clone()));
            feeds.push(watched);
        }
        let follower = Follower {
            source: Arc::clone(&source),
            hub: Arc::clone(&hub),
            wakeup: self.wakeup,
            patience: self.settings.patience,
        };
        let supervised = supervise(follower, self.settings, status_sender, stopping);
        tasks.spawn(supervised.instrument(tracing::info_span!("orchestrator")));
        let stopped = tokio::spawn(async move { while tasks.join_next().await.is_some() {} });
        let inner = Inner { hub, source, feeds, stop, stopped: stopped.into(), status };
        CeremonyOrchestrator { inner: Arc::new(inner) }
    }
}

/// How the orchestrator is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OrchestratorStatus {
    /// What it is doing; never [`State::Standby`].
    pub state: State,
    /// How far changes were reported to subscribers.
    pub position: Position,
    /// Where the Ops DB stands, as far as it knows.
    pub checkpoint: Position,
    /// How many subscribers there are.
    pub subscribers: usize,
    /// How many notices were delivered while somebody listened.
    pub notices: u64,
    /// How many did not fit a subscriber's queue, over all subscribers.
    pub missed: u64,
    /// How often it started again after a failure.
    pub restarts: u64,
    /// The last error, whether or not it recovered.
    pub last_error: Option<LastError>,
    /// How each feed is doing.
    pub feeds: Vec<FeedStatus>,
}

impl OrchestratorStatus {
    /// Whether it reports what there is to report, and every feed listens.
    pub fn is_healthy(&self) -> bool {
        let follows = match self.state {
            State::Starting | State::CatchingUp | State::Live | State::Standby { .. } => true,
            State::BackingOff { .. } | State::Stopped | State::Failed => false,
        };
        follows && self.feeds.iter().all(FeedStatus::is_healthy)
    }
}

/// What the following part says of itself.
#[derive(Debug, Clone)]
struct FollowStatus {
    state: State,
    has_begun: bool,
    position: Position,
    checkpoint: Position,
    notices: u64,
    missed: u64,
    restarts: u64,
    last_error: Option<LastError>,
}

impl FollowStatus {
    fn starting() -> Self {
        Self {
            state: State::Starting,
            has_begun: false,
            position: Position::ZERO,
            checkpoint: Position::ZERO,
            notices: 0,
            missed: 0,
            restarts: 0,
            last_error: None,
        }
    }

    fn failed(&mut self, state: State, error: &dyn std::error::Error) {
        self.state = state;
        self.last_error = Some(LastError { message: chain(error), at: Timestamp::now() });
    }
}

/// Part of what the past had to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaughtUp {
    /// The notices, in order.
    pub notices: Vec<Notice>,
    /// Up to where: ask on from here.
    pub position: Position,
    /// Whether that is all there is.
    pub is_done: bool,
}

#[derive(Debug)]
struct Inner {
    hub: Arc<Hub>,
    source: Arc<Source>,
    feeds: Vec<watch::Receiver<FeedStatus>>,
    stop: watch::Sender<bool>,
    stopped: tokio::sync::Mutex<tokio::task::JoinHandle<()>>,
    status: watch::Receiver<FollowStatus>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Source").finish_non_exhaustive()
    }
}

/// Reports what changes, and takes in what feeds receive. Clones are handles on the same one; it stops
/// when the last of them is dropped.
#[derive(Debug, Clone)]
pub struct CeremonyOrchestrator {
    inner: Arc<Inner>,
}

impl CeremonyOrchestrator {
    /// An orchestrator over this Chronicle and the Ops DB that is projected from it, to be set up
    /// and [started](OrchestratorOptions::start).
    #[expect(clippy::new_ret_no_self, reason = "it is not running yet")]
    pub fn new(chronicle: Arc<dyn Chronicle>, ops_db: Arc<dyn OpsDb>) -> OrchestratorOptions {
        OrchestratorOptions {
            chronicle,
            ops_db,
            policy: CustodyPolicy::standard(),
            clock: Clock::system(),
            settings: Settings::default(),
            queued_notices: QUEUED_NOTICES,
            wakeup: None,
            feeds: Vec::new(),
        }
    }

    /// Subscribes to these topics. It waits until the orchestrator knows where the Ops DB stands:
    /// what is applied from then on is reported.
    ///
    /// # Errors
    /// [`RuntimeError::ShutDown`]: it has stopped, or stops before it knows.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn subscribe(
        &self,
        topics: impl IntoIterator<Item = Topic> + Send,
    ) -> Result<Subscription, RuntimeError> {
        let topics = topics.into_iter().collect();
        let mut status = self.inner.status.clone();
        let begun = status.wait_for(|status| status.has_begun || status.state.is_final()).await;
        match begun {
            Ok(status) if !status.state.is_final() => Ok(self.inner.hub.subscribe(topics)),
            _ => Err(RuntimeError::ShutDown),
        }
    }

    /// What the entries after one position and up to another had to tell under these topics, as
    /// far as the Ops DB has taken them in. It looks at no more than a thousand entries at a time:
    /// ask again from [`CaughtUp::position`] until it is done.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn catch_up(
        &self,
        topics: &[Topic],
        after: Position,
        through: Position,
    ) -> Result<CaughtUp, StoreError> {
        let through = through.min(self.inner.source.checkpoint().await?);
        let (mut notices, position) = self.inner.source.read(after, through).await?;
        notices.retain(|notice| topics.iter().any(|topic| topic.covers(notice)));
        Ok(CaughtUp { notices, position, is_done: position >= through })
    }

    /// The log that it reads.
    pub fn chronicle(&self) -> &dyn Chronicle {
        &*self.inner.source.chronicle
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// The store's own.
    pub async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.inner.source.chronicle.head().await?.position)
    }

    /// Waits until subscribers have received notices of entries beyond `position`, or of a state restored from
    /// before it, and returns how far. Registrations and accords count, which are no notices.
    ///
    /// # Errors
    /// [`RuntimeError::ShutDown`]: it has stopped.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn moved_from(&self, position: Position) -> Result<Position, RuntimeError> {
        let mut status = self.inner.status.clone();
        let moved = status
            .wait_for(|status| {
                (status.has_begun && status.position != position) || status.state.is_final()
            })
            .await;
        match moved {
            Ok(status) if !status.state.is_final() => Ok(status.position),
            _ => Err(RuntimeError::ShutDown),
        }
    }

    /// How it is doing now.
    pub fn status(&self) -> OrchestratorStatus {
        let status = self.inner.status.borrow().clone();
        OrchestratorStatus {
            state: status.state,
            position: status.position,
            checkpoint: status.checkpoint,
            subscribers: self.inner.hub.subscribers(),
            notices: status.notices,
            missed: status.missed,
            restarts: status.restarts,
            last_error: status.last_error,
            feeds: self.inner.feeds.iter().map(|feed| feed.borrow().clone()).collect(),
        }
    }

    /// Stops following and every feed, and waits until their tasks have ended. Subscriptions end.
    ///
    /// # Cancel safety
    /// Once polled, it stops all the same.
    pub async fn shutdown(&self) {
        self.inner.stop.send_replace(true);
        let mut stopped = self.inner.stopped.lock().await;
        if !stopped.is_finished() {
            // It only waits for tasks that are told to stop.
            let _ = (&mut *stopped).await;
        }
    }
}

/// Follows until there is a reason not to, recovering from what passes.
async fn supervise(
    follower: Follower,
    settings: Settings,
    status: watch::Sender<FollowStatus>,
    mut stopping: watch::Receiver<bool>,
) {
    let hub = Arc::clone(&follower.hub);
    // On a task of its own, so that a panic ends it like a failure that does not pass.
    let follows = follow(follower, settings, status.clone());
    let mut follows = tokio::spawn(follows.in_current_span());
    let state = tokio::select! {
        () = stop_requested(&mut stopping) => {
            follows.abort();
            // It was told to end; how it did does not matter.
            let _ = follows.await;
            State::Stopped
        }
        outcome = &mut follows => {
            if let Err(error) = outcome {
                let error = RuntimeError::Panicked(error);
                tracing::error!(error = chain(&error), "the orchestrator failed");
                status.send_modify(|status| status.failed(State::Failed, &error));
            }
            State::Failed
        }
    };
    hub.close();
    status.send_modify(|status| status.state = state);
}

/// Returns when something failed for good.
async fn follow(follower: Follower, settings: Settings, status: watch::Sender<FollowStatus>) {
    let mut backoff = Backoff::default();
    let mut has_begun = false;
    loop {
        let outcome = if has_begun {
            follower.step().await
        } else {
            let begun = follower.begin().await;
            has_begun = begun.is_ok();
            begun.map(|at| follower::Step { checkpoint: at, told: at, notices: 0, missed: 0 })
        };
        match outcome {
            Ok(step) => {
                backoff.reset();
                status.send_if_modified(|status| {
                    let state =
                        if step.told < step.checkpoint { State::CatchingUp } else { State::Live };
                    let is_same = status.has_begun
                        && (status.state, status.position) == (state, step.told)
                        && status.checkpoint == step.checkpoint;
                    status.has_begun = true;
                    (status.state, status.position) = (state, step.told);
                    status.checkpoint = step.checkpoint;
                    status.notices += step.notices;
                    status.missed += step.missed;
                    !is_same
                });
            }
            Err(error) if error.is_transient() => {
                let pause = backoff.next(&settings);
                tracing::warn!(error = chain(&error), ?pause, "following again after a pause");
                status.send_modify(|status| {
                    status.failed(State::BackingOff { pause }, &error);
                    status.restarts += 1;
                });
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the orchestrator failed");
                return status.send_modify(|status| status.failed(State::Failed, &error));
            }
        }
    }
}
