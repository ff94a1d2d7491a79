//! Seeded logs of any length: the same for the same seed, ids and times included, and a shorter one
//! is the beginning of a longer one.
//!
//! [`Workload`] is sound: every entry keeps every invariant. [`Hostile`] puts entries that break
//! one in between. Both are iterators that hold the heads of the artifacts and nothing else.
//!
//! ```
//! use guildhall_workload::{Mix, Workload};
//!
//! let mut workload = Workload::new(7, Mix::CUSTODY);
//! let entry = workload.next().unwrap();
//! assert_eq!(entry.event_type.as_str(), "dev.guildhouse.chronicle.accord.bound.v1");
//! assert_eq!(Workload::new(7, Mix::CUSTODY).next(), Some(entry));
//! ```
#![deny(missing_docs)]

mod hostile;
pub mod random;

use std::fmt::Write as _;

use guildhall_core::custody::{self, ChainHead, Move};
use guildhall_core::event::artifact_type;
use guildhall_core::{
    AccordBound, AccordId, ArtifactId, ArtifactRegistered, ArtifactRevised, CeremonyId, Cid,
    CustodyPolicy, CustodyState, DeploymentObserved, Event, EventId, Json, Metadata, NewEntry,
    Outcome, Tier, Timestamp, VerificationRecorded,
};

pub use hostile::{Flaw, Hostile, HostileEntry};

use crate::random::Random;

/// 2026-01-01T00:00:00Z, in microseconds.
const START_MICROS: i64 = 1_767_225_600_000_000;

/// The targets that every artifact is observed on.
pub const TARGETS: [&str; 3] = ["site-a", "site-b", "Überlingen \"3\""];

/// Who moves custody.
pub const ACTORS: [&str; 3] = ["ada", "grace", "substrate"];

/// How many accords a log begins with.
const FIRST_ACCORDS: usize = 3;

/// How many of a thousand entries are of which kind, about; what is left of the thousand are
/// verifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Accords, beside the three that every log begins with.
    pub accords: u64,
    /// Registrations.
    pub registrations: u64,
    /// Transitions.
    pub transitions: u64,
    /// Revisions.
    pub revisions: u64,
    /// Deployment observations.
    pub observations: u64,
}

impl Mix {
    /// "Custody-mix", which Guildhall is measured by: 1% registrations, 9% transitions and a few
    /// revisions, 60% observations, 30% verifications.
    pub const CUSTODY: Self =
        Self { accords: 0, registrations: 10, transitions: 85, revisions: 5, observations: 600 };

    /// Few entries, much happening: for tests.
    pub const DENSE: Self =
        Self { accords: 10, registrations: 80, transitions: 450, revisions: 60, observations: 250 };
}

/// A sound log, without an end.
#[derive(Debug, Clone)]
pub struct Workload {
    random: Random,
    mix: Mix,
    policy: CustodyPolicy,
    now: Timestamp,
    accords: Vec<AccordId>,
    artifacts: Vec<Artifact>,
    text: String,
}

/// What is known of an artifact.
#[derive(Debug, Clone)]
struct Artifact {
    id: ArtifactId,
    cid: Cid,
    head: Option<ChainHead>,
    ratified: Vec<Cid>,
}

impl Artifact {
    fn state(&self) -> Option<CustodyState> {
        self.head.as_ref().map(|head| head.state)
    }

    fn is_frozen(&self) -> bool {
        matches!(self.state(), Some(CustodyState::CeremonyOpen | CustodyState::Retired))
    }
}

