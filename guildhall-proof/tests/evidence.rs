//! Evidence: what is true holds, whatever the log; what was changed does not, wherever it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod log;

use guildhall_core::fold::Fold;
use guildhall_core::{
    AccordBound, AccordId, Append, ArtifactId, Chronicle, CustodyPolicy, DecodedEntry, Event, Json,
    NewEntry, OnViolation, Position, StreamId, Table,
};
use guildhall_proof::evidence::{
    Aspect, Evidence, Failure, ProvenStream, Report, Trust, check, fold,
};
use guildhall_proof::index::{BUCKETS, Bucket, BucketError, StreamIndex, StreamRecord, bucket_of};
use guildhall_proof::merkle::{InclusionProof, leaf_hash, root};
use guildhall_proof::{LogKeys, Record, Row, Rows, SealRefused, Signer};
use guildhall_workload::{Hostile, Mix};
use proptest::prelude::*;
use serde_json::Value;

use log::{ACCORD, ARTIFACT, Log, log_key, origin, run, story, trust, witness_key};

fn failure(report: &Report) -> (Aspect, Failure) {
    report.failure.clone().unwrap()
}

/// What is found once a part of the evidence was exchanged.
fn found(change: impl FnOnce(&mut Evidence)) -> (Aspect, Failure) {
    let mut evidence = Log::of(story()).evidence(ARTIFACT);
    change(&mut evidence);
    failure(&check(&evidence, &trust()))
}

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
    assert_eq!(rows.tables().map(|(_, rows)| rows.len()), [1, 1, 4, 1, 1, 1]);
    let shown = serde_json::to_value(&report).unwrap();
    assert_eq!((&shown["held"][7], &shown["failure"]), (&Value::from("rows"), &Value::Null));

    // How the file is laid out does not matter.
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap());
    assert!(check(&Evidence::parse(pretty.unwrap()).unwrap(), &trust()).holds());
}

#[test]
fn evidence_has_a_place_for_every_table() {
    let named: Vec<_> = Rows::default().tables().iter().map(|(name, _)| *name).collect();
    assert_eq!(named, Table::ALL.map(|table| table.name));
}

#[test]
fn whoever_seals_has_to_be_known_and_may() {
    let evidence = Log::of(story()).evidence(ARTIFACT);
    let keys = |text: String| text.parse::<LogKeys>().unwrap();
    let head = format!("guildhall.keys.v1\norigin {}\n", log::ORIGIN);
    let revoked = keys(format!("{head}key {} 0 13\n", log_key().key()));
    let report = check(&evidence, &Trust { keys: revoked, ..trust() });
    let (aspect, what) = failure(&report);
    assert!(matches!(what, Failure::Seal(SealRefused::NotAtThisSize { size: 13, .. })), "{what}");
    assert_eq!((aspect, report.held), (Aspect::Seal, vec![]));
    let shown = serde_json::to_value(check(
        &evidence,
        &Trust { keys: keys(format!("{head}key {} 14\n", log_key().key())), ..trust() },
    ));
    assert_eq!(shown.unwrap()["failure"]["aspect"], "seal");
}

#[test]
fn too_few_witnesses_are_told() {
    let log = Log::of(story());
    let mut evidence = log.evidence(ARTIFACT);
    evidence.seal =
        evidence.seal.signed_by(&[log_key().key().clone(), witness_key(11).key().clone()]).unwrap();
    assert_eq!(failure(&check(&evidence, &trust())).0, Aspect::Witnesses);
    assert!(check(&evidence, &Trust { witnesses: None, ..trust() }).holds());
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
        ("\"ttl\":300", "\"ttl\":301", "governed_artifacts, row 1: content is"),
        ("\"tier\":1", "\"tier\":2", "governed_artifacts, row 1: tier is 2, expected 1"),
        ("\"health\":\"unknown\"", "\"health\":\"healthy\"", "deployment_states, row 1: health is"),
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
    let (_, what) = found(|evidence| evidence.rows.quarantined_entries.clear());
    assert_eq!(what.to_string(), "quarantined_entries has 0 rows, expected 1");
    // How a reason is worded is another matter.
    let mut evidence = Log::of(story()).evidence(ARTIFACT);
    let row = evidence.rows.quarantined_entries[0].to_text();
    let (start, _) = row.split_once("\"reason\":\"").unwrap();
    let (_, end) = row.split_once("\",\"stream_id\"").unwrap();
    let reworded = format!("{start}\"reason\":\"said otherwise\",\"stream_id\"{end}");
    evidence.rows.quarantined_entries[0] = serde_json::from_str::<Row>(&reworded).unwrap();
    assert!(check(&evidence, &trust()).holds());
}

