//! How the runtime is doing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall_core::{Applied, Difference, HolderId, Position, Timestamp};

use crate::error::RuntimeError;

/// What the runtime is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It has not read anything yet.
    Starting,
    /// The log is ahead, and it works through it.
    CatchingUp,
    /// It has applied all that it knows of, and waits for more.
    Live,
    /// Another projector of the same name holds the lease; it waits to take over.
    Standby {
        /// Who holds it.
        holder: HolderId,
        /// Until when, by the database's clock, unless it is renewed.
        until: Timestamp,
    },
    /// Something failed that may pass; it pauses, then starts again from the checkpoint.
    BackingOff {
        /// How long the pause is.
        pause: Duration,
    },
    /// It was shut down, or had caught up and was to do no more.
    Stopped,
    /// Something failed that does not pass: [`Status::failure`].
    Failed,
}

impl State {
    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }

    /// Its word for programs: `starting`, `catching_up`, `live`, `standby`, `backing_off`, `stopped` or
    /// `failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Standby { .. } => "standby",
            Self::BackingOff { .. } => "backing_off",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// The same for people.
    pub const fn spoken(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching up",
            Self::Standby { .. } => "standing by",
            Self::BackingOff { .. } => "backing off",
            state => state.as_str(),
        }
    }
}

/// An error, and when it happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LastError {
    /// Its message with those of its causes, on one line.
    pub message: String,
    /// When, by this host's clock.
    pub at: Timestamp,
}

/// How far one read model of the projector is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadModelStatus {
    /// Its name; [`OPS_DB`](guildhall_core::OPS_DB) for the Ops DB itself.
    pub name: String,
    /// The last position whose effects on it are durable.
    pub position: Position,
    /// False where another projector holds the lease and leaves this one where it is: that one does
    /// not know it.
    pub is_projected: bool,
}

/// How the runtime is doing, as of its last step.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// The last position whose effects are durable, in every read model.
    pub position: Position,
    /// Each of its read models.
    pub read_models: Vec<ReadModelStatus>,
    /// The end of the log, as far as it knows.
    pub head: Position,
    /// Entries a second over the last five seconds.
    pub rate: f64,
    /// Entries applied since it was started.
    pub entries: u64,
    /// How many of them went to quarantine.
    pub quarantined: u64,
    /// How many of them have a type that this version does not know.
    pub skipped: u64,
    /// How often it started again after a failure.
    pub restarts: u64,
    /// The last error, whether or not it recovered.
    pub last_error: Option<LastError>,
    /// How what a [rebuild](crate::rebuild) made differs from what it took the place of.
    pub differences: Vec<Difference>,
    /// Why it [failed](State::Failed).
    pub failure: Option<Arc<RuntimeError>>,
}

impl Status {
    pub(crate) fn starting() -> Self {
        Self {
            state: State::Starting,
            position: Position::ZERO,
            read_models: Vec::new(),
            head: Position::ZERO,
            rate: 0.0,
            entries: 0,
            quarantined: 0,
            skipped: 0,
            restarts: 0,
            last_error: None,
            differences: Vec::new(),
            failure: None,
        }
    }

    /// How many entries of the log are not applied, as far as it knows.
    pub fn lag(&self) -> u64 {
        self.head.get().saturating_sub(self.position.get())
    }

    /// Whether it does its work, or stands by for the one that does: not while it backs off, not
    /// after it failed or was stopped, not where it stands beyond the end of the log, and not while
    /// the one that does the work leaves a read model out.
    pub fn is_healthy(&self) -> bool {
        match self.state {
            State::Starting | State::CatchingUp | State::Live | State::Standby { .. } => {
                self.position <= self.head && self.read_models.iter().all(|it| it.is_projected)
            }
            State::BackingOff { .. } | State::Stopped | State::Failed => false,
        }
    }

    /// A read model that will not get to `position` as things stand: whoever holds the lease does not
    /// project it.
    pub(crate) fn left_out(&self, position: Position) -> Option<&ReadModelStatus> {
        self.read_models.iter().find(|it| !it.is_projected && it.position < position)
    }

    pub(crate) fn count(&mut self, applied: &Applied, head: Position) {
        self.position = applied.position;
        for read_model in &mut self.read_models {
            read_model.position = read_model.position.max(applied.position);
        }
        self.head = self.head.max(head).max(applied.position);
        self.entries += applied.entries;
        self.quarantined += applied.quarantined;
        self.skipped += applied.skipped;
        self.state = if self.lag() == 0 { State::Live } else { State::CatchingUp };
    }
}

/// An error and its causes on one line, without what an error already says of its cause.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| {
        let cause = cause.to_string();
        if line.ends_with(&cause) { line } else { format!("{line}: {cause}") }
    })
}

/// How many entries a second, over a sliding window.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(5);

    /// Takes in that `entries` were applied by `now`, and returns the rate.
    pub(crate) fn update(&mut self, now: Instant, entries: u64) -> f64 {
        self.samples.push_back((now, entries));
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > Self::WINDOW)
        {
            self.samples.pop_front();
        }
        let Some((first, _)) = self.samples.front() else { return 0.0 };
        let seconds = now.duration_since(*first).as_secs_f64();
        // The first sample only says when counting began.
        let counted: u64 = self.samples.iter().skip(1).map(|(_, entries)| entries).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        if seconds > 0.0 { counted as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn a_cause_is_said_once() {
        let cause = || Some(Box::new(Said("it is full", None)));
        assert_eq!(chain(&Said("cannot write", cause())), "cannot write: it is full");
        assert_eq!(chain(&Said("cannot write: it is full", cause())), "cannot write: it is full");
    }

    #[test]
    fn the_rate_forgets_what_is_past() {
        let mut rate = Rate::default();
        let start = Instant::now();
        assert!(rate.update(start, 0).abs() < f64::EPSILON);
        assert!((rate.update(start + Duration::from_secs(1), 500) - 500.0).abs() < 1e-6);
        let later = start + Duration::from_secs(60);
        rate.update(later, 0);
        assert!(rate.update(later + Duration::from_secs(1), 10) < 11.0);
    }

    #[test]
    fn health_says_whether_the_work_is_done() {
        let mut status = Status::starting();
        assert!(status.is_healthy());
        status.state = State::BackingOff { pause: Duration::ZERO };
        assert!(!status.is_healthy());
        status.state = State::Failed;
        assert!(!status.is_healthy() && status.state.is_final());
        status.state = State::Live;
        (status.position, status.head) = (Position::new(9), Position::new(8));
        assert!(!status.is_healthy(), "it stands beyond the end of the log");
    }
}
