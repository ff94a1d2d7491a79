//! Entries and rows: what holds, and what an edited, missing or surplus one is reported as.

use std::slice;

use guildhall_core::fold::Fold;
use guildhall_core::{
    AccordId, ArtifactId, CustodyPolicy, DecodedEntry, Json, NewEntry, OnViolation, Position,
    StreamId, Table,
};
use guildhall_proof::evidence::{Aspect, Evidence, Failure, ProvenStream, check, fold};
use guildhall_proof::{Record, Row, Rows};
use guildhall_workload::{Hostile, Mix};
use proptest::prelude::*;
use serde_json::Value;

use crate::log::{self, ACCORD, ARTIFACT, Log, origin, story, trust};
use crate::{failure, found};

#[test]
fn a_record_hashes_to_the_leaf_that_the_log_has() {
    for entry in Log::of(story()).entries {
        let record = Record::of(&entry, &origin());
        assert_eq!(record.leaf_hash(), entry.leaf_hash);
        assert!(record.is_of(&entry.payload));
        let text = record.to_text();
        assert_eq!(Json::parse(&text).unwrap().as_str(), text);
        assert_eq!(Record::parse(text.as_bytes()).unwrap(), record);
        assert!(Record::parse(text.replace(',', ", ").as_bytes()).is_err());
        assert!(Record::parse(text.replace("\"version\"", "\"versions\"").as_bytes()).is_err());
    }
}

#[test]
fn the_evidence_of_a_sealed_log_holds() {
    let log = Log::of(story());
    let evidence = log.evidence(ARTIFACT);
    let text = evidence.to_text().unwrap();
    assert_eq!(Evidence::parse(&text).unwrap(), evidence);
    let report = check(&Evidence::parse(&text).unwrap(), &trust());
    assert_eq!(report.failure, None);
    assert!(report.holds());
    assert_eq!(report.held, Aspect::ALL);
    assert_eq!((report.size, report.complete_up_to), (13, Some(Position::new(12))));
    assert_eq!((report.entries, report.links, report.quarantined), (10, 4, 1));
    assert_eq!(report.signers, [log::ORIGIN]);
    assert_eq!(report.witnesses.len(), 2);
    let rows = &evidence.rows;
    let counts: Vec<_> = rows.tables().map(|(_, rows)| rows.len()).collect();
    assert_eq!(counts, [1, 1, 1, 4, 1, 2, 1, 1]);
    let shown = serde_json::to_value(&report).unwrap();
    assert_eq!((&shown["held"][7], &shown["failure"]), (&Value::from("rows"), &Value::Null));

    // How the file is laid out does not matter.
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap());
    assert!(check(&Evidence::parse(pretty.unwrap()).unwrap(), &trust()).holds());
}

#[test]
fn evidence_has_a_place_for_every_table_but_the_counts() {
    let rows = Rows::default();
    let named: Vec<_> = rows.tables().map(|(name, _)| name).chain(["row_counts"]).collect();
    assert_eq!(named, Table::ALL.map(|table| table.name));
}

#[test]
fn an_entry_left_out_is_missed_wherever_it_was() {
    for nth in 0..9 {
        let (aspect, what) = found(|evidence| drop(evidence.streams[0].entries.remove(nth)));
        assert_eq!(aspect, Aspect::Completeness);
        let is_last = nth == 8;
        assert_eq!(matches!(what, Failure::End { .. }), is_last, "{what}");
        assert_eq!(matches!(what, Failure::Version { .. }), !is_last, "{what}");
    }
    let (_, what) = found(|evidence| evidence.streams[1].entries.clear());
    assert!(matches!(what, Failure::End { .. }), "{what}");
    let (_, what) = found(|evidence| drop(evidence.streams.remove(1)));
    assert_eq!(what, Failure::MissingStream { stream: ACCORD.into() });
    let (_, what) = found(|evidence| drop(evidence.streams.remove(0)));
    assert_eq!(what, Failure::MissingStream { stream: ARTIFACT.into() });
}

