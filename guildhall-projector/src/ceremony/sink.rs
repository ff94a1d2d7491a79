//! Notices handed over to something of one's own: a queue, a pager, a webhook.
//!
//! Each sink has a task of its own, which nobody waits for. A notice is handed over until the sink has taken it, so
//! that one may come twice and none is lost while the task lives; its [id](DeliveryId) tells. A sink that is too slow for its queue
//! reads what it missed from the log. Notices under a [silence](Silences) are passed over and counted.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use guildhall_core::{Position, Timestamp, setters};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::CeremonyOrchestrator;
use super::notice::{Notice, Topic};
use super::subscription::{Delivery, Missed};
use crate::backoff::Backoff;
use crate::error::RuntimeError;
use crate::settings::Settings;
use crate::status::{LastError, chain};

/// What notices are handed over to.
#[async_trait]
pub trait NoticeSink: Send + Sync {
    /// Takes a notice in. Returned means that it need not come again.
    ///
    /// # Errors
    /// [`SinkError::Transient`]: it comes again, after a pause. [`SinkError::Refused`]: it does not, and is counted.
    ///
    /// # Cancel safety
    /// It may be dropped where the task ends; the notice then counts as not taken.
    async fn deliver(&self, id: &DeliveryId, notice: &Notice) -> Result<(), SinkError>;
}

/// What tells a notice from all others, however often it comes: the artifact, and the position of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryId(String);

impl DeliveryId {
    /// That of a notice.
    pub fn of(notice: &Notice) -> Self {
        Self(format!("{}-{}", notice.artifact_id, notice.position))
    }

    /// Its text: letters, digits and hyphens.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a sink has not taken a notice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// It may take it later.
    #[error("it cannot take it now")]
    Transient(#[source] Box<dyn Error + Send + Sync>),
    /// It never will.
    #[error("it does not take it")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

/// A silence: nothing is handed over under its topic until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Silence {
    /// Of what.
    pub topic: Topic,
    /// Until when, by the host's clock.
    pub until: Timestamp,
    /// Why, for who asks.
    pub reason: String,
}

impl Silence {
    /// Nothing under this topic until then.
    pub fn new(topic: Topic, until: Timestamp, reason: impl Into<String>) -> Self {
        Self { topic, until, reason: reason.into() }
    }
}

/// Silences that hold. Clones are handles on the same ones; they are not kept beyond this process.
#[derive(Debug, Clone, Default)]
pub struct Silences(Arc<Mutex<Vec<Silence>>>);

impl Silences {
    /// Adds one.
    pub fn add(&self, silence: Silence) {
        self.lock().push(silence);
    }

    /// Ends those of a topic before they expire.
    pub fn end(&self, topic: Topic) {
        self.lock().retain(|silence| silence.topic != topic);
    }

    /// Those that hold at a moment; what has expired is forgotten.
    pub fn at(&self, now: Timestamp) -> Vec<Silence> {
        let mut silences = self.lock();
        silences.retain(|silence| silence.until > now);
        silences.clone()
    }

    /// Whether one of them covers a notice.
    pub fn cover(&self, notice: &Notice, now: Timestamp) -> bool {
        self.at(now).iter().any(|silence| silence.topic.covers(notice))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Silence>> {
        // The list is whole between any two operations.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a sink is handed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SinkOptions {
    /// Under which topics; none for all of them.
    pub topics: Vec<Topic>,
    /// After which position it begins; none for now. Keep [`SinkStatus::position`] somewhere and give it
    /// here to go on after a restart.
    pub after: Option<Position>,
    /// What is passed over.
    pub silences: Silences,
    /// How long the pauses are before a notice comes again.
    pub settings: Settings,
}

setters!(SinkOptions {
    topics: impl Into<Vec<Topic>>,
    after: impl Into<Option<Position>>,
    silences: Silences,
    settings: Settings,
});

/// How a sink is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SinkStatus {
    /// Up to where everything was taken, refused or silenced.
    pub position: Position,
    /// How many notices it has taken.
    pub taken: u64,
    /// How many it refused for good.
    pub refused: u64,
    /// How many were passed over under a silence.
    pub silenced: u64,
    /// The last error, whether or not it passed.
    pub last_error: Option<LastError>,
}

/// A sink that is being handed notices, until this is dropped.
#[derive(Debug)]
#[must_use = "the sink is handed nothing once this is dropped"]
pub struct SinkTask {
    status: watch::Receiver<SinkStatus>,
    task: JoinHandle<()>,
}

impl SinkTask {
    /// How it is doing now.
    pub fn status(&self) -> SinkStatus {
        self.status.borrow().clone()
    }

