//! Letting outcomes in: a feed reports how ceremonies begin and end, and each report becomes
//! an entry of the Chronicle through the checked append. Nothing here decides.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guildhall_core::command::{Act, Command, RecordError, Recorder};
use guildhall_core::{ArtifactId, CeremonyId, Cid, EventId, Position, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::follower::Source;
use super::notice::CeremonyOutcome;
use crate::backoff::Backoff;
use crate::runtime::stop_requested;
use crate::settings::Settings;
use crate::status::{LastError, chain};
use crate::telemetry;

/// How many refusals of one feed are kept for people to see.
pub const KEPT_REFUSALS: usize = 20;

/// How many refusals of one feed are told apart; more are shown, and not counted.
pub const COUNTED_REFUSALS: usize = 10_000;

/// What happened to a ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// It was opened.
    Opened,
    /// It was closed.
    Closed(CeremonyOutcome),
}

impl Step {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed(outcome) => outcome.as_str(),
        }
    }
}

/// A step of a ceremony, as a feed reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeremonyReport {
    /// What names this step at its source, for ever: an object's UID and phase, a message's
    /// id. Reporting it again records nothing.
    pub identity: String,
    /// The artifact that it is about.
    pub artifact_id: ArtifactId,
    /// The ceremony.
    pub ceremony_id: CeremonyId,
    /// The content that is decided about, if the feed knows; refused where the artifact has
    /// another.
    pub cid: Option<Cid>,
    /// What happened.
    pub step: Step,
    /// Who did it, why, on what grounds and when.
    pub act: Act,
}

impl CeremonyReport {
    /// The event id of its entry: a UUID of version 8 (RFC 9562) that holds SHA-256 over
    /// `guildhall.heard.v1\n`, the feed's name, the identity and the step, each after its length.
    pub fn event_id(&self, feed: &str) -> EventId {
        event_id(feed, &self.identity, self.step)
    }

    fn into_command(self, feed: &str) -> Command {
        let event_id = self.event_id(feed);
        let command = match self.step {
            Step::Opened => Command::open_ceremony(self.artifact_id, self.ceremony_id, self.act),
            Step::Closed(outcome) => Command::close_ceremony(
                self.artifact_id,
                self.ceremony_id,
                outcome.state(),
                self.act,
            ),
        };
        let command = command.with_id(event_id);
        match self.cid {
            Some(cid) => command.of_content(cid),
            None => command,
        }
    }
}

/// The event id under which a feed's step is recorded.
pub(super) fn event_id(feed: &str, identity: &str, step: Step) -> EventId {
    let mut hash = Sha256::new_with_prefix(b"guildhall.heard.v1\n");
    for part in [feed, identity, step.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    EventId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntakeOutcome {
    /// It is recorded, and durable.
    Recorded {
        /// Where.
        position: Position,
    },
    /// It was recorded before.
    Known {
        /// Where.
        position: Position,
    },
    /// It breaks an invariant, or says that it happens later than now and a tolerance. Nothing is
    /// recorded; the refusal is shown in the feed's status.
    Refused(Refusal),
}

impl IntakeOutcome {
    const REFUSED: &str = "refused";

    /// The word for it, as metrics have it.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Recorded { .. } => "recorded",
            Self::Known { .. } => "known",
            Self::Refused(_) => Self::REFUSED,
        }
    }
}

/// A step that the chain of custody does not take, or that the feed itself cannot hand over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// What names the step.
    pub identity: String,
    /// The artifact; none where the report does not say.
    pub artifact_id: Option<ArtifactId>,
    /// Why: the code of the invariant, and what was found and expected; or what makes it unreadable
    /// or unbelievable.
    pub reason: String,
    /// When it was last received, by this host's clock.
    pub at: Timestamp,
}

/// Why a feed stopped; it is started again after a pause.
pub type FeedError = Box<dyn std::error::Error + Send + Sync>;

/// A source of ceremonies' steps: a watcher, a queue, a mailbox.
#[async_trait]
pub trait CeremonyFeed: Send + Sync {
    /// Its name, the same for ever: part of the event ids.
    fn name(&self) -> &str;

    /// Hands over what it receives, in order, for as long as there is something to hear, and says
    /// when it is [listening](Intake::listening): before, it does not count as healthy. It is
    /// started anew after a failure, and may then hand everything over again.
    ///
    /// # Errors
    /// Whatever keeps it from hearing, or the Chronicle from recording: pass on the error of
    /// [`Intake::take`].
    ///
    /// # Cancel safety
    /// It is dropped when the orchestrator stops.
    async fn run(&self, intake: &Intake) -> Result<(), FeedError>;
}

/// What a feed is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedState {
    /// It starts, or tries to reach its source ([`Intake::connecting`]).
    Connecting,
    /// It listens ([`Intake::listening`]).
    Listening,
    /// It failed, or part of it did ([`Intake::failing`]), and is tried again after a pause.
    BackingOff,
    /// It had no more to say.
    Ended,
    /// The orchestrator was stopped.
    Stopped,
}

