//! What the tests of several modules are made of.
#![allow(clippy::unwrap_used, reason = "tests")]

use uuid::Uuid;

use crate::chronicle::Origin;
use crate::cid::{Cid, LeafHash};
use crate::custody::{self, ChainHead, CustodyState, Move};
use crate::event::{
    AccordBound, ArtifactRegistered, ArtifactRevised, CustodyTransitioned, Decoded,
    DeploymentObserved, Event, Outcome, Tier, VerificationRecorded,
};
use crate::ids::{AccordId, ArtifactId, CeremonyId, EventId, Position};
use crate::json::Json;
use crate::projector::DecodedEntry;
use crate::time::Timestamp;

pub(crate) const ACCORD: AccordId = AccordId::from_uuid(Uuid::from_u128(1));
pub(crate) const ARTIFACT: ArtifactId = ArtifactId::from_uuid(Uuid::from_u128(2));
pub(crate) const CEREMONY: CeremonyId = CeremonyId::from_uuid(Uuid::from_u128(3));

/// So many seconds into the story.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((1_795_000_000 + second) * 1_000_000).unwrap()
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

pub(crate) fn origin() -> Origin {
    "guildhall/test".parse().unwrap()
}

pub(crate) fn bound() -> AccordBound {
    AccordBound {
        accord_id: ACCORD,
        accord_terms: json(r#"{"approvals":2}"#),
        bound_by: "board".to_owned(),
        effective_at: at(0),
        name: "change control".to_owned(),
    }
}

pub(crate) fn registered() -> ArtifactRegistered {
    let content = json(r#"{"ttl":300}"#);
    ArtifactRegistered {
        accord_id: ACCORD,
        artifact_id: ARTIFACT,
        artifact_type: crate::event::artifact_type::DNS_ZONE.to_owned(),
        cid: Cid::of(&content),
        content,
        content_schema: "https://example.com/zone.json".to_owned(),
        name: "example.com".to_owned(),
        tier: Tier::ALL[1],
    }
}

/// Replaces the registered content, or that of another revision.
pub(crate) fn revised(content: &str, previous_cid: Cid) -> ArtifactRevised {
    let content = json(content);
    ArtifactRevised {
        artifact_id: ARTIFACT,
        cid: Cid::of(&content),
        content,
        content_schema: "https://example.com/zone.json".to_owned(),
        previous_cid,
    }
}

pub(crate) fn observed(target: &str, is_healthy: bool, second: i64) -> DeploymentObserved {
    let desired_cid = registered().cid;
    DeploymentObserved {
        artifact_id: ARTIFACT,
        desired_cid,
        detail: Json::null(),
        observed_at: at(second),
        observed_cid: Some(if is_healthy { desired_cid } else { Cid::of(&json("0")) }),
        target: target.to_owned(),
    }
}

pub(crate) fn verified(outcome: Outcome, second: i64) -> VerificationRecorded {
    VerificationRecorded {
        artifact_id: ARTIFACT,
        evidence: json(r#"{"checks":3}"#),
        outcome,
        target: None,
        verified_at: at(second),
        verifier: "probe".to_owned(),
    }
}

/// The sound link that follows `head`, of the registered content, one second later.
pub(crate) fn link(
    head: Option<&CustodyTransitioned>,
    to_state: CustodyState,
) -> CustodyTransitioned {
    let enters = to_state == CustodyState::CeremonyOpen;
    let wanted = Move {
        to_state,
        actor: "ada".to_owned(),
        reason: "because".to_owned(),
        ceremony_id: enters.then_some(CEREMONY),
        evidence: Json::null(),
        occurred_at: at(head.map_or(0, |head| i64::try_from(head.seq.get()).unwrap())),
    };
    custody::link(ARTIFACT, registered().cid, head.map(ChainHead::from).as_ref(), wanted)
}

/// The sound chain that goes through these states.
pub(crate) fn chain(states: &[CustodyState]) -> Vec<CustodyTransitioned> {
    let mut links: Vec<CustodyTransitioned> = Vec::new();
    for state in states {
        links.push(link(links.last(), *state));
    }
    links
}

/// An entry at this position, recorded so many seconds into the story.
pub(crate) fn entry(position: u64, event: impl Into<Event>) -> DecodedEntry {
    let event = event.into();
    DecodedEntry {
        position: Position::new(position),
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(position) << 64)),
        stream_id: event.stream(),
        event_type: event.kind().into(),
        recorded_at: at(i64::try_from(position).unwrap()),
        leaf_hash: LeafHash::from_bytes([u8::try_from(position).unwrap(); 32]),
        decoded: Ok(Decoded::Event(event)),
    }
}

/// Entries at the positions 1, 2, 3 …
pub(crate) fn entries(events: impl IntoIterator<Item = Event>) -> Vec<DecodedEntry> {
    (1..).zip(events).map(|(position, event)| entry(position, event)).collect()
}