    /// The same, as it changes.
    pub fn watch_status(&self) -> watch::Receiver<SinkStatus> {
        self.status.clone()
    }
}

impl Drop for SinkTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CeremonyOrchestrator {
    /// Hands notices over to a sink, from now on or from where its options say.
    ///
    /// # Errors
    /// [`RuntimeError::ShutDown`]: the orchestrator has stopped.
    pub async fn deliver_to(
        &self,
        sink: Arc<dyn NoticeSink>,
        options: SinkOptions,
    ) -> Result<SinkTask, RuntimeError> {
        let mut topics = options.topics.clone();
        if topics.is_empty() {
            topics = Topic::EVERYTHING.to_vec();
        }
        let mut subscription = self.subscribe(topics.clone()).await?;
        let begins = subscription.position();
        let after = options.after.unwrap_or(begins).min(begins);
        let (sender, status) = watch::channel(SinkStatus {
            position: after,
            taken: 0,
            refused: 0,
            silenced: 0,
            last_error: None,
        });
        // It does not keep the orchestrator alive that it listens to.
        let source = Arc::downgrade(&self.inner);
        let mut handover = Handover { sink, options, topics, status: sender };
        let task = tokio::spawn(async move {
            let read =
                |after, through| (source.upgrade().map(|inner| Self { inner }), after, through);
            handover.past(read(after, begins)).await;
            while let Some(delivery) = subscription.next().await {
                match delivery {
                    Delivery::Notice(notice) => handover.hand_over(&notice).await,
                    Delivery::Missed(Missed { after, through, .. }) => {
                        handover.past(read(after, through)).await;
                    }
                }
            }
        });
        Ok(SinkTask { status, task })
    }
}

struct Handover {
    sink: Arc<dyn NoticeSink>,
    options: SinkOptions,
    topics: Vec<Topic>,
    status: watch::Sender<SinkStatus>,
}

impl Handover {
    /// Hands over what the log has between two positions.
    async fn past(
        &mut self,
        (orchestrator, mut after, through): (Option<CeremonyOrchestrator>, Position, Position),
    ) {
        let Some(orchestrator) = orchestrator else { return };
        let mut backoff = Backoff::default();
        while after < through {
            match orchestrator.catch_up(&self.topics, after, through).await {
                Ok(past) => {
                    backoff.reset();
                    for notice in &past.notices {
                        self.hand_over(notice).await;
                    }
                    after = past.position;
                    self.status.send_modify(|status| status.position = status.position.max(after));
                    if past.is_done {
                        return;
                    }
                }
                Err(error) => self.pause(&mut backoff, &error).await,
            }
        }
    }

    /// Hands one over until it is taken, refused or silenced.
    async fn hand_over(&mut self, notice: &Notice) {
        let (id, mut backoff) = (DeliveryId::of(notice), Backoff::default());
        loop {
            if self.options.silences.cover(notice, Timestamp::now()) {
                self.settled(notice, |status| status.silenced += 1);
                return;
            }
            match self.sink.deliver(&id, notice).await {
                Ok(()) => {
                    self.settled(notice, |status| status.taken += 1);
                    return;
                }
                Err(error @ SinkError::Refused(_)) => {
                    tracing::warn!(error = &error as &dyn Error, %id, "a notice was refused");
                    let last = LastError { message: chain(&error), at: Timestamp::now() };
                    self.settled(notice, |status| {
                        status.refused += 1;
                        status.last_error = Some(last);
                    });
                    return;
                }
                Err(error) => self.pause(&mut backoff, &error).await,
            }
        }
    }

    fn settled(&self, notice: &Notice, count: impl FnOnce(&mut SinkStatus)) {
        self.status.send_modify(|status| {
            status.position = status.position.max(notice.position);
            count(status);
        });
    }

    async fn pause(&self, backoff: &mut Backoff, error: &(dyn Error + Send + Sync + 'static)) {
        let last = LastError { message: chain(error), at: Timestamp::now() };
        self.status.send_modify(|status| status.last_error = Some(last));
        sleep(backoff.next(&self.options.settings)).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use guildhall_core::{ArtifactId, Outcome};

    use super::*;
    use crate::ceremony::notice::Change;

    #[test]
    fn a_silence_covers_its_topic_until_it_expires() {
        let (one, other) = (ArtifactId::new(), ArtifactId::new());
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000).unwrap();
        let notice = |artifact_id| Notice {
            position: Position::FIRST,
            artifact_id,
            recorded_at: at(0),
            change: Change::VerificationRecorded {
                target: None,
                verifier: "scanner".to_owned(),
                outcome: Outcome::Failed,
            },
        };
        let silences = Silences::default();
        silences.add(Silence::new(Topic::PostureOf(one), at(10), "a new rack"));
        assert!(silences.cover(&notice(one), at(9)) && !silences.cover(&notice(other), at(9)));
        assert!(!silences.cover(&notice(one), at(10)), "it has expired");
        assert!(silences.at(at(10)).is_empty());
        silences.add(Silence::new(Topic::AllPostures, at(20), "a drill"));
        assert!(silences.cover(&notice(other), at(11)));
        silences.end(Topic::AllPostures);
        assert!(!silences.cover(&notice(other), at(11)));
    }
}
