//! The supervised sealer: how it is set up, and the handle on one that runs.

mod supervisor;
mod telling;

use std::fmt;
use std::sync::Arc;

use guildhall_core::{Position, Seals, Timestamp};
use guildhall_proof::{LogKeys, Signer};
use tokio::sync::watch;
use tracing::Instrument as _;

use self::supervisor::Supervisor;
use super::error::SealerError;
use super::settings::SealerSettings;
use super::sink::SealSink;
use super::status::{SealerState, SealerStatus};
use super::work::Work;
use crate::status::{LastError, chain};
use crate::telemetry;

/// Sets up a sealer; made by [`Sealer::builder`].
#[must_use = "nothing is sealed before `start` or `seal`"]
pub struct SealerBuilder {
    work: Work,
}

impl fmt::Debug for SealerBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sinks: Vec<_> = self.work.sinks.iter().map(|sink| sink.name()).collect();
        formatter
            .debug_struct("SealerBuilder")
            .field("key", self.work.signer.key())
            .field("settings", &self.work.settings)
            .field("sinks", &sinks)
            .finish_non_exhaustive()
    }
}

impl SealerBuilder {
    /// The log's keys, with those of before a rotation, and which of them may seal at which size. By
    /// default the signer's key alone, at every size.
    pub fn keys(mut self, keys: impl Into<Option<LogKeys>>) -> Self {
        self.work.keys = keys.into();
        self
    }

    /// Somebody who is handed every seal. Those that cosign are asked first, the others get what they
    /// signed too; otherwise all are handed it at once.
    pub fn sink(mut self, sink: Arc<dyn SealSink>) -> Self {
        self.work.sinks.push(sink);
        self
    }

    /// When it seals, and how it goes about it.
    pub fn settings(mut self, settings: SealerSettings) -> Self {
        self.work.settings = settings;
        self
    }

    /// Starts sealing, on the current Tokio runtime.
    #[must_use = "the sealer is shut down when the last handle on it is dropped"]
    pub fn start(self) -> Sealer {
        Sealer::start(self.work)
    }

    /// Seals what is new, if anything is, and hands the last seal to every sink, once. What may pass is
    /// tried again as often as the settings say, or five times.
    ///
    /// # Errors
    /// [`SealerError`], above all [`Standby`](SealerError::Standby) where another sealer is at work.
    /// That a sink did not take the seal is not an error here, but stands in its status: the seal is made.
    ///
    /// # Cancel safety
    /// Dropped, the log is sealed or not, and what was told is kept.
    pub async fn seal(self) -> Result<SealerStatus, SealerError> {
        let (chronicle, holder) = (Arc::clone(&self.work.chronicle), self.work.holder);
        let (status, _) = watch::channel(self.work.status());
        let (_stop, stopping) = watch::channel(false);
        let mut supervisor = Supervisor::new(self.work, status, stopping);
        let sealed = supervisor.patiently().await;
        // A lease that is not released lapses.
        let released = chronicle.release_seal_lease(holder).await;
        sealed?;
        released?;
        supervisor.change(|status| status.state = SealerState::Stopped);
        let status = supervisor.status.borrow().clone();
        Ok(status)
    }
}

impl Work {
    fn status(&self) -> SealerStatus {
        SealerStatus::starting(self.sinks.iter().map(|sink| sink.name()))
    }
}

/// A running sealer. Clones are handles on the same one; it is shut down when the last of them is
/// dropped.
///
/// Of several sealers of one Chronicle one seals, and the others stand by. None signs what contradicts
/// the last seal or what a sink holds: where a log was restored from an older copy, the sealer
/// [fails](SealerState::Failed) and says so.
#[derive(Debug, Clone)]
pub struct Sealer {
    status: watch::Receiver<SealerStatus>,
    /// Says true once it is to stop; closed when the last handle is dropped.
    stop: Arc<watch::Sender<bool>>,
}

