//! Payloads, older versions, and the lines that carry them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::decode::decode_through;
use super::upcast::Step;
use super::wire::{Line, LineError};
use super::*;
use crate::chronicle::{Entry, Metadata, Origin};
use crate::cid::{Cid, LeafHash, TreeHash};
use crate::custody::{CustodyState, Move, link_hash};
use crate::fixtures::{
    ARTIFACT, any_event, at, bound, link, observed, origin, registered, verified,
};
use crate::ids::{Position, StreamId, Version};
use crate::invariant::Violation;
use crate::json::{Json, JsonError};

const EVENT: &str = "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";

fn decode_event(event_type: &str, stream: StreamId, payload: &str) -> Result<Decoded, Violation> {
    decode(&EventType::new(event_type), stream, payload)
}

/// An entry of this event, with a leaf hash that is right.
fn recorded(event: &Event) -> Entry {
    let mut entry = Entry {
        position: Position::new(7),
        event_id: EVENT.parse().unwrap(),
        stream_id: event.stream(),
        version: Version::new(3),
        event_type: event.kind().into(),
        payload: event.to_payload().into_string().into(),
        metadata: Metadata::default(),
        recorded_at: at(1),
        leaf_hash: LeafHash::from_bytes([0; 32]),
    };
    entry.leaf_hash = entry.compute_leaf_hash(&origin());
    entry
}

proptest! {
    #[test]
    fn a_payload_is_canonical_and_decodes_to_its_event(event in any_event()) {
        let payload = event.to_payload();
        let reference = serde_json_canonicalizer::to_string(&payload.to_value()).unwrap();
        prop_assert_eq!(payload.as_str(), reference);
        // Not the null that stands for what could not be printed.
        prop_assert!(payload.is_object());
        let decoded = decode(&event.kind().into(), event.stream(), payload.as_str());
        prop_assert_eq!(decoded, Ok(Decoded::Event(event)));
    }

    #[test]
    fn a_line_round_trips(event in any_event(), correlation_id in prop::option::of("[ -~]{1,16}")) {
        let mut entry = recorded(&event);
        entry.metadata.correlation_id = correlation_id;
        let text = wire::to_line(&entry, &origin()).unwrap();
        prop_assert!(!text.contains(['\n', '\r']));
        let line = wire::parse(&text).unwrap();
        prop_assert!(line.check(&origin()).unwrap().is_some());
        let Line { source, entry: read, .. } = line;
        prop_assert_eq!(source.parse::<Origin>(), Ok(origin()));
        prop_assert_eq!((read.event_id, read.stream_id), (entry.event_id, entry.stream_id));
        prop_assert_eq!((read.event_type, read.metadata), (entry.event_type, entry.metadata));
        prop_assert_eq!(read.payload.as_str(), &*entry.payload);
        prop_assert_eq!(read.recorded_at, Some(entry.recorded_at));
    }
}