#[test]
fn an_older_seal_is_as_good_unless_more_is_known_to_have_happened() {
    let older = Log::of(story().into_iter().take(9));
    let evidence = older.evidence(ARTIFACT);
    assert!(check(&evidence, &trust()).holds());
    let (_, what) = failure(&check(&evidence, &Trust { at_least: Position::new(10), ..trust() }));
    assert!(matches!(what, Failure::Older { .. }), "{what}");
}

#[test]
fn an_older_index_of_the_same_seal_hides_nothing() {
    // Sealed once, then went on, indexed again and sealed again.
    let older = Log::of(story().into_iter().take(9));
    let newer = run(async {
        older.chronicle.append(Append::of(story().into_iter().skip(9))).await.unwrap();
        Log::indexed(older.chronicle.clone()).await
    });
    assert!(check(&newer.evidence(ARTIFACT), &trust()).holds());
    let mut evidence = newer.evidence(ARTIFACT);
    evidence.index = newer.entry(&newer.entries[9]);
    evidence.streams = older.evidence(ARTIFACT).streams;
    let (aspect, what) = failure(&check(&evidence, &trust()));
    assert_eq!(aspect, Aspect::Index);
    assert!(matches!(what, Failure::IndexNotLast { .. }), "{what}");
}

#[test]
fn a_seal_that_ends_with_something_else_proves_nothing() {
    let mut log = Log::of(story());
    let note = run(async {
        let event = Event::from(AccordBound {
            accord_id: AccordId::new(),
            name: "last".into(),
            accord_terms: Json::parse("{}").unwrap(),
            bound_by: "ada".into(),
            effective_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        });
        log.chronicle.append(Append::of([NewEntry::new(&event)])).await.unwrap();
        Log::indexed(log.chronicle.clone()).await
    });
    log.entries = note.entries[..14].to_vec();
    log.tree = guildhall_proof::merkle::MerkleTree::new(
        log.entries.iter().map(|entry| entry.leaf_hash.into()),
    );
    log.seal = run(Log::seal(&log.tree));
    let (aspect, what) = failure(&check(&log.evidence(ARTIFACT), &trust()));
    assert_eq!(aspect, Aspect::Index);
    assert!(matches!(what, Failure::NotAnIndex { .. }), "{what}");
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
fn an_index_that_the_key_s_holder_forged_is_held_against_the_entries() {
    let judged = |log: &Log| failure(&check(&log.evidence(ARTIFACT), &trust()));
    let not_an_index = |log: Log| {
        let (aspect, what) = judged(&log);
        assert!(matches!(what, Failure::NotAnIndex { .. }), "{what}");
        assert_eq!(aspect, Aspect::Index);
    };
    // Of another stream; of entries that were not there yet.
    not_an_index(Log::of(story()).forged(|log| log.entries[12].stream_id = ACCORD.into()));
    not_an_index(Log::of(story()).forged_index(|index| index.tree_size = Position::new(13)));

    // It speaks of fewer entries than it indexes.
    let log = Log::of(story()).forged_index(|index| index.tree_size = Position::new(9));
    let (_, what) = judged(&log);
    assert!(matches!(what, Failure::NotIndexed { .. }), "{what}");

    // It ends the stream with another entry.
    let mut log = Log::of(story());
    let at = bucket_of(ARTIFACT.into());
    let mut records = log.buckets[&at].records().to_vec();
    for record in &mut records {
        record.leaf_hash = log.entries[0].leaf_hash;
    }
    let bucket = Bucket::new(at, records).unwrap();
    log.index.set(&bucket);
    log.buckets.insert(at, bucket);
    let root = log.index.root();
    let (_, what) = judged(&log.forged_index(|index| index.index_root = root));
    assert_eq!(what, Failure::LastEntry { stream: ARTIFACT.into() });
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

/// Every way to change one value of some JSON once, by where it stands.
fn changes(value: &Value, path: &str, emit: &mut dyn FnMut(String, Value)) {
    match value {
        Value::Null => emit(path.to_owned(), Value::from(0)),
        Value::Bool(value) => emit(path.to_owned(), Value::from(!value)),
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            emit(path.to_owned(), Value::from(number + 1));
            emit(path.to_owned(), Value::from(number - 1));
            emit(path.to_owned(), Value::from(number.to_string()));
        }
        Value::String(text) => {
            let chars: Vec<char> = text.chars().collect();
            for at in [0, chars.len() / 2, chars.len().saturating_sub(2)] {
                if let Some(char) = chars.get(at) {
                    let mut changed = chars.clone();
                    changed[at] = if *char == 'a' { 'b' } else { 'a' };
                    emit(path.to_owned(), changed.iter().collect::<String>().into());
                    changed.remove(at);
                    emit(path.to_owned(), changed.into_iter().collect::<String>().into());
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let with = |item: Vec<Value>| {
                    let mut items = items.clone();
                    items.splice(at..=at, item);
                    Value::from(items)
                };
                emit(format!("{path}/{at} gone"), with(vec![]));
                emit(format!("{path}/{at} twice"), with(vec![item.clone(), item.clone()]));
                changes(item, &format!("{path}/{at}"), &mut |path, item| {
                    emit(path, with(vec![item]))
                });
            }
        }
        Value::Object(members) => {
            let with = |name: &str, value: Option<Value>| {
                let mut members = members.clone();
                match value {
                    Some(value) => members.insert(name.to_owned(), value),
                    None => members.remove(name),
                };
                Value::from(members)
            };
            emit(format!("{path} with more"), with("more", Some(Value::Null)));
            for (name, value) in members {
                emit(format!("{path}/{name} gone"), with(name, None));
                changes(value, &format!("{path}/{name}"), &mut |path, value| {
                    emit(path, with(name, Some(value)))
                });
            }
        }
    }
}

#[test]
fn no_single_change_of_evidence_gets_past() {
    let evidence = Log::of(story()).evidence(ARTIFACT);
    let whole: Value = serde_json::from_str(&evidence.to_text().unwrap()).unwrap();
    let trust = trust();
    let mut tried = 0;
    changes(&whole, "", &mut |path, changed| {
        // Its wording may be another version's.
        if path.starts_with("/rows/quarantined_entries/0/reason") && !path.ends_with("gone") {
            return;
        }
        let parsed = Evidence::parse(changed.to_string());
        let holds = parsed.is_ok_and(|evidence| check(&evidence, &trust).holds());
        let is_reason = path == "/rows/quarantined_entries/0/reason gone";
        assert!(!holds || is_reason, "{path}");
        tried += 1;
    });
    assert!(tried > 1500, "{tried}");
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let text = Log::of(story()).evidence(ARTIFACT).to_text().unwrap();
    let id = format!("\"artifact_id\":\"{ARTIFACT}\"");
    assert!(Evidence::parse(text.replacen(&id, &format!("{id},{id}"), 1)).is_err());
    let twice = text.replacen("\"tier\":1", "\"tier\":2,\"tier\":1", 1);
    assert!(Evidence::parse(twice).is_err());
}

#[test]
fn the_index_is_a_tree_of_all_its_buckets_and_nothing_else() {
    let log = Log::of(story());
    let empty = |at| Bucket::new(at, Vec::new()).unwrap();
    let hashes = (0..=u16::MAX).map(|at| log.buckets.get(&at).unwrap_or(&empty(at)).leaf_hash());
    let hashes: Vec<_> = hashes.collect();
    assert_eq!(hashes.len() as u64, BUCKETS);
    assert_eq!(log.index.root(), root(hashes.iter().copied()));
    // Filled one by one, it is the same.
    let mut index = StreamIndex::default();
    for bucket in log.buckets.values() {
        index.set(bucket);
    }
    assert_eq!(index, log.index);
    for (at, bucket) in &log.buckets {
        bucket.verify(index.prove(*at), &index.root()).unwrap();
        let bytes = bucket.to_bytes();
        assert_eq!(bytes.len(), 56 * bucket.records().len());
        assert_eq!(Bucket::from_bytes(*at, &bytes).as_ref(), Ok(bucket));
        assert!(matches!(Bucket::from_bytes(at ^ 1, &bytes), Err(BucketError::Misplaced { .. })));
        assert!(matches!(Bucket::from_bytes(*at, &bytes[1..]), Err(BucketError::Length { .. })));
        assert!(matches!(
            Bucket::from_bytes(*at, &bytes.repeat(2)),
            Err(BucketError::Order { .. })
        ));
        let proof = InclusionProof { index: 0, size: BUCKETS, hashes: index.prove(*at) };
        assert!(*at == 0 || proof.verify(&bucket.leaf_hash(), &index.root()).is_err());
    }
    let mut nothing =
        StreamRecord { ..log.buckets.values().next().unwrap().records()[0] }.to_bytes();
    nothing[16..24].fill(0);
    assert_eq!(StreamRecord::from_bytes(&nothing), None);
    nothing[16..24].fill(0xff);
    assert_eq!(StreamRecord::from_bytes(&nothing), None);
    assert_eq!(empty(0).leaf_hash(), leaf_hash(b""));
}

#[test]
fn a_stream_belongs_in_the_bucket_that_the_hash_of_its_bytes_begins_with() {
    // Computed with another program: SHA-256 of the 16 bytes 00 … a1.
    assert_eq!(bucket_of(ARTIFACT.into()), 0xa398);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn an_artifact_s_own_entries_make_the_rows_that_the_whole_log_makes(seed in any::<u64>()) {
        let log = Log::of(Hostile::new(seed, Mix::DENSE).take(250).map(|made| made.entry));
        let mut whole = Fold::over_empty_tables(CustodyPolicy::standard(), OnViolation::Quarantine);
        whole.apply(log.entries.iter().cloned().map(DecodedEntry::from)).unwrap();
        let tables = Rows::of(whole.take_changes()).unwrap();
        let mut held = 0;
        for id in tables.governed_artifacts.iter().map(|row| row.columns()["id"].clone()) {
            let artifact_id: ArtifactId = serde_json::from_str(id.as_str()).unwrap();
            let evidence = log.evidence(artifact_id);
            let of = |rows: &[Row], column: &str, id: &Json| {
                let is_of = |row: &&Row| row.columns()[column] == *id;
                rows.iter().filter(is_of).cloned().collect::<Vec<_>>()
            };
            let rows = of(&tables.governed_artifacts, "id", &id);
            let accord = &rows[0].columns()["accord_binding_id"];
            prop_assert_eq!(&of(&evidence.rows.accord_bindings, "id", accord), &of(&tables.accord_bindings, "id", accord));
            prop_assert_eq!(&evidence.rows.governed_artifacts, &of(&tables.governed_artifacts, "id", &id));
            prop_assert_eq!(&evidence.rows.custody_transitions, &of(&tables.custody_transitions, "artifact_id", &id));
            prop_assert_eq!(&evidence.rows.deployment_states, &of(&tables.deployment_states, "artifact_id", &id));
            prop_assert_eq!(&evidence.rows.verification_results, &of(&tables.verification_results, "artifact_id", &id));
            prop_assert_eq!(&evidence.rows.quarantined_entries, &of(&tables.quarantined_entries, "stream_id", &id));
            let report = check(&evidence, &trust());
            prop_assert_eq!(report.failure, None);
            held += 1;
        }
        prop_assert!(held > 0);
    }
}

#[test]
fn an_index_that_is_kept_up_is_the_one_that_is_made_anew() {
    let entries: Vec<_> = Hostile::new(7, Mix::DENSE).take(200).map(|made| made.entry).collect();
    let all = Log::of(entries).entries;
    let mut index = StreamIndex::new(log::buckets(&all[..50]).into_values());
    for (before, now) in [(50, 51), (51, 120), (120, 200)] {
        // Only the buckets of the streams that went on are read again.
        let buckets = log::buckets(&all[..now]);
        for entry in &all[before..now] {
            index.set(&buckets[&bucket_of(entry.stream_id)]);
        }
        assert_eq!(index, StreamIndex::new(buckets.into_values()), "{now}");
    }
}

#[test]
fn what_folds_alone_needs_no_proof() {
    let streams: Vec<ProvenStream> = Vec::new();
    assert_eq!(fold(ARTIFACT, &streams, CustodyPolicy::standard()), Ok(Rows::default()));
}
