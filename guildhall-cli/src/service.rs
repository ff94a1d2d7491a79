//! Notifies a service manager that the service is ready, is about to end, and is alive.
//!
//! The protocol is `sd_notify(3)`: datagrams to the socket that `NOTIFY_SOCKET` names. Without it,
//! nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Reports that the service is ready.
pub(crate) fn tell_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports that it is about to end.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not notified");
    }
}

/// Feeds the watchdog, where the service manager keeps one (`WATCHDOG_USEC`), for as long as the
/// service is healthy; it stops when dropped. A service that does not feed it is restarted.
#[derive(Debug)]
pub(crate) struct Watchdog(Option<JoinHandle<()>>);

impl Watchdog {
    pub(crate) fn feed(mut is_healthy: impl FnMut() -> bool + Send + 'static) -> Self {
        let Some(patience) = sd_notify::watchdog_enabled() else { return Self(None) };
        // Twice as often as it has to be, as systemd recommends.
        let mut due = interval((patience / 2).max(Duration::from_millis(1)));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Some(tokio::spawn(async move {
            loop {
                due.tick().await;
                if is_healthy() {
                    tell(&[NotifyState::Watchdog]);
                }
            }
        })))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(feeding) = &self.0 {
            feeding.abort();
        }
    }
}
