//! The supervised projector: catch-up, live tail, recovery, standby, shutdown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall_core::{
    Applied, ApplyError, Checkpoint, Chronicle, HolderId, Lease, Origin, Position, Projector,
    Timestamp,
};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::Instrument;

use crate::backoff::Backoff;
use crate::continuity;
use crate::error::RuntimeError;
use crate::pipeline::{ReadAhead, ReadBatch, check_head};
use crate::settings::Settings;
use crate::status::{LastError, Rate, ReadModelStatus, State, Status, chain};
use crate::telemetry;

/// A running projector. Clones are handles on the same one; it is shut down when the last of them
/// is dropped.
#[derive(Debug, Clone)]
pub struct Runtime {
    status: watch::Receiver<Status>,
    /// Says true once it is to stop; closed when the last handle is dropped.
    stop: Arc<watch::Sender<bool>>,
}

impl Runtime {
    /// Starts projecting, on the current Tokio runtime.
    #[must_use = "the projector is shut down when the last handle on it is dropped"]
    pub fn spawn(
        chronicle: Arc<dyn Chronicle>,
        projector: Arc<dyn Projector>,
        settings: Settings,
    ) -> Self {
        Self::spawn_until(chronicle, projector, settings, None)
    }

    fn spawn_until(
        chronicle: Arc<dyn Chronicle>,
        projector: Arc<dyn Projector>,
        settings: Settings,
        end: Option<Position>,
    ) -> Self {
        let (status_sender, status) = watch::channel(Status::starting());
        let (stop, stopping) = watch::channel(false);
        let supervisor = Supervisor {
            chronicle,
            projector: Arc::clone(&projector),
            settings,
            end,
            status: status_sender.clone(),
            stopping,
            backoff: Backoff::default(),
            rate: Rate::default(),
            unmoved: HashMap::new(),
        };
        let span = tracing::info_span!("projector");
        let work = tokio::spawn(supervisor.supervise().instrument(span));
        tokio::spawn(async move {
            let outcome = work.await.unwrap_or_else(|error| Err(RuntimeError::Panicked(error)));
            // On a task of its own: what panicked before may panic again.
            let released = tokio::spawn(async move { projector.release_lease().await }).await;
            if !matches!(released, Ok(Ok(()))) {
                tracing::warn!(?released, "the lease has to lapse");
            }
            conclude(&status_sender, outcome);
        });
        Self { status, stop: Arc::new(stop) }
    }

