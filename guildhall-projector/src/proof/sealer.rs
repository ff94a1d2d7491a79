//! The supervised sealer: when to seal, whom to tell, what to do about failures.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Lease, Position, Seals, StoredCosignature, Timestamp};
use guildhall_proof::{LogKeys, Signer};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use tracing::Instrument;

use super::error::SealerError;
use super::log::SealedLog;
use super::settings::SealerSettings;
use super::sink::{SealSink, SinkError};
use super::status::{SealerState, SealerStatus};
use super::work::{Look, Work};
use crate::backoff::Backoff;
use crate::runtime::stop_requested;
use crate::settings::Settings;
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
    /// That a sink did not take the seal is no error here but stands in its status: the seal is made.
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

/// A sink, and how it stands to the last seal.
#[derive(Debug, Default)]
struct Told {
    /// The size of the last seal that it took.
    size: Option<u64>,
    backoff: Backoff,
    /// When to try again after a failure.
    retry_at: Option<Instant>,
}

struct Supervisor {
    work: Work,
    status: watch::Sender<SealerStatus>,
    stopping: watch::Receiver<bool>,
    told: Vec<Told>,
    backoff: Backoff,
    /// How long to pause after failures.
    pace: Settings,
}

impl Supervisor {
    fn new(
        work: Work,
        status: watch::Sender<SealerStatus>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let told = work.sinks.iter().map(|_| Told::default()).collect();
        let SealerSettings { backoff_first, backoff_most, .. } = work.settings;
        let pace = Settings::default().backoff_first(backoff_first).backoff_most(backoff_most);
        Self { work, status, stopping, told, backoff: Backoff::default(), pace }
    }

