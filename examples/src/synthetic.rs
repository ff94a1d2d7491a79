//! A synthetic Chronicle of any length, for trying scale: 1% registrations, 9% transitions, 60%
//! deployment observations over three targets an artifact, 30% verifications.
//!
//! It is the same for the same length, and a shorter one is the beginning of a longer one. Only
//! the artifacts that are still worked on are held in memory.

use guildhall_core::custody::{self, ChainHead, Move};
use guildhall_core::event::artifact_type;
use guildhall_core::{
    AccordBound, AccordId, ArtifactId, ArtifactRegistered, CeremonyId, Cid, CustodyPolicy,
    CustodyState, DeploymentObserved, Event, EventId, Json, NewEntry, Outcome, Tier, Timestamp,
    VerificationRecorded,
};
use serde_json::json;

use crate::random::Random;

/// The name of its Chronicle.
pub const ORIGIN: &str = "guildhall/synthetic";

/// How many artifacts are worked on at a time.
const WORKED_ON: usize = 1000;

const TARGETS: [&str; 3] = ["site-a", "site-b", "site-c"];
/// 2026-01-01T00:00:00Z, in microseconds; an entry comes every 250 ms.
const START_MICROS: i64 = 1_767_225_600_000_000;
const INTERVAL_MICROS: i64 = 250_000;

/// The entries, without an end.
#[derive(Debug)]
pub struct Synthetic {
    random: Random,
    policy: CustodyPolicy,
    now: Timestamp,
    accord: Option<AccordId>,
    registered: u64,
    artifacts: Vec<Artifact>,
}

#[derive(Debug)]
struct Artifact {
    id: ArtifactId,
    cid: Cid,
    head: Option<ChainHead>,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self {
            random: Random::seeded(2026),
            policy: CustodyPolicy::standard(),
            now: Timestamp::from_micros(START_MICROS).unwrap_or(Timestamp::MIN),
            accord: None,
            registered: 0,
            artifacts: Vec::new(),
        }
    }
}

impl Iterator for Synthetic {
    type Item = NewEntry;

    fn next(&mut self) -> Option<NewEntry> {
        let micros = self.now.as_micros().checked_add(INTERVAL_MICROS)?;
        self.now = Timestamp::from_micros(micros).ok()?;
        let event = match self.accord {
            None => self.bind(),
            Some(accord) if self.artifacts.is_empty() => self.register(accord),
            Some(accord) => match self.random.below(100) {
                0 => self.register(accord),
                1..10 => self.transition(),
                10..70 => self.observe(),
                _ => self.verify(),
            },
        };
        let event_id = EventId::from_uuid(self.random.uuid(self.now));
        Some(NewEntry { recorded_at: Some(self.now), ..NewEntry::with_id(event_id, &event) })
    }
}

impl Synthetic {
    fn bind(&mut self) -> Event {
        let accord_id = AccordId::from_uuid(self.random.uuid(self.now));
        self.accord = Some(accord_id);
        AccordBound {
            accord_id,
            accord_terms: canonical(&json!({"approvals": {"quorum": 2}, "retention_years": 7})),
            bound_by: "board".to_owned(),
            effective_at: self.now,
            name: "Synthetic accord".to_owned(),
        }
        .into()
    }

    fn register(&mut self, accord_id: AccordId) -> Event {
        self.registered += 1;
        let id = ArtifactId::from_uuid(self.random.uuid(self.now));
        let name = format!("zone-{:06}.example", self.registered);
        let records: Vec<_> = (0..6)
            .map(|host| {
                let address = format!("192.0.2.{}", self.random.below(256));
                json!({"name": format!("host-{host}"), "type": "A", "ttl": 300, "address": address})
            })
            .collect();
        let content = canonical(&json!({"origin": name, "ttl": 3600, "records": records}));
        let artifact = Artifact { id, cid: Cid::of(&content), head: None };
        let cid = artifact.cid;
        if self.artifacts.len() < WORKED_ON {
            self.artifacts.push(artifact);
        } else {
            let left = self.random.below(WORKED_ON);
            self.artifacts[left] = artifact;
        }
        ArtifactRegistered {
            accord_id,
            artifact_id: id,
            artifact_type: artifact_type::DNS_ZONE.to_owned(),
            cid,
            content,
            content_schema: "https://schemas.example.com/dns-zone/1".to_owned(),
            name,
            tier: Tier::ALL[self.random.below(4)],
        }
        .into()
    }

    fn transition(&mut self) -> Event {
        let of = self.random.below(self.artifacts.len());
        let state = self.artifacts[of].head.as_ref().map(|head| head.state);
        // Not retired: an artifact is to be worked on until another takes its place.
        let successors: Vec<_> = state
            .into_iter()
            .flat_map(|state| self.policy.successors(state))
            .filter(|to| *to != CustodyState::Retired)
            .collect();
        let chosen = self.random.below(successors.len());
        let to_state = successors.get(chosen).copied().unwrap_or(CustodyState::Drafted);
        let ceremony_id = (to_state == CustodyState::CeremonyOpen)
            .then(|| CeremonyId::from_uuid(self.random.uuid(self.now)));
        let artifact = &mut self.artifacts[of];
        let wanted = Move {
            to_state,
            actor: "substrate".to_owned(),
            reason: "synthetic".to_owned(),
            ceremony_id,
            evidence: Json::null(),
            occurred_at: self.now,
        };
        let link = custody::link(artifact.id, artifact.cid, artifact.head.as_ref(), wanted);
        artifact.head = Some(ChainHead::from(&link));
        link.into()
    }

    fn observe(&mut self) -> Event {
        let of = self.random.below(self.artifacts.len());
        let Artifact { id, cid, .. } = self.artifacts[of];
        let observed_cid = match self.random.below(100) {
            0..3 => None,
            3..8 => Some(Cid::from_digest([0; 32])),
            _ => Some(cid),
        };
        DeploymentObserved {
            artifact_id: id,
            desired_cid: cid,
            detail: Json::null(),
            observed_at: self.now,
            observed_cid,
            target: TARGETS[self.random.below(TARGETS.len())].to_owned(),
        }
        .into()
    }

    fn verify(&mut self) -> Event {
        let of = self.random.below(self.artifacts.len());
        let outcome = match self.random.below(100) {
            0..2 => Outcome::Inconclusive,
            2..7 => Outcome::Failed,
            _ => Outcome::Passed,
        };
        VerificationRecorded {
            artifact_id: self.artifacts[of].id,
            evidence: canonical(&json!({"differences": self.random.below(3)})),
            outcome,
            target: Some(TARGETS[self.random.below(TARGETS.len())].to_owned()),
            verified_at: self.now,
            verifier: "auditor".to_owned(),
        }
        .into()
    }
}

/// Values that are written here are I-JSON.
fn canonical(value: &serde_json::Value) -> Json {
    Json::from_value(value).unwrap_or_else(|_| Json::null())
}
