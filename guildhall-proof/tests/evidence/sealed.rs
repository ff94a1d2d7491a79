//! Who sealed, when, and with which index.

use guildhall_core::{AccordBound, AccordId, Append, Chronicle, Event, Json, NewEntry, Position};
use guildhall_proof::evidence::{Aspect, Failure, Trust, check};
use guildhall_proof::index::{Bucket, bucket_of};
use guildhall_proof::{LogKeys, SealRefused, Signer};

use crate::failure;
use crate::log::{self, ACCORD, ARTIFACT, Log, log_key, run, story, trust, witness_key};

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
