//! Where the projector and the orchestrator stand: the same facts for pages, health and metrics.

use std::time::Duration;

use guildhall_core::{Checkpoint, OPS_DB, Position, StoreError, Timestamp};
use guildhall_projector::ceremony::{FeedState, Refusal};
use guildhall_projector::{LastError, State};
use serde::Serialize;
use tokio::time::Instant;

use crate::app::App;

/// How long the checkpoint may stand still, with entries to apply, before the projector counts as
/// stalled.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Where the projector stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Standing {
    /// What the projector is doing, in a word or two.
    pub state: &'static str,
    /// Whether it does its work, as far as can be seen.
    pub is_healthy: bool,
    /// Whether what is shown is live: the orchestrator follows.
    pub is_live: bool,
    /// The last position that the Ops DB has taken in.
    pub position: Position,
    /// The end of the Chronicle.
    pub head: Position,
    /// How many entries lie between the two.
    pub lag: u64,
    /// Entries a second, lately; none where another process projects.
    pub rate: Option<f64>,
    /// How often the projector started again; none where another process projects.
    pub restarts: Option<u64>,
    /// The last error of the projector, or else of the orchestrator.
    pub last_error: Option<LastFailure>,
    /// The feeds of ceremonies.
    pub feeds: Vec<FeedStanding>,
}

/// An error, and when it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastFailure {
    /// Its message with those of its causes.
    pub message: String,
    /// When, by the host's clock.
    pub at: Timestamp,
}

/// How a feed is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FeedStanding {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: FeedState,
    /// How many steps of ceremonies were recorded.
    pub recorded: u64,
    /// How many were recorded before.
    pub known: u64,
    /// How many of the steps that it reports are refused at present.
    pub refused: u64,
    /// The latest of these.
    pub refusals: Vec<Refusal>,
    /// Its last error since it last listened.
    pub last_error: Option<LastFailure>,
}

impl FeedStanding {
    /// Why it receives nothing, if it does not.
    pub(crate) fn deaf_for(&self) -> Option<(&Self, &LastFailure)> {
        self.last_error.as_ref().filter(|_| !self.hears()).map(|error| (self, error))
    }

    /// Whether it hears all that there is.
    pub(crate) fn hears(&self) -> bool {
        matches!(self.state, FeedState::Listening | FeedState::Ended)
    }
}

fn failure(error: &LastError) -> LastFailure {
    LastFailure { message: error.message.clone(), at: error.at }
}

impl Standing {
    /// Whether what the tables say is still held against the log.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_healthy && self.is_live
    }

    pub(crate) async fn load(app: &App) -> Result<Self, StoreError> {
        let head = app.orchestrator.head().await?;
        let checkpoint = app.ops_db.checkpoint(OPS_DB).await?;
        Self::at(app, head, checkpoint).await
    }

    /// Where it stood at a moment that had this checkpoint, with the end of the Chronicle as of before.
    pub(crate) async fn at(
        app: &App,
        head: Position,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self, StoreError> {
        let position = checkpoint.map_or(Position::ZERO, |checkpoint| checkpoint.position);
        // Between the two questions both may have moved; asked again, the log has what was applied.
        let head = if head < position { app.orchestrator.head().await? } else { head };
        let lag = head.get().saturating_sub(position.get());
        let still_for = app.progress.still_for(position, lag, Instant::now());
        let is_stalled = still_for >= STALLED_AFTER;
        let follows = app.orchestrator.status();
        let projector = app.projector.as_ref().map(|status| status.borrow().clone());
        let (state, is_healthy) = match &projector {
            _ if head < position => ("ahead of the log", false),
            _ if is_stalled => ("stalled", false),
            Some(status) => (status.state.spoken(), status.is_healthy()),
            None if lag > 0 => (State::CatchingUp.spoken(), true),
            None => (State::Live.spoken(), true),
        };
        let last_error = projector.as_ref().and_then(|status| status.last_error.as_ref());
        let feeds = follows.feeds.iter().map(|feed| FeedStanding {
            name: feed.name.clone(),
            state: feed.state,
            recorded: feed.recorded,
            known: feed.known,
            refused: feed.refused,
            refusals: feed.refusals.iter().cloned().collect(),
            last_error: feed.last_error.as_ref().map(failure),
        });
        let is_live =
            !matches!(follows.state, State::BackingOff { .. } | State::Stopped | State::Failed);
        Ok(Self {
            state,
            is_healthy,
            is_live,
            position,
            head,
            lag,
            rate: projector.as_ref().map(|status| status.rate),
            restarts: projector.as_ref().map(|status| status.restarts),
            last_error: last_error.or(follows.last_error.as_ref()).map(failure),
            feeds: feeds.collect(),
        })
    }
}
