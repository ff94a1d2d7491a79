//! What the tests of several modules are made of.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::chronicle::DecodedEntry;
use crate::chronicle::Origin;
use crate::cid::{Cid, LeafHash, LinkHash};
use crate::custody::{self, ChainHead, CustodyState, Move};
use crate::event::{
    AccordBound, ArtifactRegistered, ArtifactRevised, CustodyTransitioned, Decoded,
    DeploymentObserved, Event, Outcome, Tier, VerificationRecorded,
};
use crate::ids::{AccordId, ArtifactId, CeremonyId, EventId, Position, Seq};
use crate::json::Json;
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
pub(crate) fn entry(position: u32, event: impl Into<Event>) -> DecodedEntry {
    let event = event.into();
    DecodedEntry {
        position: Position::new(position),
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(position) << 64)),
        stream_id: event.stream(),
        event_type: event.kind().into(),
        recorded_at: at(position.into()),
        leaf_hash: LeafHash::from_bytes([u8::try_from(position).unwrap(); 32]),
        decoded: Ok(Decoded::Event(event)),
    }
}

/// Entries at the positions 1, 2, 3 …
pub(crate) fn entries(events: impl IntoIterator<Item = Event>) -> Vec<DecodedEntry> {
    (1..).zip(events).map(|(position, event)| entry(position, event)).collect()
}

/// Any event at all: the ids, texts, numbers and nulls that are hard to print.
pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let uuid = any::<u128>().prop_map(Uuid::from_u128).boxed();
    let text = "[ -~é\u{e000}\u{10000}\n\t\"\\\\]{0,8}".boxed();
    let time =
        (0..4_000_000_000_000_000i64).prop_map(|micros| Timestamp::from_micros(micros).unwrap());
    let cid = any::<[u8; 32]>().prop_map(Cid::from_digest).boxed();
    let hash = any::<[u8; 32]>().prop_map(LinkHash::from_bytes).boxed();
    let scalar = prop_oneof![
        Just(Json::null()),
        (-(1i64 << 53)..=(1i64 << 53)).prop_map(|number| json(&number.to_string())),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| json(&format!("{number:e}"))),
        text.clone().prop_map(|text| Json::from_value(&text.into()).unwrap()),
    ];
    let object = prop::collection::btree_map(text.clone(), scalar.clone(), 0..4).prop_map(|map| {
        let members = map.into_iter().map(|(key, value)| (key, value.to_value()));
        Json::from_value(&Value::Object(members.collect())).unwrap()
    });
    let content = prop_oneof![scalar, object.clone()].boxed();
    let state = prop::sample::select(CustodyState::ALL);
    let tier = prop::sample::select(&Tier::ALL[..]);
    let outcome = prop::sample::select(Outcome::ALL);

    let ids = (uuid.clone(), uuid.clone()).boxed();
    let time = time.boxed();
    let bound = (uuid.clone(), object, text.clone(), time.clone(), text.clone()).prop_map(
        |(id, accord_terms, bound_by, effective_at, name)| {
            let accord_id = AccordId::from_uuid(id);
            AccordBound { accord_id, accord_terms, bound_by, effective_at, name }.into()
        },
    );
    let texts = (text.clone(), text.clone(), text.clone()).boxed();
    let registered = (ids, texts.clone(), cid.clone(), content.clone(), tier).prop_map(
        |((accord, id), (artifact_type, content_schema, name), cid, content, tier)| {
            let (accord_id, artifact_id) = (AccordId::from_uuid(accord), ArtifactId::from_uuid(id));
            ArtifactRegistered {
                accord_id,
                artifact_id,
                artifact_type,
                cid,
                content,
                content_schema,
                name,
                tier,
            }
            .into()
        },
    );
    let revised = (uuid.clone(), cid.clone(), content.clone(), text.clone(), cid.clone()).prop_map(
        |(id, cid, content, content_schema, previous_cid)| {
            let artifact_id = ArtifactId::from_uuid(id);
            ArtifactRevised { artifact_id, cid, content, content_schema, previous_cid }.into()
        },
    );
    let states = (prop::option::of(state.clone()), state, 1..=Seq::MAX.get()).boxed();
    let hashes = (hash.clone(), prop::option::of(hash)).boxed();
    let ceremony = prop::option::of(uuid.clone()).boxed();
    let transitioned =
        (uuid.clone(), ceremony, texts, cid.clone(), content.clone(), states, hashes)
            .prop_flat_map(move |fields| (Just(fields), time.clone()))
            .prop_map(
                |(
                    (id, ceremony, (actor, reason, _), cid, evidence, states, hashes),
                    occurred_at,
                )| {
                    let ((from_state, to_state, seq), (hash, prev_hash)) = (states, hashes);
                    CustodyTransitioned {
                        actor,
                        artifact_id: ArtifactId::from_uuid(id),
                        ceremony_id: ceremony.map(CeremonyId::from_uuid),
                        cid,
                        evidence,
                        from_state,
                        hash,
                        occurred_at,
                        prev_hash,
                        reason,
                        seq: seq.try_into().unwrap(),
                        to_state,
                    }
                    .into()
                },
            );
    let seconds = 0..1_000_000i64;
    let observed = (
        uuid.clone(),
        cid.clone(),
        prop::option::of(cid),
        content.clone(),
        text.clone(),
        seconds.clone(),
    )
        .prop_map(|(id, desired_cid, observed_cid, detail, target, second)| {
            let artifact_id = ArtifactId::from_uuid(id);
            let observed_at = at(second);
            DeploymentObserved {
                artifact_id,
                desired_cid,
                detail,
                observed_at,
                observed_cid,
                target,
            }
            .into()
        });
    let verified = (uuid, content, outcome, prop::option::of(text.clone()), text, seconds)
        .prop_map(|(id, evidence, outcome, target, verifier, second)| {
            let (artifact_id, verified_at) = (ArtifactId::from_uuid(id), at(second));
            VerificationRecorded { artifact_id, evidence, outcome, target, verified_at, verifier }
                .into()
        });
    prop_oneof![bound, registered, revised, transitioned, observed, verified]
}
