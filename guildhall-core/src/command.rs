//! Commands: checked against the chain, completed, and appended (DESIGN section 4).
//!
//! The [`Recorder`] makes sound entries. It reads the streams that a command touches, judges the
//! event by the same code as the projector, and appends it only if nobody wrote there meanwhile;
//! if somebody did, it judges again. A command that breaks an invariant is an error, and nothing
//! is written; so is one whose event says that it happens later than now and a tolerance.

mod act;
mod clock;
mod recorder;

use std::time::Duration;

use crate::chronicle::Metadata;
use crate::cid::Cid;
use crate::custody::{self, CustodyState, Move};
use crate::event::{ArtifactRevised, Event};
use crate::ids::{ArtifactId, CeremonyId, EventId, StreamId};
use crate::invariant::{ArtifactHead, Violation};
use crate::json::Json;
use crate::time::Timestamp;

pub use act::Act;
pub use clock::{Clock, InFuture, TOLERANCE};
pub use recorder::{Judgement, RecordError, Recorder};

/// Something to record: an event as it is, or one that the artifact's present state completes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is recorded until a `Recorder` records it"]
pub struct Command {
    event_id: EventId,
    metadata: Metadata,
    recorded_at: Option<Timestamp>,
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Event(Event),
    Revision {
        artifact_id: ArtifactId,
        content: Json,
        content_schema: String,
    },
    /// Of the artifact's current content, or of this and no other.
    Move {
        artifact_id: ArtifactId,
        cid: Option<Cid>,
        wanted: Move,
        clock_resolution: Duration,
        latest: Option<Timestamp>,
    },
}

impl Command {
    fn new(wanted: Wanted) -> Self {
        Self { event_id: EventId::new(), metadata: Metadata::default(), recorded_at: None, wanted }
    }

    fn of_move(
        artifact_id: ArtifactId,
        to_state: CustodyState,
        ceremony_id: Option<CeremonyId>,
        act: Act,
    ) -> Self {
        let Act { actor, reason, evidence, occurred_at, clock_resolution, latest } = act;
        let wanted = Move { to_state, actor, reason, ceremony_id, evidence, occurred_at };
        Self::new(Wanted::Move { artifact_id, cid: None, wanted, clock_resolution, latest })
    }

    /// Replaces the artifact's content; `cid` and `previous_cid` are computed.
    pub fn revise(
        artifact_id: ArtifactId,
        content: Json,
        content_schema: impl Into<String>,
    ) -> Self {
        Self::new(Wanted::Revision { artifact_id, content, content_schema: content_schema.into() })
    }

    /// Moves the artifact's custody; `seq`, `from_state`, `cid`, `prev_hash`, `hash` and the
    /// ceremony that is left are computed.
    pub fn transition(artifact_id: ArtifactId, to_state: CustodyState, act: Act) -> Self {
        Self::of_move(artifact_id, to_state, None, act)
    }

    /// Opens a ceremony on the artifact's current content.
    pub fn open_ceremony(artifact_id: ArtifactId, ceremony_id: CeremonyId, act: Act) -> Self {
        Self::of_move(artifact_id, CustodyState::CeremonyOpen, Some(ceremony_id), act)
    }

    /// Closes this ceremony with an outcome; refused (`CC09`) where another one is open.
    pub fn close_ceremony(
        artifact_id: ArtifactId,
        ceremony_id: CeremonyId,
        outcome: CustodyState,
        act: Act,
    ) -> Self {
        Self::of_move(artifact_id, outcome, Some(ceremony_id), act)
    }

    /// The same move, refused (`CC08`) unless this is the artifact's content when it is recorded.
    /// Other commands name their content already.
    pub fn of_content(self, cid: Cid) -> Self {
        let wanted = match self.wanted {
            Wanted::Move { artifact_id, wanted, clock_resolution, latest, .. } => {
                Wanted::Move { artifact_id, cid: Some(cid), wanted, clock_resolution, latest }
            }
            other @ (Wanted::Event(_) | Wanted::Revision { .. }) => other,
        };
        Self { wanted, ..self }
    }

    /// The same under this event id: recording it twice records it once.
    pub fn with_id(self, event_id: EventId) -> Self {
        Self { event_id, ..self }
    }

    /// The same with this metadata.
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }

    /// The same, recorded at this time and not at the store's.
    pub fn recorded_at(self, recorded_at: Timestamp) -> Self {
        Self { recorded_at: Some(recorded_at), ..self }
    }

    fn stream(&self) -> StreamId {
        match &self.wanted {
            Wanted::Event(event) => event.stream(),
            Wanted::Revision { artifact_id, .. } | Wanted::Move { artifact_id, .. } => {
                (*artifact_id).into()
            }
        }
    }

    /// The event, completed by what is known of the artifact.
    fn complete(&self, artifact: Option<&ArtifactHead>) -> Result<Event, Violation> {
        let existing = |artifact_id| artifact.ok_or(Violation::NoArtifact { artifact_id });
        Ok(match &self.wanted {
            Wanted::Event(event) => event.clone(),
            Wanted::Revision { artifact_id, content, content_schema } => {
                let previous_cid = existing(*artifact_id)?.cid;
                let (content, schema) = (content.clone(), content_schema);
                ArtifactRevised::new(*artifact_id, content, schema, previous_cid).into()
            }
            Wanted::Move { artifact_id, cid, wanted, clock_resolution, latest } => {
                let head = existing(*artifact_id)?;
                let (cid, chain) = (cid.unwrap_or(head.cid), head.chain.as_ref());
                let occurred_at = act::dated(wanted.occurred_at, *clock_resolution, *latest, chain);
                let wanted = Move { occurred_at, ..wanted.clone() };
                custody::link(*artifact_id, cid, chain, wanted).into()
            }
        })
    }
}

impl<E: Into<Event>> From<E> for Command {
    /// Records the event as it is.
    fn from(event: E) -> Self {
        Self::new(Wanted::Event(event.into()))
    }
}

#[cfg(test)]
mod tests;