#[test]
fn an_entry_too_many_is_told() {
    let (_, what) = found(|evidence| {
        let again = evidence.streams[0].entries[3].clone();
        evidence.streams[0].entries.insert(3, again);
    });
    assert!(matches!(what, Failure::Version { .. }), "{what}");
    let (_, what) = found(|evidence| evidence.streams.push(evidence.streams[1].clone()));
    assert_eq!(what, Failure::UnwantedStream { stream: ACCORD.into() });
    let log = Log::of(story());
    let other = StreamId::from(ArtifactId::from_uuid(uuid::Uuid::from_u128(0xb2)));
    let mut evidence = log.evidence(ARTIFACT);
    evidence.streams.push(log.stream(other));
    let (_, what) = failure(&check(&evidence, &trust()));
    assert_eq!(what, Failure::UnwantedStream { stream: other });
    let mut evidence = log.evidence(ARTIFACT);
    evidence.streams[0].entries.push(log.stream(other).entries.remove(0));
    let (aspect, what) = failure(&check(&evidence, &trust()));
    assert!(matches!(what, Failure::Stream { .. }), "{what}");
    assert_eq!(aspect, Aspect::Entries);
}

#[test]
fn a_row_that_the_entries_do_not_make_is_told_with_its_column() {
    let edit = |evidence: &mut Evidence, text: &str, other: &str| {
        let rows = serde_json::to_string(&evidence.rows).unwrap();
        assert!(rows.contains(text));
        evidence.rows = serde_json::from_str(&rows.replacen(text, other, 1)).unwrap();
    };
    for (text, other, expected) in [
        ("\"ttl\":300", "\"ttl\":301", "artifact_revisions, row 1: content is"),
        ("\"tier\":1", "\"tier\":2", "governed_artifacts, row 1: tier is 2, expected 1"),
        (
            "\"health\":\"unknown\"",
            "\"health\":\"healthy\"",
            "deployment_changes, row 2: health is",
        ),
        (
            "\"outcome\":\"failed\"",
            "\"outcome\":\"passed\"",
            "verification_results, row 1: outcome",
        ),
        ("\"reason\":\"as agreed\"", "\"reason\":\"\"", "custody_transitions, row 1: reason is"),
        ("\"bound_by\":\"ada\"", "\"bound_by\":\"eve\"", "accord_bindings, row 1: bound_by"),
        ("\"code\":\"CC08\"", "\"code\":\"CC12\"", "quarantined_entries, row 1: code"),
        ("\"tier\":1", "\"tiers\":1", "governed_artifacts, row 1: tiers is 1, expected nothing"),
    ] {
        let (aspect, what) = found(|evidence| edit(evidence, text, other));
        assert_eq!(aspect, Aspect::Rows);
        assert!(what.to_string().contains(expected), "{what}");
    }
    let (_, what) =
        found(|evidence| evidence.rows.table_mut("quarantined_entries").unwrap().clear());
    assert_eq!(what.to_string(), "quarantined_entries has 0 rows, expected 1");
    // How a reason is worded is another matter.
    let mut evidence = Log::of(story()).evidence(ARTIFACT);
    let row = evidence.rows.table("quarantined_entries")[0].to_text();
    let (start, _) = row.split_once("\"reason\":\"").unwrap();
    let (_, end) = row.split_once("\",\"stream_id\"").unwrap();
    let reworded = format!("{start}\"reason\":\"said otherwise\",\"stream_id\"{end}");
    evidence.rows.table_mut("quarantined_entries").unwrap()[0] =
        serde_json::from_str::<Row>(&reworded).unwrap();
    assert!(check(&evidence, &trust()).holds());
}

#[test]
fn what_was_edited_in_an_entry_is_told_with_its_position() {
    let (aspect, what) = found(|evidence| {
        let payload = &mut evidence.streams[0].entries[0].payload;
        *payload = payload.replace("300", "301");
    });
    assert_eq!((aspect, what), (Aspect::Entries, Failure::Payload { position: Position::new(2) }));
    // Payload and its hash together, as who owns the database would.
    let (_, what) = found(|evidence| {
        let entry = &mut evidence.streams[0].entries[0];
        entry.payload = entry.payload.replace("300", "301");
        entry.record.data_sha256 = guildhall_proof::DataHash::of(entry.payload.as_bytes());
    });
    assert!(
        matches!(what, Failure::Entry { position, .. } if position == Position::new(2)),
        "{what}"
    );
    let (_, what) = found(|evidence| {
        evidence.streams[0].entries[0].record.time = "2026-01-01T00:00:00Z".parse().unwrap();
    });
    assert!(matches!(what, Failure::Entry { .. }), "{what}");
    let (_, what) = found(|evidence| {
        evidence.streams[0].entries[0].record.origin = "guildhall/other".parse().unwrap();
    });
    assert!(matches!(what, Failure::Origin { .. }), "{what}");
}