    /// How it is doing now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// How it is doing, as it changes; a slow watcher sees the latest only.
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until the effects of `position` can be read in every read model: read-your-writes. Give
    /// it a time-out of your own; it waits for as long as the runtime, or the other one that it
    /// stands by for, may still get there.
    ///
    /// # Errors
    /// [`RuntimeError::Stopped`], [`RuntimeError::ShutDown`] or [`RuntimeError::NotProjected`]: it
    /// will not get there.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn wait_until(&self, position: Position) -> Result<(), RuntimeError> {
        let is_decided = |status: &Status| {
            status.position >= position
                || status.state.is_final()
                || status.left_out(position).is_some()
        };
        let status = self.wait_for(is_decided).await?;
        if status.position >= position {
            return Ok(());
        }
        Err(status
            .left_out(position)
            .map_or_else(|| outcome(&status), |left_out| not_projected(&status, left_out)))
    }

    /// Waits until the effects of `position` can be read in one read model, by name;
    /// [`OPS_DB`](guildhall_core::OPS_DB) for the Ops DB itself.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until), and [`RuntimeError::NoReadModel`].
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn wait_until_in(
        &self,
        read_model: &str,
        position: Position,
    ) -> Result<(), RuntimeError> {
        let find =
            |status: &Status| status.read_models.iter().find(|it| it.name == read_model).cloned();
        // None is known before its first look at the database.
        let is_decided = |status: &Status| {
            status.state.is_final()
                || find(status).map_or(!status.read_models.is_empty(), |found| {
                    found.position >= position || !found.is_projected
                })
        };
        let status = self.wait_for(is_decided).await?;
        match find(&status) {
            Some(found) if found.position >= position => Ok(()),
            Some(found) if !found.is_projected => Err(not_projected(&status, &found)),
            None if !status.read_models.is_empty() => {
                Err(RuntimeError::NoReadModel { read_model: read_model.to_owned() })
            }
            _ => Err(outcome(&status)),
        }
    }

    /// Applies what it has taken in, stops, releases the lease and waits for that.
    ///
    /// # Errors
    /// [`RuntimeError::Stopped`]: it had failed before.
    ///
    /// # Cancel safety
    /// Once polled, it stops all the same.
    pub async fn shutdown(&self) -> Result<(), RuntimeError> {
        self.stop.send_replace(true);
        self.stopped().await
    }

    /// Waits until it has stopped, for whatever reason.
    ///
    /// # Errors
    /// [`RuntimeError::Stopped`]: it failed.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn stopped(&self) -> Result<(), RuntimeError> {
        let status = self.wait_for(|status| status.state.is_final()).await?;
        if status.failure.is_some() { Err(outcome(&status)) } else { Ok(()) }
    }

    async fn wait_for(&self, holds: impl FnMut(&Status) -> bool) -> Result<Status, RuntimeError> {
        let mut watched = self.status.clone();
        // The channel closes only with the Tokio runtime that it was started on.
        let status = watched.wait_for(holds).await.map_err(|_| RuntimeError::ShutDown)?;
        Ok(status.clone())
    }
}

fn not_projected(status: &Status, left_out: &ReadModelStatus) -> RuntimeError {
    match status.state {
        State::Standby { holder, .. } => {
            RuntimeError::NotProjected { read_model: left_out.name.clone(), holder }
        }
        _ => outcome(status),
    }
}

fn outcome(status: &Status) -> RuntimeError {
    status.failure.clone().map_or(RuntimeError::ShutDown, RuntimeError::Stopped)
}

/// Applies everything up to the end that the log has now, recovering like [`Runtime`], and returns
/// how that went. Where another projector of the same name holds the lease, it waits until that
/// has got there, or takes over. `progress` is called with the latest status, not with each.
///
/// # Errors
/// [`RuntimeError`].
///
/// # Cancel safety
/// Dropped, it stops after the batch under way; what was applied stays.
pub async fn catch_up(
    chronicle: Arc<dyn Chronicle>,
    projector: Arc<dyn Projector>,
    settings: &Settings,
    mut progress: impl FnMut(&Status),
) -> Result<Status, RuntimeError> {
    let end = chronicle.head().await?.position;
    let runtime = Runtime::spawn_until(chronicle, projector, settings.clone(), Some(end));
    let mut watched = runtime.watch_status();
    loop {
        let status = watched.borrow_and_update().clone();
        progress(&status);
        match (&status.failure, status.state.is_final()) {
            (Some(failure), _) => return Err(RuntimeError::Stopped(Arc::clone(failure))),
            (None, true) => return Ok(status),
            (None, false) => watched.changed().await.map_err(|_| RuntimeError::ShutDown)?,
        }
    }
}

fn conclude(status: &watch::Sender<Status>, outcome: Result<(), RuntimeError>) {
    status.send_modify(|status| {
        match outcome {
            Ok(()) => status.state = State::Stopped,
            Err(error) => {
                tracing::error!(error = chain(&error), "the projector failed");
                status.last_error = Some(last_error(&error));
                status.failure = Some(Arc::new(error));
                status.state = State::Failed;
            }
        }
        telemetry::status_changed(status);
    });
}

fn last_error(error: &RuntimeError) -> LastError {
    LastError { message: chain(error), at: Timestamp::now() }
}

/// Why a run ended.
enum Ended {
    /// All is applied that was to be, or it is to stop.
    Done,
    /// Another holds the lease.
    Standby { holder: HolderId, until: Timestamp },
}

