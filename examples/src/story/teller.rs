//! Turns "this happened then" into entries: the clock, the ids, the chains.

use std::collections::HashMap;

use guildhall_core::custody::{self, ChainHead, Move};
use guildhall_core::event::EventType;
use guildhall_core::{
    AccordBound, AccordId, ArtifactId, ArtifactRegistered, ArtifactRevised, CeremonyId, Cid,
    CustodyState, CustodyTransitioned, DeploymentObserved, Entry, Event, EventId, Json, LeafHash,
    Metadata, Outcome, Position, StreamId, Tier, Timestamp, VerificationRecorded, Version,
};
use serde_json::Value;
use uuid::Uuid;

use guildhall_workload::random::Random;

/// One of the nine, and what is known of it so far.
pub(super) struct Artifact {
    id: ArtifactId,
    schema: &'static str,
    cid: Cid,
    head: Option<ChainHead>,
    deployed: Option<Cid>,
    /// What each target was last seen to run; none where nothing was seen.
    targets: Vec<(&'static str, Option<Cid>)>,
}

/// A handle to one of the nine.
#[derive(Clone, Copy)]
pub(super) struct Handle(usize);

/// What a registration says.
pub(super) struct Registration {
    pub(super) name: &'static str,
    pub(super) artifact_type: &'static str,
    pub(super) tier: u8,
    pub(super) schema: &'static str,
    pub(super) content: &'static str,
}

/// Tells events one after the other.
#[derive(Default)]
pub(super) struct Teller {
    now_micros: i64,
    change: Option<&'static str>,
    random: Random,
    artifacts: Vec<Artifact>,
    entries: Vec<Entry>,
    versions: HashMap<StreamId, Version>,
}

fn json(value: Value) -> Json {
    Json::from_value(&value).unwrap()
}

impl Teller {
    /// The clock reads this from here on; what follows belongs to that change ticket.
    pub(super) fn at(&mut self, time: &str, change: impl Into<Option<&'static str>>) {
        let time = Timestamp::from_rfc3339(time).unwrap().as_micros();
        assert!(time >= self.now_micros, "the story goes forward");
        self.now_micros = time;
        self.change = change.into();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now_micros).unwrap()
    }

    fn id(&mut self) -> Uuid {
        self.random.uuid(self.now())
    }

    fn push(&mut self, event: impl Into<Event>) {
        let event = event.into();
        self.push_payload(event.stream(), event.kind().into(), event.to_payload());
    }

    /// Records 40 ms after it happened; the next event comes 7 s later unless the clock is set.
    fn push_payload(&mut self, stream_id: StreamId, event_type: EventType, payload: Json) {
        let event_id = EventId::from_uuid(self.id());
        let version = self.versions.entry(stream_id).or_default();
        *version = version.next().unwrap();
        let last = self.entries.last().map_or(Position::ZERO, |last| last.position);
        let mut entry = Entry {
            position: last.next().unwrap(),
            event_id,
            stream_id,
            version: *version,
            event_type,
            payload: payload.into_string().into(),
            metadata: Metadata::default().correlation_id(self.change.map(str::to_owned)),
            recorded_at: Timestamp::from_micros(self.now_micros + 40_000).unwrap(),
            leaf_hash: LeafHash::from_bytes([0; 32]),
        };
        entry.leaf_hash = entry.compute_leaf_hash(&super::ORIGIN.parse().unwrap());
        self.entries.push(entry);
        self.now_micros += 7_000_000;
    }

    pub(super) fn bind(&mut self, name: &str, bound_by: &str, terms: &str) -> AccordId {
        let accord_id = AccordId::from_uuid(self.id());
        self.push(AccordBound {
            accord_id,
            accord_terms: Json::parse(terms).unwrap(),
            bound_by: bound_by.to_owned(),
            effective_at: self.now(),
            name: name.to_owned(),
        });
        accord_id
    }

    pub(super) fn register(&mut self, accord_id: AccordId, new: Registration) -> Handle {
        let artifact_id = ArtifactId::from_uuid(self.id());
        let content = Json::parse(new.content).unwrap();
        let cid = Cid::of(&content);
        self.push(ArtifactRegistered {
            accord_id,
            artifact_id,
            artifact_type: new.artifact_type.to_owned(),
            cid,
            content,
            content_schema: new.schema.to_owned(),
            name: new.name.to_owned(),
            tier: Tier::try_from(new.tier).unwrap(),
        });
        self.artifacts.push(Artifact {
            id: artifact_id,
            schema: new.schema,
            cid,
            head: None,
            deployed: None,
            targets: Vec::new(),
        });
        Handle(self.artifacts.len() - 1)
    }