#[test]
fn evidence_of_an_artifact_that_is_not_there_proves_nothing() {
    let log = Log::of(story());
    let nobody = ArtifactId::from_uuid(uuid::Uuid::from_u128(0xff));
    let report = check(&log.evidence(nobody), &trust());
    assert_eq!(failure(&report), (Aspect::Fold, Failure::NoArtifact));
    assert!(report.held.contains(&Aspect::Completeness));
}

#[test]
fn a_registration_under_an_accord_that_was_never_bound_needs_the_proof_of_that() {
    let mut entries = story();
    let missing = AccordId::from_uuid(uuid::Uuid::from_u128(0xdead));
    // The first registration names it, and is set aside for it; the second one holds.
    let first = entries[1].clone();
    let text = first.payload.as_str().replace(&ACCORD.to_string(), &missing.to_string());
    let id = guildhall_core::EventId::from_uuid(uuid::Uuid::from_u128(0xe99));
    let orphan = NewEntry { event_id: id, payload: Json::parse(&text).unwrap(), ..first };
    entries.insert(1, orphan);
    let log = Log::of(entries);
    let evidence = log.evidence(ARTIFACT);
    assert_eq!(evidence.streams.len(), 3);
    let absent = evidence.streams.iter().find(|stream| stream.stream == missing.into()).unwrap();
    assert!(absent.entries.is_empty());
    let report = check(&evidence, &trust());
    assert_eq!((report.failure, report.quarantined), (None, 2));
    let mut without = log.evidence(ARTIFACT);
    without.streams.retain(|stream| stream.stream != missing.into());
    let (_, what) = failure(&check(&without, &trust()));
    assert_eq!(what, Failure::MissingStream { stream: missing.into() });
}

#[test]
fn versions_that_run_against_the_log_are_told() {
    let log = Log::of(story()).forged(|log| {
        let (drafted, opened) = (log.entries[3].version, log.entries[5].version);
        log.entries[3].version = opened;
        log.entries[5].version = drafted;
    });
    let mut evidence = log.evidence(ARTIFACT);
    evidence.streams[0].entries.sort_by_key(|entry| entry.record.version);
    let (aspect, what) = failure(&check(&evidence, &trust()));
    let (position, before) = (Position::new(4), Position::new(6));
    assert_eq!((aspect, what), (Aspect::Completeness, Failure::Order { position, before }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn an_artifact_s_own_entries_make_the_rows_that_the_whole_log_makes(seed in any::<u64>()) {
        let log = Log::of(Hostile::new(seed, Mix::DENSE).take(250).map(|made| made.entry));
        let mut whole = Fold::over_empty_tables(CustodyPolicy::standard(), OnViolation::Quarantine);
        whole.apply(log.entries.iter().cloned().map(DecodedEntry::from)).unwrap();
        let tables = Rows::of(&whole.take_changes()).unwrap();
        let mut held = 0;
        for artifact in tables.table("governed_artifacts") {
            let id = &artifact.columns()["id"];
            let artifact_id: ArtifactId = serde_json::from_str(id.as_str()).unwrap();
            let evidence = log.evidence(artifact_id);
            // A registration that was refused may name another accord, and its row is made too.
            let ids = evidence.streams.iter().map(|it| serde_json::to_string(&it.stream).unwrap());
            let streams: Vec<Json> = ids.map(|it| it.parse().unwrap()).collect();
            prop_assert!(streams.contains(&artifact.columns()["accord_binding_id"]));
            for (table, rows) in tables.tables() {
                let (column, wanted) = match table {
                    "accord_bindings" => ("id", &streams[..]),
                    "governed_artifacts" => ("id", slice::from_ref(id)),
                    "quarantined_entries" => ("stream_id", slice::from_ref(id)),
                    _ => ("artifact_id", slice::from_ref(id)),
                };
                let of_it = rows.iter().filter(|row| wanted.contains(&row.columns()[column]));
                let expected: Vec<Row> = of_it.cloned().collect();
                prop_assert_eq!(evidence.rows.table(table), &expected[..], "{}", table);
            }
            let report = check(&evidence, &trust());
            prop_assert_eq!(report.failure, None);
            held += 1;
        }
        prop_assert!(held > 0);
    }
}

#[test]
fn what_folds_alone_needs_no_proof() {
    let streams: Vec<ProvenStream> = Vec::new();
    assert_eq!(fold(ARTIFACT, &streams, CustodyPolicy::standard()), Ok(Rows::default()));
}