impl Ended {
    /// Why it ended where a batch was not applied.
    fn of(error: ApplyError) -> Result<Self, RuntimeError> {
        match error {
            ApplyError::Standby { holder, until, .. } => Ok(Self::Standby { holder, until }),
            error => Err(error.into()),
        }
    }
}

struct Supervisor {
    chronicle: Arc<dyn Chronicle>,
    projector: Arc<dyn Projector>,
    settings: Settings,
    /// Where the work ends; it goes on for ever where there is none.
    end: Option<Position>,
    status: watch::Sender<Status>,
    stopping: watch::Receiver<bool>,
    backoff: Backoff,
    rate: Rate,
    /// While another holds the lease: where each read model stands, and since when.
    unmoved: HashMap<String, (Position, Instant)>,
}

impl Supervisor {
    /// Runs again and again until there is a reason not to.
    async fn supervise(mut self) -> Result<(), RuntimeError> {
        tracing::info!("started");
        while !self.is_stopping() {
            match self.run().await {
                Ok(Ended::Done) => break,
                Ok(Ended::Standby { holder, until }) => {
                    self.stand_by(holder, until);
                    self.pause(self.standby_pause(until)).await;
                }
                Err(error) if error.is_transient() && self.may_retry() => {
                    let pause = self.backoff.next(&self.settings);
                    tracing::warn!(error = chain(&error), ?pause, "starting again after a pause");
                    telemetry::restarted();
                    self.change(|status| {
                        status.state = State::BackingOff { pause };
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

    /// One run: from the checkpoint on, until something ends it.
    async fn run(&mut self) -> Result<Ended, RuntimeError> {
        let lease = self.projector.hold_lease().await?;
        let checkpoint = self.projector.checkpoint().await?;
        let checkpoints = self.projector.checkpoints().await?;
        let head = continuity::check_all(&*self.chronicle, &checkpoints).await?;
        check_head(self.status.borrow().head, head)?;
        let read_models = self.look_at(checkpoints, lease == Lease::Held);
        self.change(|status| {
            status.position = checkpoint.position;
            status.read_models = read_models;
            status.head = head;
        });
        if let Lease::Standby { holder, until } = lease {
            // The other's progress counts: what it applied can be read here as well.
            self.stand_by(holder, until);
            let is_done = self.end.is_some_and(|end| checkpoint.position >= end);
            return Ok(if is_done { Ended::Done } else { Ended::Standby { holder, until } });
        }
        self.rate.update(Instant::now(), 0);
        self.change(|status| {
            status.state = if status.lag() == 0 { State::Live } else { State::CatchingUp };
        });
        let mut ahead = ReadAhead::spawn(
            Arc::clone(&self.chronicle),
            checkpoint,
            self.end,
            self.settings.clone(),
        );
        // `interval` refuses zero.
        let third = (self.projector.lease_time() / 3).max(Duration::from_millis(1));
        let mut renewal = interval(third);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Of the entries that the projector took in and holds back, if there are any.
        let mut held_back: Option<Origin> = None;
        loop {
            let read = tokio::select! {
                biased;
                () = stop_requested(&mut self.stopping) => Ok(None),
                read = ahead.next() => read,
                _ = renewal.tick() => {
                    if let Lease::Standby { holder, until } = self.projector.hold_lease().await? {
                        return Ok(Ended::Standby { holder, until });
                    }
                    // Nothing may have been applied for long, and the log been changed meanwhile.
                    let checkpoint = self.projector.checkpoint().await?;
                    let head = continuity::check(&*self.chronicle, &checkpoint).await?;
                    check_head(self.status.borrow().head, head)?;
                    let rate = self.rate.update(Instant::now(), 0);
                    self.change(|status| status.rate = rate);
                    continue;
                }
            };
            let read = match read {
                Ok(Some(read)) => read,
                end => {
                    // All that was taken in is applied before it ends.
                    if let Some(origin) = held_back
                        && let Err(error) = self.take_in(ReadBatch::nothing(origin)?).await
                    {
                        return Ended::of(error);
                    }
                    return end.map(|_| Ended::Done);
                }
            };
            let (origin, last) = (read.batch.origin().clone(), read.batch.last_position());
            match self.take_in(read).await {
                Ok(applied) => {
                    // A batch that was taken in has renewed the lease.
                    renewal.reset();
                    held_back = (Some(applied.position) < last).then_some(origin);
                }
                Err(error) => return Ended::of(error),
            }
        }
    }

    /// Has the projector take a batch in, and reports what is applied by then.
    async fn take_in(&mut self, read: ReadBatch) -> Result<Applied, ApplyError> {
        let began = Instant::now();
        let taking = if read.is_followed {
            self.projector.gather(read.batch)
        } else {
            self.projector.apply(read.batch)
        };
        let applied = taking.await.inspect_err(|error| {
            if let ApplyError::Halted { position, .. } = error {
                // What stands before it is applied.
                self.change(|status| status.position = position.previous());
            }
        })?;
        if applied.entries > 0 {
            self.backoff.reset();
        }
        telemetry::batch_applied(&applied, began.elapsed());
        let rate = self.rate.update(Instant::now(), applied.entries);
        self.change(|status| {
            status.count(&applied, read.head);
            status.rate = rate;
        });
        Ok(applied)
    }

    fn stand_by(&self, holder: HolderId, until: Timestamp) {
        let state = State::Standby { holder, until };
        let is_news = !matches!(self.status.borrow().state,
            State::Standby { holder: before, .. } if before == holder);
        if is_news {
            tracing::info!(?holder, %until, "standing by: another projector holds the lease");
        }
        self.change(|status| status.state = state);
    }

    /// Where the read models stand, and whether they move. Whoever holds the lease applies to all of
    /// its read models in one transaction, so one that stays behind the first of them, for as long as
    /// a lease holds, is none of its.
    fn look_at(
        &mut self,
        checkpoints: Vec<(String, Checkpoint)>,
        is_held: bool,
    ) -> Vec<ReadModelStatus> {
        let first = checkpoints.first().map_or(Position::ZERO, |(_, at)| at.position);
        let patience = self.projector.lease_time().max(Duration::from_secs(1));
        if is_held {
            self.unmoved.clear();
        }
        let mut look = |(name, Checkpoint { position, .. }): (String, Checkpoint)| {
            let now = Instant::now();
            let (at, since) = *self.unmoved.entry(name.clone()).or_insert((position, now));
            if at != position {
                self.unmoved.insert(name.clone(), (position, now));
            }
            let has_moved = at != position || now.duration_since(since) < patience;
            let is_projected = is_held || position >= first || has_moved;
            if !is_projected {
                tracing::warn!(read_model = name, %position,
                    "whoever holds the lease does not project this read model");
            }
            ReadModelStatus { name, position, is_projected }
        };
        checkpoints.into_iter().map(&mut look).collect()
    }

    /// Whether one more failure in a row may pass.
    fn may_retry(&self) -> bool {
        self.settings.retries.is_none_or(|retries| self.backoff.failures() < retries)
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

    /// Until the lease may lapse, looking again no less often than it is renewed.
    fn standby_pause(&self, until: Timestamp) -> Duration {
        let third = self.projector.lease_time() / 3;
        let left = until.as_micros() - Timestamp::now().as_micros();
        // By this host's clock it may have passed already, and the database's says that it has not.
        let left = u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_micros);
        left.unwrap_or(third).clamp(Duration::from_millis(1), third.max(Duration::from_millis(1)))
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(|status| {
            change(status);
            telemetry::status_changed(status);
        });
    }
}

/// Waits until the runtime is to stop, or every handle is gone.
pub(crate) async fn stop_requested(stopping: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is a reason to stop as well.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}