/// How a feed is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FeedStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: FeedState,
    /// How many steps were recorded.
    pub recorded: u64,
    /// How many were recorded before.
    pub known: u64,
    /// How many identities are refused now: what they tell breaks an invariant, or could not be
    /// handed over at all. At most [`COUNTED_REFUSALS`].
    pub refused: u64,
    /// How many were refused since the start, each once for as long as it was refused.
    pub ever_refused: u64,
    /// The latest that are refused now, the last of them last; at most [`KEPT_REFUSALS`].
    pub refusals: VecDeque<Refusal>,
    /// How often it was started again.
    pub restarts: u64,
    /// The last error since it last listened.
    pub last_error: Option<LastError>,
}

impl FeedStatus {
    pub(super) fn starting(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: FeedState::Connecting,
            recorded: 0,
            known: 0,
            refused: 0,
            ever_refused: 0,
            refusals: VecDeque::new(),
            restarts: 0,
            last_error: None,
        }
    }

    fn failed(&mut self, message: String) {
        self.state = FeedState::BackingOff;
        self.last_error = Some(LastError { message, at: Timestamp::now() });
    }

    /// Whether it listens, or has nothing more to say.
    pub const fn is_healthy(&self) -> bool {
        matches!(self.state, FeedState::Listening | FeedState::Ended)
    }
}

/// Where a feed hands over what it receives.
#[derive(Debug)]
pub struct Intake {
    name: String,
    pub(super) recorder: Arc<Recorder>,
    pub(super) source: Arc<Source>,
    settings: Settings,
    status: watch::Sender<FeedStatus>,
    /// The identities that are refused now, each with the step that is, if it made one.
    refused: Mutex<HashMap<String, Option<Step>>>,
}

impl Intake {
    pub(super) fn new(
        name: &str,
        recorder: Arc<Recorder>,
        source: Arc<Source>,
        settings: Settings,
        status: watch::Sender<FeedStatus>,
    ) -> Self {
        let (name, refused) = (name.to_owned(), Mutex::default());
        Self { name, recorder, source, settings, status, refused }
    }

    /// The feed's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Records a step; returned means durable. A step that was reported before returns where
    /// it stands.
    ///
    /// # Errors
    /// The Chronicle failed: hand the step over again, or fail and be started again.
    ///
    /// # Cancel safety
    /// The step may be recorded; handing it over again will tell.
    pub async fn take(&self, report: CeremonyReport) -> Result<IntakeOutcome, RecordError> {
        let (artifact_id, step) = (report.artifact_id, report.step);
        let identity = report.identity.clone();
        let at = match self.recorder.record(report.into_command(&self.name)).await {
            Ok(at) => at,
            Err(error @ (RecordError::Store(_) | RecordError::Append(_))) if may_pass(&error) => {
                return Err(error);
            }
            Err(error) => {
                let (artifact_id, reason) = (Some(artifact_id), chain(&error));
                let refusal = Refusal { identity, artifact_id, reason, at: Timestamp::now() };
                self.note_refused(refusal.clone(), Some(step));
                return Ok(IntakeOutcome::Refused(refusal));
            }
        };
        let position = at.position;
        let outcome = if at.was_recorded {
            IntakeOutcome::Known { position }
        } else {
            IntakeOutcome::Recorded { position }
        };
        telemetry::step_heard(&self.name, outcome.as_str());
        // An opening that stands says nothing of the closing that was refused.
        let is_over = |it: Option<Step>| it.is_none_or(|it| it == step || it == Step::Opened);
        self.forget_refused(&identity, is_over);
        self.status.send_modify(|status| {
            *(if at.was_recorded { &mut status.known } else { &mut status.recorded }) += 1;
        });
        Ok(outcome)
    }

    /// Reports something that is not a step: it cannot be read, or not be believed. It is
    /// shown and counted like a step that breaks an invariant.
    pub fn refuse(&self, identity: String, artifact_id: Option<ArtifactId>, reason: String) {
        self.note_refused(Refusal { identity, artifact_id, reason, at: Timestamp::now() }, None);
    }

    /// Reports that nothing is wrong any more with what was refused under this identity: it was
    /// mended, or is gone.
    pub fn resolve(&self, identity: &str) {
        self.forget_refused(identity, |_| true);
    }

    /// Reports that the feed tries to reach its source. Each run begins so.
    pub fn connecting(&self) {
        self.set_state(FeedState::Connecting);
    }

    /// Reports that the feed receives what happens from now on. Whatever failed is past.
    pub fn listening(&self) {
        self.status.send_if_modified(|status| {
            let is_new = status.state != FeedState::Listening || status.last_error.is_some();
            (status.state, status.last_error) = (FeedState::Listening, None);
            is_new
        });
    }

    /// Reports that the feed does not receive part of what it should, and tries again by itself.
    pub fn failing(&self, error: &dyn Error) {
        let message = chain(error);
        tracing::warn!(feed = self.name, error = message, "part of a feed failed");
        self.status.send_modify(|status| status.failed(message));
    }