    pub(super) fn revise(&mut self, Handle(of): Handle, content: &str) {
        let content = Json::parse(content).unwrap();
        let artifact = &mut self.artifacts[of];
        let previous_cid = std::mem::replace(&mut artifact.cid, Cid::of(&content));
        let event = ArtifactRevised {
            artifact_id: artifact.id,
            cid: artifact.cid,
            content,
            content_schema: artifact.schema.to_owned(),
            previous_cid,
        };
        self.push(event);
    }

    fn link(
        &mut self,
        of: usize,
        to_state: CustodyState,
        who: &str,
        why: &str,
        evidence: Value,
    ) -> CustodyTransitioned {
        let enters = to_state == CustodyState::CeremonyOpen;
        let ceremony_id = enters.then(|| CeremonyId::from_uuid(self.id()));
        let artifact = &self.artifacts[of];
        let wanted = Move {
            to_state,
            actor: who.to_owned(),
            reason: why.to_owned(),
            ceremony_id,
            evidence: json(evidence),
            occurred_at: self.now(),
        };
        custody::link(artifact.id, artifact.cid, artifact.head.as_ref(), wanted)
    }

    /// Custody moves.
    pub(super) fn moves(
        &mut self,
        Handle(of): Handle,
        to: CustodyState,
        who: &str,
        why: &str,
        evidence: Value,
    ) {
        let link = self.link(of, to, who, why, evidence);
        let artifact = &mut self.artifacts[of];
        artifact.head = Some(ChainHead::from(&link));
        if to == CustodyState::Deployed {
            artifact.deployed = Some(artifact.cid);
        }
        self.push(link);
    }

    /// Somebody writes a move that the policy does not permit; the chain does not take it up.
    pub(super) fn breaks(
        &mut self,
        Handle(of): Handle,
        to: CustodyState,
        who: &str,
        why: &str,
        evidence: Value,
    ) {
        let link = self.link(of, to, who, why, evidence);
        self.push(link);
    }

    fn observed(&mut self, of: usize, target: &'static str, seen: Option<Cid>, detail: Value) {
        let artifact = &mut self.artifacts[of];
        match artifact.targets.iter_mut().find(|(name, _)| *name == target) {
            Some(known) => known.1 = seen,
            None => artifact.targets.push((target, seen)),
        }
        let event = DeploymentObserved {
            artifact_id: artifact.id,
            desired_cid: artifact.deployed.unwrap(),
            detail: json(detail),
            observed_at: self.now(),
            observed_cid: seen,
            target: target.to_owned(),
        };
        self.push(event);
    }

    /// A target runs what it should.
    pub(super) fn sees_desired(&mut self, of: Handle, target: &'static str, detail: Value) {
        let deployed = self.artifacts[of.0].deployed;
        self.observed(of.0, target, deployed, detail);
    }

    /// A target runs something else: this content.
    pub(super) fn sees_other(
        &mut self,
        of: Handle,
        target: &'static str,
        content: &Json,
        detail: Value,
    ) {
        self.observed(of.0, target, Some(Cid::of(content)), detail);
    }

    /// A target could not be looked at.
    pub(super) fn sees_nothing(&mut self, of: Handle, target: &'static str, detail: Value) {
        self.observed(of.0, target, None, detail);
    }

    /// The weekly round: every target as it was last seen.
    pub(super) fn sweep(&mut self, sweep: &str) {
        for of in 0..self.artifacts.len() {
            for (target, seen) in self.artifacts[of].targets.clone() {
                self.observed(of, target, seen, serde_json::json!({"sweep": sweep}));
            }
        }
    }

    pub(super) fn verifies(
        &mut self,
        Handle(of): Handle,
        target: impl Into<Option<&'static str>>,
        verifier: &str,
        outcome: Outcome,
        evidence: Value,
    ) {
        let event = VerificationRecorded {
            artifact_id: self.artifacts[of].id,
            evidence: json(evidence),
            outcome,
            target: target.into().map(str::to_owned),
            verified_at: self.now(),
            verifier: verifier.to_owned(),
        };
        self.push(event);
    }

    /// Something that Guildhall has no type for.
    pub(super) fn notes(&mut self, Handle(of): Handle, event_type: &str, data: Value) {
        self.push_payload(self.artifacts[of].id.into(), EventType::new(event_type), json(data));
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
