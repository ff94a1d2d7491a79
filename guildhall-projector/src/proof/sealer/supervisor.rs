//! When to seal, and what to do about failures.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Lease, Position};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::super::error::SealerError;
use super::super::settings::SealerSettings;
use super::super::status::{SealerState, SealerStatus};
use super::super::work::{Look, Work};
use super::last_error;
use super::telling::Told;
use crate::backoff::Backoff;
use crate::runtime::stop_requested;
use crate::settings::Settings;
use crate::status::chain;
use crate::telemetry;

pub(super) struct Supervisor {
    pub(super) work: Work,
    pub(super) status: watch::Sender<SealerStatus>,
    stopping: watch::Receiver<bool>,
    pub(super) told: Vec<Told>,
    backoff: Backoff,
    /// How long to pause after failures.
    pub(super) pace: Settings,
}

impl Supervisor {
    pub(super) fn new(
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
    pub(super) async fn supervise(mut self) -> Result<(), SealerError> {
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
    pub(super) async fn patiently(&mut self) -> Result<(), SealerError> {
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

    /// Seals once, and hands the seal to everybody once.
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

    /// Does some work, and renews the lease meanwhile; breaks off when asked to stop.
    pub(super) async fn renewing<T>(
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

    /// Pauses, less long if asked to stop.
    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = stop_requested(&mut self.stopping) => {}
            () = sleep(pause) => {}
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut SealerStatus)) {
        self.status.send_modify(|status| {
            change(status);
            telemetry::sealer_changed(status);
        });
    }
}