impl Sealer {
    /// A sealer of this Chronicle, still to be started.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::sync::Arc;
    /// use guildhall_core::{AccordBound, Append, Chronicle, Json, NewEntry, memory::MemoryChronicle};
    /// use guildhall_projector::proof::Sealer;
    /// use guildhall_proof::{KeyType, SigningKey};
    ///
    /// let chronicle = Arc::new(MemoryChronicle::new());
    /// chronicle.fix_origin("guildhall/demo".parse()?).await?;
    /// let at = "2026-11-23T10:05:00Z".parse()?;
    /// let accord = AccordBound::new("zones", "ada", Json::parse("{}")?, at);
    /// chronicle.append(Append::of([NewEntry::new(&accord.into())])).await?;
    ///
    /// // Seeds are 32 random bytes.
    /// let key = SigningKey::from_seed("guildhall/demo".parse()?, KeyType::Ed25519, &[1; 32])?;
    /// let sealed = Sealer::builder(chronicle, Arc::new(key)).seal().await?;
    /// // The entry, and the index of the log's streams.
    /// assert_eq!(sealed.size, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(chronicle: Arc<dyn Seals>, signer: Arc<dyn Signer>) -> SealerBuilder {
        SealerBuilder { work: Work::new(chronicle, signer) }
    }

    fn start(work: Work) -> Self {
        let (status_sender, status) = watch::channel(work.status());
        let (stop, stopping) = watch::channel(false);
        let (chronicle, holder) = (Arc::clone(&work.chronicle), work.holder);
        let supervisor = Supervisor::new(work, status_sender.clone(), stopping);
        let work = tokio::spawn(supervisor.supervise().instrument(tracing::info_span!("sealer")));
        tokio::spawn(async move {
            let outcome = work.await.unwrap_or_else(|error| Err(SealerError::Panicked(error)));
            // On a task of its own: what panicked before may panic again.
            let release = async move { chronicle.release_seal_lease(holder).await };
            let released = tokio::spawn(release).await;
            if !matches!(released, Ok(Ok(()))) {
                tracing::warn!(?released, "the sealer's lease has to lapse");
            }
            conclude(&status_sender, outcome);
        });
        Self { status, stop: Arc::new(stop) }
    }

    /// How it is doing now.
    pub fn status(&self) -> SealerStatus {
        self.status.borrow().clone()
    }

    /// How it is doing, as it changes; a slow watcher sees the latest only.
    pub fn watch_status(&self) -> watch::Receiver<SealerStatus> {
        self.status.clone()
    }

    /// Waits until a seal covers the entry at `position`. Give it a time-out of your own.
    ///
    /// # Errors
    /// [`SealerError::Stopped`] or [`SealerError::ShutDown`]: none will.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn wait_until(&self, position: Position) -> Result<(), SealerError> {
        let covers = |status: &SealerStatus| status.size >= position.get();
        let status = self.wait_for(|it| covers(it) || it.state.is_final()).await?;
        if covers(&status) { Ok(()) } else { Err(outcome(&status)) }
    }

    /// Stops, releases the lease and waits for that. What is under way is done or left, whole.
    ///
    /// # Errors
    /// [`SealerError::Stopped`]: it had failed before.
    ///
    /// # Cancel safety
    /// Once polled, it stops all the same.
    pub async fn shutdown(&self) -> Result<(), SealerError> {
        self.stop.send_replace(true);
        self.stopped().await
    }

    /// Waits until it has stopped, for whatever reason.
    ///
    /// # Errors
    /// [`SealerError::Stopped`]: it failed.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn stopped(&self) -> Result<(), SealerError> {
        let status = self.wait_for(|status| status.state.is_final()).await?;
        if status.failure.is_some() { Err(outcome(&status)) } else { Ok(()) }
    }

    async fn wait_for(
        &self,
        holds: impl FnMut(&SealerStatus) -> bool,
    ) -> Result<SealerStatus, SealerError> {
        let mut watched = self.status.clone();
        // The channel closes only with the Tokio runtime that it was started on.
        let status = watched.wait_for(holds).await.map_err(|_| SealerError::ShutDown)?;
        Ok(status.clone())
    }
}

fn outcome(status: &SealerStatus) -> SealerError {
    status.failure.clone().map_or(SealerError::ShutDown, SealerError::Stopped)
}

fn conclude(status: &watch::Sender<SealerStatus>, outcome: Result<(), SealerError>) {
    status.send_modify(|status| {
        match outcome {
            Ok(()) => status.state = SealerState::Stopped,
            Err(error) => {
                tracing::error!(error = chain(&error), "the sealer failed");
                status.last_error = Some(last_error(&error));
                status.failure = Some(Arc::new(error));
                status.state = SealerState::Failed;
            }
        }
        telemetry::sealer_changed(status);
    });
}

fn last_error(error: &(dyn std::error::Error + 'static)) -> LastError {
    LastError { message: chain(error), at: Timestamp::now() }
}
