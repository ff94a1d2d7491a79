//! Given this, when that, then …: for tests of a policy of one's own, over the in-memory stores.
//!
//! A [`Scenario`] needs no runtime and no clock: whatever time an event says is taken.
//!
//! ```
//! use guildhall_core::command::{Act, Command};
//! use guildhall_core::custody::Rule;
//! use guildhall_core::testing::Scenario;
//! use guildhall_core::CustodyState::{Drafted, Ratified};
//! use guildhall_core::*;
//!
//! let at: Timestamp = "2026-11-23T10:05:00Z".parse()?;
//! let accord = AccordBound::new("change control", "board", "{}".parse()?, at);
//! let zone = ArtifactRegistered::new(
//!     accord.accord_id, "dns_zone", "example.com", Tier::ZERO, r#"{"ttl":300}"#.parse()?, "zone.json",
//! );
//! let (id, ceremony) = (zone.artifact_id, CeremonyId::new());
//! let four_eyes = CustodyPolicy::standard().with_rule(Rule::FourEyes { to: Ratified });
//! let opened = Scenario::under(four_eyes)
//!     .given(accord)
//!     .given(zone)
//!     .given(Command::transition(id, Drafted, Act::new("ada", "new", at)))
//!     .given(Command::open_ceremony(id, ceremony, Act::new("ada", "please", at)));
//!
//! let ratify = |actor| Command::close_ceremony(id, ceremony, Ratified, Act::new(actor, "fine", at));
//! opened.when(ratify("ada")).then_refused(Code::CC04, "the actor who opened a ceremony may not close it");
//! opened.when(ratify("grace")).then_tables(|tables| {
//!     assert_eq!(tables.governed_artifacts[0].custody_state, Some(Ratified));
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(clippy::panic, reason = "what does not hold fails the test that asked")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::chronicle::{Append, Chronicle, Entry, NewEntry, ReadLimit};
use crate::command::{Clock, Command, RecordError, Recorder};
use crate::custody::CustodyPolicy;
use crate::event::{Decoded, Event, decode};
use crate::ids::Position;
use crate::invariant::Code;
use crate::memory::{MemoryChronicle, MemoryOpsDb};
use crate::ops::Tables;
use crate::projector::{Batch, Projector};
use crate::time::Timestamp;

/// What has been recorded under a policy, and what a command is tried on. Each [`when`](Self::when)
/// starts from the same state.
#[derive(Debug, Clone)]
#[must_use = "nothing is tried until `when`"]
pub struct Scenario {
    policy: CustodyPolicy,
    entries: Vec<Entry>,
}

impl Scenario {
    /// Nothing recorded yet, under this policy.
    pub const fn under(policy: CustodyPolicy) -> Self {
        Self { policy, entries: Vec::new() }
    }

    /// The same with this command or event recorded.
    ///
    /// # Panics
    /// If it is refused: what is given has to be sound.
    #[track_caller]
    pub fn given(mut self, command: impl Into<Command>) -> Self {
        let nth = self.entries.len() + 1;
        let outcome = self.when(command);
        if let Err(error) = &outcome.recorded {
            panic!("what is given as number {nth} is refused: {error}");
        }
        self.entries = outcome.entries;
        self
    }

    /// Tries to record this command or event.
    pub fn when(&self, command: impl Into<Command>) -> Outcome {
        let chronicle = MemoryChronicle::new();
        let given = self.entries.iter().map(|entry| NewEntry {
            event_id: entry.event_id,
            stream_id: entry.stream_id,
            event_type: entry.event_type.clone(),
            payload: crate::json::Json::unchecked(entry.payload.to_string()),
            metadata: entry.metadata.clone(),
            recorded_at: Some(entry.recorded_at),
        });
        let given = answer(chronicle.append(Append::of(given.collect::<Vec<_>>())));
        debug_assert!(given.is_ok(), "{given:?}");
        let recorder = Recorder::new(std::sync::Arc::new(chronicle.clone()), self.policy.clone())
            .by_clock(Clock::from_fn(|| Timestamp::MAX));
        let recorded = answer(recorder.record(command.into())).map(|_| ());
        let entries = answer(chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)));
        let entries = entries.unwrap_or_default();
        Outcome {
            policy: self.policy.clone(),
            given: self.entries.len(),
            entries,
            chronicle,
            recorded,
        }
    }
}

/// What became of a command.
#[derive(Debug)]
#[must_use = "it says nothing until it is asked"]
pub struct Outcome {
    policy: CustodyPolicy,
    given: usize,
    entries: Vec<Entry>,
    chronicle: MemoryChronicle,
    recorded: Result<(), RecordError>,
}

impl Outcome {
    /// Holds that the command was refused with this code, for a reason that contains this text.
    ///
    /// # Panics
    /// If it was recorded, or refused with another code or for another reason.
    #[track_caller]
    pub fn then_refused(&self, code: Code, because: &str) {
        match &self.recorded {
            Ok(()) => panic!("it is recorded, and should be refused with {code}"),
            Err(error) if error.code() == Some(code) && error.to_string().contains(because) => {}
            Err(error) => {
                panic!("it is refused with {error}, and should be with {code}: {because}")
            }
        }
    }

    /// Holds that the command was recorded as these events.
    ///
    /// # Panics
    /// If it was refused, or recorded as others.
    #[track_caller]
    pub fn then_events(&self, expected: impl IntoIterator<Item = Event>) {
        let expected: Vec<Event> = expected.into_iter().collect();
        assert_eq!(self.events(), expected, "it is recorded as other events");
    }

    /// The events that the command was recorded as; none where they were recorded before.
    ///
    /// # Panics
    /// If it was refused.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        self.require_recorded();
        let decoded = self.entries[self.given..].iter().map(|entry| {
            match decode(&entry.event_type, entry.stream_id, &entry.payload) {
                Ok(Decoded::Event(event)) => event,
                other => panic!("what was recorded does not decode: {other:?}"),
            }
        });
        decoded.collect()
    }

    /// Judges the Ops DB's tables as a projector under the same policy makes them, once the command
    /// is recorded.
    ///
    /// # Panics
    /// If the command was refused, if the projector does not take what the recorder took, or as
    /// `judge` does.
    #[track_caller]
    pub fn then_tables(&self, judge: impl FnOnce(&Tables)) {
        self.require_recorded();
        let ops_db = MemoryOpsDb::new();
        let projector = ops_db.projector().with_policy(self.policy.clone());
        let origin = answer(self.chronicle.origin()).ok().flatten();
        let batch = origin.map(|origin| Batch::decode(origin, self.entries.clone()));
        let Some(Ok(batch)) = batch else { panic!("the log has no beginning: {batch:?}") };
        if let Err(error) = answer(projector.apply(batch)) {
            panic!("it does not project: {error}");
        }
        let tables = ops_db.tables();
        let quarantined = &tables.quarantined_entries;
        assert!(quarantined.is_empty(), "recorded, and quarantined: {quarantined:?}");
        judge(&tables);
    }

    #[track_caller]
    fn require_recorded(&self) {
        if let Err(error) = &self.recorded {
            panic!("it is refused: {error}");
        }
    }
}

/// The in-memory stores never wait.
fn answer<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("an in-memory store waits"),
    }
}

#[cfg(test)]
mod tests;