    /// Runs again and again until there is a reason not to.
    async fn supervise(mut self) -> Result<(), SealerError> {
        tracing::info!("started");
        while !self.is_stopping() {
            match self.run().await {
                Ok(()) | Err(SealerError::ShutDown) => break,
                Err(SealerError::Standby { holder, until }) => {
                    let state = SealerState::Standby { holder, until };
                    if self.status.borrow().state != state {
                        tracing::info!(?holder, %until, "standing by: another sealer has the lease");
                    }
                    self.work.forget();
                    self.change(|status| status.state = state);
                    self.pause(self.third()).await;
                }
                Err(error) if error.is_transient() && self.may_retry() => {
                    let pause = self.backoff.next(&self.pace);
                    tracing::warn!(error = chain(&error), ?pause, "beginning again after a pause");
                    telemetry::sealer_restarted();
                    self.change(|status| {
                        status.state = SealerState::BackingOff { pause };
                        status.restarts += 1;
                        status.last_error = Some(last_error(&error));
                    });
                    self.pause(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One run: it seals whenever that is due, until something ends it.
    async fn run(&mut self) -> Result<(), SealerError> {
        self.hold_lease().await?;
        // What waited while nobody sealed has waited long enough.
        let mut due = Instant::now();
        loop {
            let now = Instant::now();
            let look = self.look().await?;
            self.change(|status| status.state = SealerState::Live);
            let (head, new) = look.as_ref().map_or((Position::ZERO, 0), |it| (it.head, it.new));
            let last = look.and_then(|look| look.sealed);
            if let Some(last) = last {
                self.tell(last).await?;
            }
            if new > 0 && (now >= due || new >= self.work.settings.entries) {
                let is_behind = self.seal().await?;
                due = Instant::now();
                if !is_behind {
                    due += self.work.settings.every;
                }
                continue;
            }
            if new == 0 {
                // Whatever comes next waits from its coming on.
                due = now + self.work.settings.every;
            }
            self.wait(head, due, new).await?;
        }
    }

    /// Seals once, trying again a few times where that can help.
    async fn patiently(&mut self) -> Result<(), SealerError> {
        const RETRIES: u32 = 5;
        let retries = self.work.settings.retries.unwrap_or(RETRIES);
        loop {
            match self.once().await {
                Err(SealerError::Standby { holder, until }) => {
                    return Err(SealerError::Standby { holder, until });
                }
                Err(error) if error.is_transient() && self.backoff.failures() < retries => {
                    let pause = self.backoff.next(&self.pace);
                    tracing::warn!(error = chain(&error), ?pause, "beginning again after a pause");
                    self.change(|status| status.restarts += 1);
                    self.pause(pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Seals once, and tells everybody once.
    async fn once(&mut self) -> Result<(), SealerError> {
        self.hold_lease().await?;
        let before = self.status.borrow().seals;
        while self.seal().await? {}
        let look = self.look().await?;
        // Whoever was told a new seal, or failed to take it, is not asked twice.
        let has_told = self.status.borrow().seals > before;
        match look.and_then(|look| look.sealed) {
            Some(last) if !has_told => self.tell(last).await,
            _ => Ok(()),
        }
    }

    /// Looks at the log, and says what it saw.
    async fn look(&mut self) -> Result<Option<Look>, SealerError> {
        let look = self.renewing(async |work| work.look().await).await?;
        if let Some(look) = &look {
            self.change(|status| {
                status.head = status.head.max(look.head);
                if let Some(last) = &look.sealed {
                    status.size = last.size();
                    status.root = Some(last.seal().seal().root);
                    status.sealed_at = look.sealed_at;
                }
            });
        }
        Ok(look)
    }

    /// Seals what is new, and returns whether entries are left that this seal does not index.
    async fn seal(&mut self) -> Result<bool, SealerError> {
        let began = Instant::now();
        self.change(|status| status.state = SealerState::Sealing);
        let Some(sealed) = self.renewing(async |work| work.seal().await).await? else {
            return Ok(false);
        };
        self.backoff.reset();
        let took = began.elapsed();
        telemetry::sealed(sealed.size(), took);
        self.change(|status| {
            status.seals += 1;
            status.took = Some(took);
        });
        self.look().await?;
        self.tell(sealed).await?;
        Ok(self.work.is_behind())
    }

    /// Hands a seal to those who do not have it: those who cosign first.
    async fn tell(&mut self, log: SealedLog) -> Result<(), SealerError> {
        let size = log.size();
        let now = Instant::now();
        let is_due = |told: &Told| {
            told.size != Some(size) && told.retry_at.is_none_or(|retry_at| retry_at <= now)
        };
        let due: Vec<usize> = (0..self.told.len()).filter(|nth| is_due(&self.told[*nth])).collect();
        if due.is_empty() {
            return Ok(());
        }
        self.change(|status| status.state = SealerState::Telling);
        let (witnesses, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|nth| self.work.sinks[*nth].cosigns());
        let mut log = log;
        for sinks in [witnesses, others] {
            if sinks.is_empty() {
                continue;
            }
            log = self.with_cosignatures(log).await?;
            self.hand(&sinks, &log).await?;
        }
        Ok(())
    }

    /// The log with the cosignatures that its seal has by now.
    async fn with_cosignatures(&self, log: SealedLog) -> Result<SealedLog, SealerError> {
        let size = Position::try_from(log.size()).unwrap_or(Position::MAX);
        let known = self.work.chronicle.cosignatures(size).await?;
        let mut seal = log.seal().clone();
        for cosignature in known {
            let line = format!("{}\n", cosignature.line);
            let lines = guildhall_proof::parse_signature_lines(line.as_bytes());
            for line in lines.into_iter().flatten() {
                if seal.add(line).is_err() {
                    tracing::warn!(size = %size, "the seal has more cosignatures than a note takes");
                }
            }
        }
        Ok(log.with_seal(seal))
    }

    /// Hands a seal to these sinks at once, and keeps what they cosign.
    async fn hand(&mut self, sinks: &[usize], log: &SealedLog) -> Result<(), SealerError> {
        let mut tasks = JoinSet::new();
        for &nth in sinks {
            let (sink, log) = (Arc::clone(&self.work.sinks[nth]), log.clone());
            tasks.spawn(async move { (nth, sink.take(&log).await) }.in_current_span());
        }
        let taken = self.renewing(async |_| {
            let mut taken = Vec::new();
            while let Some(joined) = tasks.join_next().await {
                taken.push(joined.map_err(SealerError::Panicked)?);
            }
            Ok(taken)
        });
        for (nth, outcome) in taken.await? {
            let name = self.work.sinks[nth].name().to_owned();
            match outcome {
                Ok(lines) => {
                    for line in lines {
                        let cosignature = StoredCosignature {
                            size: Position::try_from(log.size()).unwrap_or(Position::MAX),
                            key_name: line.name.to_string(),
                            line: line.to_string(),
                        };
                        self.work.chronicle.save_cosignature(cosignature).await?;
                    }
                    let told = &mut self.told[nth];
                    *told = Told { size: Some(log.size()), ..Told::default() };
                    telemetry::sink_told(&name, log.size());
                    self.change(|status| {
                        status.sinks[nth].size = Some(log.size());
                        status.sinks[nth].error = None;
                    });
                }
                Err(source @ SinkError::Contradicts { .. }) => {
                    return Err(SealerError::Sink { sink: name, source });
                }
                Err(error) => {
                    let told = &mut self.told[nth];
                    let pause = told.backoff.next(&self.pace).max(if error.is_transient() {
                        Duration::ZERO
                    } else {
                        self.pace.backoff_most
                    });
                    told.retry_at = Some(Instant::now() + pause);
                    telemetry::sink_failed(&name);
                    tracing::warn!(
                        sink = name,
                        error = chain(&error),
                        ?pause,
                        "a sink did not take the seal"
                    );
                    self.change(|status| status.sinks[nth].error = Some(last_error(&error)));
                }
            }
        }
        Ok(())
    }

    /// Waits until something is to be done: the log has grown, a seal is due, a sink is to be tried
    /// again, the lease to be renewed.
    async fn wait(&mut self, head: Position, due: Instant, new: u64) -> Result<(), SealerError> {
        let retry_at = self.told.iter().filter_map(|told| told.retry_at).min();
        let renewal = Instant::now() + self.third();
        let until = [Some(renewal), retry_at, (new > 0).then_some(due)];
        let until = until.into_iter().flatten().min().unwrap_or(renewal);
        let patience = until.saturating_duration_since(Instant::now());
        let (chronicle, every) = (Arc::clone(&self.work.chronicle), self.work.settings.every);
        let wait = async {
            if new > 0 {
                // Some wait already, and more of them are counted now and then only.
                let pause = Duration::from_millis(100).max(every / 60);
                sleep_until(until.min(Instant::now() + pause)).await;
            } else {
                chronicle.wait_beyond(head, patience).await?;
            }
            Ok::<_, SealerError>(())
        };
        tokio::select! {
            () = stop_requested(&mut self.stopping) => return Err(SealerError::ShutDown),
            waited = wait => waited?,
        }
        if Instant::now() >= renewal {
            self.hold_lease().await?;
        }
        Ok(())
    }

    async fn hold_lease(&mut self) -> Result<(), SealerError> {
        match self.work.hold_lease().await? {
            Lease::Held => Ok(()),
            Lease::Standby { holder, until } => Err(SealerError::Standby { holder, until }),
        }
    }

    /// Does some work, and renews the lease meanwhile; less of it where it is to stop.
    async fn renewing<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Work) -> Result<T, SealerError>,
    ) -> Result<T, SealerError> {
        let third = self.third();
        let (chronicle, holder) = (Arc::clone(&self.work.chronicle), self.work.holder);
        let lease_time = self.work.settings.lease_time;
        let mut renewal = interval_at(Instant::now() + third, third);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = std::pin::pin!(work(&mut self.work));
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = stop_requested(&mut self.stopping) => return Err(SealerError::ShutDown),
                _ = renewal.tick() => {
                    let lease = chronicle.hold_seal_lease(holder, lease_time).await?;
                    if let Lease::Standby { holder, until } = lease {
                        return Err(SealerError::Standby { holder, until });
                    }
                }
            }
        }
    }

    fn third(&self) -> Duration {
        (self.work.settings.lease_time / 3).max(Duration::from_millis(1))
    }

    /// Whether one more failure in a row may pass.
    fn may_retry(&self) -> bool {
        self.work.settings.retries.is_none_or(|retries| self.backoff.failures() < retries)
    }

    fn is_stopping(&self) -> bool {
        // Closed: every handle is gone.
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }

    /// Pauses, or less long if it is to stop.
    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = stop_requested(&mut self.stopping) => {}
            () = sleep(pause) => {}
        }
    }

    fn change(&self, change: impl FnOnce(&mut SealerStatus)) {
        self.status.send_modify(|status| {
            change(status);
            telemetry::sealer_changed(status);
        });
    }
}