#[test]
fn a_nullable_field_that_is_left_out_is_null_and_hashes_as_null() {
    let genesis = link(None, CustodyState::Drafted);
    let event = Event::from(genesis.clone());
    let whole = event.to_payload().into_string();
    let short = whole
        .replace(r#""ceremony_id":null,"#, "")
        .replace(r#""from_state":null,"#, "")
        .replace(r#""prev_hash":null,"#, "");
    assert_eq!(whole.len() - short.len(), 19 + 18 + 17, "{short}");
    let decoded = decode(&event.kind().into(), event.stream(), &short).unwrap();
    assert_eq!(decoded, Decoded::Event(event));
    let Decoded::Event(Event::CustodyTransitioned(read)) = decoded else { panic!("a link") };
    assert_eq!(link_hash(&read), genesis.hash);

    let unseen = DeploymentObserved { observed_cid: None, ..observed("eu", true, 1) };
    let untargeted = verified(Outcome::Passed, 1);
    for (event, field) in [
        (Event::from(unseen), r#""observed_cid":null,"#),
        (Event::from(untargeted), r#""target":null,"#),
    ] {
        let payload = event.to_payload().into_string();
        let short = payload.replace(field, "");
        assert_ne!(payload, short);
        let decoded = decode(&event.kind().into(), event.stream(), &short);
        assert_eq!(decoded, Ok(Decoded::Event(event)));
    }
}

#[test]
fn a_field_that_is_not_nullable_is_never_left_out() {
    for event in [
        Event::from(bound()),
        registered().into(),
        crate::fixtures::revised("[1]", registered().cid).into(),
        link(None, CustodyState::Drafted).into(),
        observed("eu", true, 1).into(),
        verified(Outcome::Passed, 1).into(),
    ] {
        let nullable = ["ceremony_id", "from_state", "prev_hash", "observed_cid", "target"];
        let Value::Object(fields) = event.to_payload().to_value() else { panic!("an object") };
        for name in fields.keys() {
            let mut fewer = fields.clone();
            fewer.remove(name);
            let payload = Json::from_value(&Value::Object(fewer)).unwrap();
            let decoded = decode(&event.kind().into(), event.stream(), payload.as_str());
            let is_nullable = nullable.contains(&name.as_str())
                && !(name == "target" && event.kind() == EventKind::DeploymentObserved);
            assert_eq!(decoded.is_ok(), is_nullable, "{} without {name}", event.kind());
        }
    }
}

#[test]
fn the_cid_of_the_design_is_that_of_its_content() {
    let cid = Cid::of(&Json::parse(r#"{"a":1}"#).unwrap());
    assert_eq!(cid.to_string(), "bafkreiablk6x6xgfpiw5ss3vsdyevwaiijzzaxxdh3c45pvomitwvf7ymi");
    assert_eq!(cid, cid.to_string().parse().unwrap());
}

#[test]
fn the_index_of_the_log_decodes_in_any_stream_and_only_as_it_is_written() {
    let index = ChronicleIndexed {
        index_root: TreeHash::from_bytes([0xab; 32]),
        streams: 3,
        tree_size: Position::new(7),
    };
    let payload = index.to_payload();
    let root = "ab".repeat(32);
    let expected = format!(r#"{{"index_root":"{root}","streams":3,"tree_size":7}}"#);
    assert_eq!(payload.as_str(), expected);
    let read =
        |payload: &str| decode_event(ChronicleIndexed::TYPE, StreamId::from(ARTIFACT), payload);
    assert_eq!(read(payload.as_str()), Ok(Decoded::Indexed(index)));
    for wrong in [
        expected.replace(',', ", "),
        expected.replace(":7", ":-7"),
        expected.replace(":7", ":\"7\""),
        expected.replace("ab", "AB"),
        expected.replace("\"streams\":3,", ""),
        "{}".to_owned(),
    ] {
        assert!(matches!(read(&wrong), Err(Violation::Undecodable { .. })), "{wrong}");
    }
    let event_type = EventType::new(ChronicleIndexed::TYPE);
    assert!(event_type.is_index() && event_type.kind().is_none());
    assert!(!EventType::from(EventKind::AccordBound).is_index());
}

#[test]
fn an_unknown_type_is_kept_and_not_decoded() {
    let stream = StreamId::from(ARTIFACT);
    for name in [
        "com.example.note.v1",
        "dev.guildhouse.chronicle.accord.bound.v2",
        "dev.guildhouse.chronicle.",
        "accord.bound.v1",
    ] {
        assert_eq!(decode_event(name, stream, "not even JSON"), Ok(Decoded::Unknown));
        assert_eq!(EventType::new(name).as_str(), name);
    }
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_type(kind.as_str()), Some(*kind));
        assert!(kind.as_str().starts_with(TYPE_PREFIX));
    }
}

#[test]
fn fields_that_are_not_known_are_ignored() {
    let event = Event::from(bound());
    let payload = event.to_payload().into_string();
    let more = payload.replace(r#""name":"#, r#""mood":{"deep":[1]},"name":"#);
    assert_eq!(decode(&event.kind().into(), event.stream(), &more), Ok(Decoded::Event(event)));
}

/// How verifications looked in versions that never were: `ok` became `passed`, then `outcome`.
const STEPS: &[Step] = &[
    Step {
        from: "dev.guildhouse.chronicle.verification.recorded.v0",
        to: "dev.guildhouse.chronicle.verification.recorded.v1",
        with: |fields| {
            let passed = fields.remove("passed").and_then(|passed| passed.as_bool());
            let passed = passed.ok_or("passed is not a boolean")?;
            fields.insert("outcome".to_owned(), if passed { "passed" } else { "failed" }.into());
            Ok(())
        },
    },
    Step {
        from: "dev.guildhouse.chronicle.verification.recorded.draft",
        to: "dev.guildhouse.chronicle.verification.recorded.v0",
        with: |fields| {
            let ok = fields.remove("ok").unwrap_or(Value::Null);
            fields.insert("passed".to_owned(), ok);
            Ok(())
        },
    },
    Step { from: "com.example.old", to: "com.example.older", with: |_| Ok(()) },
];

fn verification_with(name: &str, value: Value) -> String {
    let payload = Event::from(verified(Outcome::Failed, 9)).to_payload().to_value();
    let Value::Object(mut fields) = payload else { panic!("an object") };
    fields.remove("outcome");
    fields.insert(name.to_owned(), value);
    Json::from_value(&Value::Object(fields)).unwrap().into_string()
}

#[test]
fn an_older_version_is_upcast_in_one_place() {
    let stream = StreamId::from(ARTIFACT);
    let read = |version: &str, payload: &str| {
        let name = format!("dev.guildhouse.chronicle.verification.recorded.{version}");
        decode_through(STEPS, &EventType::new(&name), stream, payload)
    };
    let newest = Ok(Decoded::Event(verified(Outcome::Failed, 9).into()));
    assert_eq!(read("v0", &verification_with("passed", json!(false))), newest);
    // Steps chain: the draft reaches version 1 through version 0.
    assert_eq!(read("draft", &verification_with("ok", json!(false))), newest);
    assert_eq!(read("v1", &verification_with("outcome", json!("failed"))), newest);
    // Without the step, the type is one that this version does not know.
    assert_eq!(read("v9", "{}"), Ok(Decoded::Unknown));
    assert_eq!(
        decode_through(STEPS, &EventType::new("com.example.old"), stream, "{}"),
        Ok(Decoded::Unknown)
    );
}

#[test]
fn an_older_version_that_cannot_be_upcast_does_not_decode() {
    let stream = StreamId::from(ARTIFACT);
    let v0 = EventType::new("dev.guildhouse.chronicle.verification.recorded.v0");
    for (payload, why) in [
        (verification_with("passed", json!("yes")), "passed is not a boolean"),
        (verification_with("other", json!(1)), "passed is not a boolean"),
        ("[]".to_owned(), "not a JSON object"),
        ("{".to_owned(), "canonical"),
        (r#"{"passed":true}"#.to_owned(), "missing field"),
    ] {
        let violation = decode_through(STEPS, &v0, stream, &payload).unwrap_err();
        assert!(matches!(violation, Violation::Undecodable { .. }));
        assert!(violation.to_string().contains(why), "{violation}");
    }
    let elsewhere = StreamId::from(bound().accord_id);
    let payload = verification_with("passed", json!(true));
    let violation = decode_through(STEPS, &v0, elsewhere, &payload).unwrap_err();
    assert!(matches!(violation, Violation::WrongStream { .. }));
}

#[test]
fn the_leaf_hash_is_that_of_the_record_written_by_hand() {
    let entry = Entry {
        position: Position::FIRST,
        event_id: EVENT.parse().unwrap(),
        stream_id: "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c".parse().unwrap(),
        version: Version::FIRST,
        event_type: EventType::new("com.example.note.v1"),
        payload: r#"{"a":1}"#.into(),
        metadata: Metadata { traceparent: Some("ignored".to_owned()), ..Metadata::default() },
        recorded_at: "2026-11-23T10:05:00.000000Z".parse().unwrap(),
        leaf_hash: LeafHash::from_bytes([0; 32]),
    };
    let origin: Origin = "guildhall/demo".parse().unwrap();
    // `(printf '\0'; printf '%s' '{"data_sha256":"…","event_id":"…",…}') | sha256sum`, the fields in
    // alphabetical order, `data_sha256` being that of `printf '%s' '{"a":1}' | sha256sum`.
    let expected = "b01baed698928d8ea266904c97c7891669412f4adab79b82edfde39bc84bedd2";
    assert_eq!(entry.compute_leaf_hash(&origin).to_string(), expected);
    let other = Entry { payload: r#"{"a":2}"#.into(), ..entry.clone() };
    assert_ne!(other.compute_leaf_hash(&origin).to_string(), expected);
    assert_ne!(entry.compute_leaf_hash(&Origin::unique()).to_string(), expected);
}

/// A good line as its fields, for one to be broken.
fn line() -> serde_json::Map<String, Value> {
    let text = wire::to_line(&recorded(&bound().into()), &origin()).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn parse_with(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Result<Line, LineError> {
    let mut fields = line();
    change(&mut fields);
    wire::parse(&serde_json::to_string(&fields).unwrap())
}

#[test]
fn a_line_says_what_is_wrong_with_an_attribute() {
    assert!(parse_with(|_| {}).is_ok());
    for name in ["specversion", "id", "source", "type", "subject", "time", "data"] {
        let error = parse_with(|line| drop(line.remove(name))).unwrap_err();
        assert_eq!(error, LineError::Missing { name });
    }
    for (name, value, why) in [
        ("specversion", json!("0.3"), r#""0.3" is not "1.0""#),
        ("id", json!("0193A1B2-C3D4-7E5F-8A6B-7C8D9E0F1A2B"), "lower-case"),
        ("id", json!(7), "not a string"),
        ("source", json!(""), "empty"),
        ("type", json!([]), "not a string"),
        ("subject", json!("accord"), "not a lower-case, hyphenated UUID"),
        ("time", json!("2026-11-23"), "2026-11-23"),
        ("time", json!("2026-02-30T10:05:00Z"), "2026-02-30"),
        ("datacontenttype", json!("text/plain"), "application/json"),
        ("correlationid", json!(1), "not a string"),
    ] {
        let error = parse_with(|line| drop(line.insert(name.to_owned(), value))).unwrap_err();
        let LineError::Wrong { name: found, reason } = &error else { panic!("{error}") };
        assert!(*found == name && reason.contains(why), "{error}");
    }
}

#[test]
fn a_line_of_a_known_type_must_decode_and_stand_in_its_stream() {
    let other = StreamId::from(ARTIFACT).to_string();
    let error =
        parse_with(|line| drop(line.insert("subject".to_owned(), other.into()))).unwrap_err();
    assert!(matches!(error, LineError::Data(Violation::WrongStream { .. })), "{error}");
    let error = parse_with(|line| drop(line.insert("data".to_owned(), json!({})))).unwrap_err();
    assert!(matches!(error, LineError::Data(Violation::Undecodable { .. })), "{error}");
    assert!(error.to_string().contains("missing field"), "{error}");
}

#[test]
fn a_line_that_is_not_i_json_is_refused() {
    let good = wire::to_line(&recorded(&bound().into()), &origin()).unwrap();
    let terms = r#"{"approvals":2}"#;
    assert!(good.contains(terms));
    let with = |found: &str| wire::parse(&good.replace(terms, found)).unwrap_err();
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert_eq!(wire::parse(&format!("\u{feff}{good}")), Err(LineError::ByteOrderMark));
    assert_eq!(wire::parse("[]"), Err(LineError::NotAnObject));
    for cut in [1, good.len() / 2, good.len() - 1] {
        let error = wire::parse(&good[..cut]).unwrap_err();
        assert!(matches!(error, LineError::Json(JsonError::Syntax { .. })), "{cut}: {error}");
    }
    for (found, is_expected) in [
        (
            r#"{"a":1,"a":2}"#,
            (|e| matches!(e, JsonError::DuplicateKey { .. })) as fn(&JsonError) -> bool,
        ),
        (r#"{"a":NaN}"#, |e| matches!(e, JsonError::Syntax { .. })),
        (r#"{"a":1e400}"#, |e| matches!(e, JsonError::NumberOverflow { .. })),
        (r#"{"a":9007199254740993}"#, |e| matches!(e, JsonError::InexactInteger { .. })),
        (r#"{"a":"\u0000"}"#, |e| matches!(e, JsonError::Nul { .. })),
        (&nested(128), |e| matches!(e, JsonError::TooDeep { limit: 129 })),
    ] {
        let LineError::Json(error) = with(found) else { panic!("{found}") };
        assert!(is_expected(&error), "{found}: {error}");
    }
    // `data` is the first of the 128 levels, and the terms stand in it.
    assert!(wire::parse(&good.replace(terms, &nested(127))).is_ok());
    // A key twice in the envelope decides nothing either way.
    let twice = good.replacen('{', r#"{"id":"x","#, 1);
    let error = wire::parse(&twice).unwrap_err();
    assert!(matches!(error, LineError::Json(JsonError::DuplicateKey { .. })), "{error}");
}

#[test]
fn what_a_line_says_beside_is_ignored_or_normalised() {
    let read = parse_with(|line| {
        line.insert("time".to_owned(), json!("2026-11-23T12:05:00.1234567+02:00"));
        line.insert("position".to_owned(), json!("nonsense"));
        line.insert("dataschema".to_owned(), json!("https://example.com"));
        line.insert("causationid".to_owned(), Value::Null);
        line.remove("datacontenttype");
    });
    let entry = read.unwrap().entry;
    assert_eq!(entry.recorded_at.unwrap().to_string(), "2026-11-23T10:05:00.123456Z");
    assert_eq!(entry.metadata, Metadata::default());
}

#[test]
fn a_stored_payload_that_is_not_json_is_not_exported() {
    let broken = Entry { payload: "{".into(), ..recorded(&bound().into()) };
    assert!(matches!(wire::to_line(&broken, &origin()), Err(JsonError::Syntax { .. })));
}

#[test]
fn every_event_has_a_constructor_that_makes_what_decodes() {
    let (json, time) = (|text: &str| text.parse::<Json>().unwrap(), at(1));
    let accord = AccordBound::new("terms", "board", json("{}"), time);
    let zone = ArtifactRegistered::new(
        accord.accord_id,
        artifact_type::DNS_ZONE,
        "example.com",
        Tier::ZERO,
        json("{\"ttl\": 300}"),
        "https://example.com/zone.json",
    );
    let (id, cid) = (zone.artifact_id, zone.cid);
    let content = json("{\"ttl\":60}");
    let revised = ArtifactRevised::new(id, content.clone(), zone.content_schema.clone(), cid);
    assert_eq!((revised.cid, revised.previous_cid), (Cid::of(&content), cid));
    let (to_state, ceremony_id) = (CustodyState::Drafted, None);
    let (actor, reason) = ("ada".to_owned(), "new".to_owned());
    let evidence = Json::null();
    let wanted = Move { to_state, actor, reason, ceremony_id, evidence, occurred_at: time };
    let link = CustodyTransitioned::new(id, cid, None, wanted);
    assert_eq!(link.hash, link_hash(&link));
    let seen = DeploymentObserved::new(id, "eu", cid, None, Json::null(), time);
    let target = Some("eu".to_owned());
    let outcome = Outcome::Passed;
    let verdict = VerificationRecorded::new(id, target, "probe", outcome, Json::null(), time);
    let events = [
        Event::from(accord),
        zone.into(),
        revised.into(),
        link.into(),
        seen.into(),
        verdict.into(),
    ];
    assert!(events.iter().map(Event::kind).eq(EventKind::ALL.iter().copied()));
    for event in events {
        let payload = event.to_payload();
        let decoded = decode(&event.kind().into(), event.stream(), payload.as_str());
        assert_eq!(decoded, Ok(Decoded::Event(event)));
    }
}

#[test]
fn a_time_inside_data_has_one_form() {
    let event = Event::from(verified(Outcome::Passed, 9));
    let payload = event.to_payload().into_string();
    let exact = format!("\"verified_at\":\"{}\"", at(9));
    assert!(payload.contains(&exact), "{payload}");
    let short = exact.replace(".000000Z", "Z");
    for other in [short, exact.replace("000000Z", "000Z"), exact.replace('Z', "+00:00")] {
        assert_ne!(other, exact);
        let payload = payload.replace(&exact, &other);
        let refused = decode(&event.kind().into(), event.stream(), &payload).unwrap_err();
        assert_eq!(refused.code(), crate::invariant::Code::CC00, "{other}");
    }
}

#[test]
fn a_tier_is_one_of_four() {
    const FIRST: Result<Tier, TierError> = Tier::new(0);
    assert_eq!(FIRST, Ok(Tier::ZERO));
    assert_eq!(Tier::new(4), Err(TierError { found: 4 }));
    for (number, tier) in (0..).zip(Tier::ALL) {
        assert_eq!((Tier::new(number), tier.to_string().parse()), (Ok(tier), Ok(tier)));
    }
    for text in ["4", "-1", "+1", "01", " 1", ""] {
        let error = text.parse::<Tier>().unwrap_err();
        assert_eq!(error.to_string(), format!("{text:?} is not a valid tier: 0, 1, 2, 3"));
    }
}