    /// How long to wait before something is tried again that failed so often in a row: what the
    /// orchestrator's [`Settings`] say.
    pub fn pause(&self, failures: u32) -> Duration {
        Backoff::after(failures).next(&self.settings)
    }

    fn set_state(&self, state: FeedState) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.state, state) != state);
    }

    /// Something is refused, a step or another thing.
    fn note_refused(&self, refusal: Refusal, step: Option<Step>) {
        let Refusal { identity, reason, .. } = &refusal;
        tracing::warn!(feed = self.name, identity, reason, "a ceremony's step is refused");
        let mut all = self.all_refused();
        let is_known = all.contains_key(identity);
        let is_new = !is_known && all.len() < COUNTED_REFUSALS;
        if is_new || is_known {
            all.insert(identity.clone(), step);
        }
        if is_new {
            telemetry::step_heard(&self.name, IntakeOutcome::REFUSED);
        }
        self.status.send_modify(|status| {
            status.refused = all.len() as u64;
            status.ever_refused += u64::from(is_new);
            status.refusals.retain(|kept| kept.identity != refusal.identity);
            if status.refusals.len() == KEPT_REFUSALS {
                status.refusals.pop_front();
            }
            status.refusals.push_back(refusal);
        });
    }

    /// What was refused under an identity is so no more, if the step that was is such a one.
    fn forget_refused(&self, identity: &str, is_over: impl FnOnce(Option<Step>) -> bool) {
        let mut all = self.all_refused();
        if !all.get(identity).is_none_or(|step| is_over(*step)) {
            return;
        }
        all.remove(identity);
        self.status.send_if_modified(|status| {
            let before = (status.refused, status.refusals.len());
            status.refused = all.len() as u64;
            status.refusals.retain(|kept| kept.identity != identity);
            (status.refused, status.refusals.len()) != before
        });
    }

    fn all_refused(&self) -> MutexGuard<'_, HashMap<String, Option<Step>>> {
        // It is whole between any two of its operations.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the same step may be recorded later: the store failed, or others kept writing.
fn may_pass(error: &RecordError) -> bool {
    use guildhall_core::AppendError;
    matches!(
        error,
        RecordError::Store(_)
            | RecordError::Append(AppendError::Store(_) | AppendError::Conflict { .. })
    )
}

/// Runs a feed again and again, until it ends or everything does.
pub(super) async fn supervise(
    feed: Arc<dyn CeremonyFeed>,
    intake: Arc<Intake>,
    settings: Settings,
    mut stopping: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::default();
    let state = |state| intake.status.send_modify(|status| status.state = state);
    loop {
        let (runs, began) = (Arc::clone(&feed), Instant::now());
        let takes = Arc::clone(&intake);
        // On a task of its own, so that a panic is a failure like others.
        let mut run = tokio::spawn(async move {
            takes.connecting();
            runs.run(&takes).await
        });
        let outcome = tokio::select! {
            () = stop_requested(&mut stopping) => {
                run.abort();
                // What it does at this moment ends first; how does not matter.
                let _ = run.await;
                return state(FeedState::Stopped);
            }
            outcome = &mut run => outcome,
        };
        let message = match outcome {
            Ok(Ok(())) => return state(FeedState::Ended),
            Ok(Err(error)) => chain(&*error),
            Err(error) => chain(&error),
        };
        if began.elapsed() > settings.backoff_most {
            backoff.reset();
        }
        let pause = backoff.next(&settings);
        tracing::warn!(feed = intake.name, error = message, ?pause, "a feed failed");
        telemetry::feed_restarted(&intake.name);
        intake.status.send_modify(|status| {
            status.restarts += 1;
            status.failed(message);
        });
        tokio::select! {
            () = stop_requested(&mut stopping) => return state(FeedState::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(identity: &str, step: Step) -> CeremonyReport {
        let (artifact_id, ceremony_id) = (ArtifactId::new(), CeremonyId::new());
        let act = Act::new("ada", "because", Timestamp::MIN);
        CeremonyReport {
            identity: identity.to_owned(),
            artifact_id,
            ceremony_id,
            cid: None,
            step,
            act,
        }
    }

    #[test]
    fn an_event_id_is_made_from_the_identity_alone_and_is_the_same_for_ever() {
        let opened = heard("a", Step::Opened);
        assert_eq!(opened.event_id("queue"), heard("a", Step::Opened).event_id("queue"));
        let ratified = heard("a", Step::Closed(CeremonyOutcome::Ratified));
        let others = [
            ratified.event_id("queue"),
            opened.event_id("other"),
            heard("b", Step::Opened).event_id("queue"),
            heard("ea", Step::Opened).event_id("queu"),
        ];
        assert!(!others.contains(&opened.event_id("queue")));
        let id = *opened.event_id("queue").as_uuid();
        assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
        assert_eq!(id.to_string(), "f28d7e6e-b578-8722-babe-1810fddfc9a0");
    }
}