impl Workload {
    /// The log of this seed.
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self {
            random: Random::seeded(seed),
            mix,
            policy: CustodyPolicy::standard(),
            now: Timestamp::from_micros(START_MICROS).unwrap_or(Timestamp::MIN),
            accords: Vec::new(),
            artifacts: Vec::new(),
            text: String::new(),
        }
    }

    /// Lets one to three seconds pass.
    fn tick(&mut self) {
        let pause = 1_000_000 + self.random.below(2_000_000).cast_signed();
        self.now = before(self.now, -pause);
    }

    fn event(&mut self) -> Event {
        if self.accords.len() < FIRST_ACCORDS {
            return self.bind();
        }
        if self.artifacts.is_empty() {
            return self.register();
        }
        let Mix { accords, registrations, transitions, revisions, observations } = self.mix;
        let mut drawn = self.random.below(1000);
        let mut falls_in = |share: u64| {
            let is_in = drawn < share;
            drawn = drawn.saturating_sub(share);
            is_in
        };
        if falls_in(accords) {
            return self.bind();
        }
        if falls_in(registrations) {
            return self.register();
        }
        let moved = if falls_in(transitions) {
            self.transition()
        } else if falls_in(revisions) {
            self.revise()
        } else if falls_in(observations) {
            None
        } else {
            return self.verify();
        };
        moved.unwrap_or_else(|| self.observe())
    }

    fn bind(&mut self) -> Event {
        let accord_id = AccordId::from_uuid(self.random.uuid(self.now));
        let nth = self.accords.len();
        self.accords.push(accord_id);
        AccordBound {
            accord_id,
            accord_terms: canonical(&format!(
                r#"{{"approvals":{{"quorum":{}}},"areas":["{}","network"],"retention_years":7}}"#,
                nth % 4,
                ["workplace", "edge"][nth % 2],
            )),
            bound_by: "board".to_owned(),
            effective_at: self.now,
            // Names repeat, so that orders have ties to break.
            name: format!("accord {}", nth % 5),
        }
        .into()
    }

    /// Some 600 bytes, never the same.
    fn content(&mut self) -> Json {
        self.text.clear();
        let text = &mut self.text;
        let serial = self.random.below(1 << 40);
        // Writing to a string cannot fail.
        let _ = write!(text, r#"{{"comment":"Zone für \"ξ\" / {serial}","records":["#);
        for host in 0..6 {
            let (octet, ttl) = (self.random.below(256), self.random.pick(&[60, 300, 3600]));
            let separator = if host == 0 { "" } else { "," };
            let _ = write!(
                text,
                r#"{separator}{{"address":"192.0.2.{octet}","name":"host-{host}","proxied":false,"ttl":{ttl},"type":"A"}}"#
            );
        }
        let refresh = self.random.below(10_000);
        let _ = write!(
            text,
            r#"],"serial":{serial},"soa":{{"expire":1209600,"minimum":0.5,"refresh":{refresh}}}}}"#
        );
        canonical(text)
    }

    fn register(&mut self) -> Event {
        const NAMES: [&str; 5] = ["zone", "Zone", "100%_sure", "größe", "z"];
        let id = ArtifactId::from_uuid(self.random.uuid(self.now));
        let content = self.content();
        let cid = Cid::of(&content);
        let name = format!("{}-{}.example", self.random.pick(&NAMES), self.random.below(1000));
        self.artifacts.push(Artifact { id, cid, head: None, ratified: Vec::new() });
        ArtifactRegistered {
            accord_id: self.random.pick(&self.accords),
            artifact_id: id,
            artifact_type: self.random.pick(&artifact_type::WELL_KNOWN).to_owned(),
            cid,
            content,
            content_schema: "https://schemas.example.com/dns-zone/1".to_owned(),
            name,
            tier: self.random.pick(&Tier::ALL),
        }
        .into()
    }

    /// An artifact for which this holds, if a few draws find one.
    fn find(&mut self, holds: impl Fn(&Artifact) -> bool) -> Option<usize> {
        (0..16)
            .map(|_| self.random.index(self.artifacts.len()))
            .find(|at| self.artifacts.get(*at).is_some_and(&holds))
    }

    fn transition(&mut self) -> Option<Event> {
        let at = self.find(|artifact| artifact.state() != Some(CustodyState::Retired))?;
        let artifact = &self.artifacts[at];
        let Some(from) = artifact.state() else {
            return Some(self.move_to(at, CustodyState::Drafted));
        };
        let is_released = artifact.ratified.contains(&artifact.cid);
        let may_retire = self.random.once_in(20);
        let permitted: Vec<_> = self
            .policy
            .successors(from)
            .filter(|to| match to {
                CustodyState::Deployed => is_released,
                CustodyState::Retired => may_retire,
                _ => true,
            })
            .collect();
        let to_state = *permitted.get(self.random.index(permitted.len()))?;
        Some(self.move_to(at, to_state))
    }

    /// A sound move of an artifact, if the policy permits it.
    fn move_to(&mut self, at: usize, to_state: CustodyState) -> Event {
        let wanted = self.wanted(to_state);
        let artifact = &mut self.artifacts[at];
        let link = custody::link(artifact.id, artifact.cid, artifact.head.as_ref(), wanted);
        artifact.head = Some(ChainHead::from(&link));
        if to_state == CustodyState::Ratified && !artifact.ratified.contains(&link.cid) {
            artifact.ratified.push(link.cid);
        }
        link.into()
    }

    fn wanted(&mut self, to_state: CustodyState) -> Move {
        let enters = to_state == CustodyState::CeremonyOpen;
        Move {
            to_state,
            actor: self.random.pick(&ACTORS).to_owned(),
            reason: "change 42: \"as agreed\"\n".to_owned(),
            ceremony_id: enters.then(|| CeremonyId::from_uuid(self.random.uuid(self.now))),
            evidence: canonical(&format!(r#"{{"votes":[{}, 0.25]}}"#, self.random.below(9))),
            occurred_at: self.now,
        }
    }

    fn revise(&mut self) -> Option<Event> {
        let at = self.find(|artifact| !artifact.is_frozen())?;
        let content = self.content();
        let artifact = &mut self.artifacts[at];
        let previous_cid = std::mem::replace(&mut artifact.cid, Cid::of(&content));
        Some(
            ArtifactRevised {
                artifact_id: artifact.id,
                cid: artifact.cid,
                content,
                content_schema: "https://schemas.example.com/dns-zone/2".to_owned(),
                previous_cid,
            }
            .into(),
        )
    }

    fn observe(&mut self) -> Event {
        let at = self.random.index(self.artifacts.len());
        let Artifact { id, cid, .. } = self.artifacts[at];
        // Whole seconds, so that some are equal; and now and then one that comes late.
        let late = if self.random.once_in(20) { self.random.below(86_400) } else { 0 };
        let seconds = self.now.as_micros() / 1_000_000 - late.cast_signed();
        DeploymentObserved {
            artifact_id: id,
            desired_cid: cid,
            detail: Json::null(),
            observed_at: Timestamp::from_micros(seconds * 1_000_000).unwrap_or(self.now),
            observed_cid: match self.random.below(20) {
                0 => None,
                1 | 2 => Some(Cid::from_digest([7; 32])),
                _ => Some(cid),
            },
            target: self.random.pick(&TARGETS).to_owned(),
        }
        .into()
    }

    fn verify(&mut self) -> Event {
        let at = self.random.index(self.artifacts.len());
        let target = self.random.pick(&TARGETS);
        VerificationRecorded {
            artifact_id: self.artifacts[at].id,
            evidence: canonical(&format!(r#"{{"differences":{}}}"#, self.random.below(3))),
            outcome: match self.random.below(20) {
                0 => Outcome::Inconclusive,
                1 | 2 => Outcome::Failed,
                _ => Outcome::Passed,
            },
            target: (!self.random.once_in(4)).then(|| target.to_owned()),
            // Several at one moment, so that orders have ties to break.
            verified_at: before(self.now, self.now.as_micros() % 5_000_000),
            verifier: "auditor".to_owned(),
        }
        .into()
    }

    fn entry(&mut self, event: &Event) -> NewEntry {
        let event_id = EventId::from_uuid(self.random.uuid(self.now));
        let ceremony = match event {
            Event::CustodyTransitioned(link) => link.ceremony_id,
            _ => None,
        };
        let correlation_id = ceremony.map(|ceremony| ceremony.to_string());
        NewEntry {
            metadata: Metadata::default().correlation_id(correlation_id),
            recorded_at: Some(self.now),
            ..NewEntry::with_id(event_id, event)
        }
    }
}

impl Iterator for Workload {
    type Item = NewEntry;

    fn next(&mut self) -> Option<NewEntry> {
        self.tick();
        let event = self.event();
        Some(self.entry(&event))
    }
}

/// So many microseconds before a moment.
fn before(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub(micros)).unwrap_or(at)
}

/// Texts that are written here are I-JSON.
fn canonical(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|_| Json::null())
}
