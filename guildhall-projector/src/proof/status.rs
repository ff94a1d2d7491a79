//! How a sealer is doing.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{HolderId, Position, Timestamp, TreeHash};

use super::error::SealerError;
use crate::status::LastError;

/// What a sealer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealerState {
    /// It has not looked at the log yet.
    Starting,
    /// It waits for something to seal.
    Live,
    /// It reads, signs and saves what is new.
    Sealing,
    /// It hands the last seal to its sinks.
    Telling,
    /// Another sealer holds the lease; it waits to take over.
    Standby {
        /// Who holds it.
        holder: HolderId,
        /// Until when, by the database's clock, unless it is renewed.
        until: Timestamp,
    },
    /// Something failed that may pass; it pauses, then begins again from the last seal.
    BackingOff {
        /// How long the pause is.
        pause: Duration,
    },
    /// It was shut down.
    Stopped,
    /// Something failed that does not pass: [`SealerStatus::failure`].
    Failed,
}

impl SealerState {
    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// How far a sink has got.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// The size of the newest seal that it took from this sealer; none where it took none yet.
    pub size: Option<u64>,
    /// Why it did not take the newest one, while it has not.
    pub error: Option<LastError>,
}

/// How a sealer is doing, as of its last step.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SealerStatus {
    /// What it is doing.
    pub state: SealerState,
    /// How many entries the last seal covers; 0 where there is none.
    pub size: u64,
    /// The root of the last seal.
    pub root: Option<TreeHash>,
    /// When that was made.
    pub sealed_at: Option<Timestamp>,
    /// How long its last seal took, from looking at what is new to saving the seal.
    pub took: Option<Duration>,
    /// The end of the log, as far as it knows.
    pub head: Position,
    /// How many seals it made since it was started.
    pub seals: u64,
    /// How often it began again after a failure.
    pub restarts: u64,
    /// The last error, whether or not it recovered.
    pub last_error: Option<LastError>,
    /// Its sinks, in the order in which they were given.
    pub sinks: Vec<SinkStatus>,
    /// Why it [failed](SealerState::Failed).
    pub failure: Option<Arc<SealerError>>,
}

impl SealerStatus {
    pub(super) fn starting<'s>(sinks: impl IntoIterator<Item = &'s str>) -> Self {
        let sink = |name: &str| SinkStatus { name: name.to_owned(), size: None, error: None };
        Self {
            state: SealerState::Starting,
            size: 0,
            root: None,
            sealed_at: None,
            took: None,
            head: Position::ZERO,
            seals: 0,
            restarts: 0,
            last_error: None,
            sinks: sinks.into_iter().map(sink).collect(),
            failure: None,
        }
    }

    /// How many entries no seal covers, as far as it knows.
    pub fn unsealed(&self) -> u64 {
        self.head.get().saturating_sub(self.size)
    }

    /// Whether it is working, or stands by for the one that is: not while it backs off, and not
    /// after it failed or was stopped.
    pub fn is_at_work(&self) -> bool {
        match self.state {
            SealerState::Starting
            | SealerState::Live
            | SealerState::Sealing
            | SealerState::Telling
            | SealerState::Standby { .. } => true,
            SealerState::BackingOff { .. } | SealerState::Stopped | SealerState::Failed => false,
        }
    }

    /// Whether no sink has failed to take the last seal.
    pub fn is_told(&self) -> bool {
        self.sinks.iter().all(|sink| sink.error.is_none())
    }

    /// Whether it [does its work](Self::is_at_work), and every sink [was told](Self::is_told).
    pub fn is_healthy(&self) -> bool {
        self.is_at_work() && self.is_told()
    }
}
