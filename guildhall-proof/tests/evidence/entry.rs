//! Evidence of one entry, as a `.tlog-proof`.

use guildhall_proof::evidence::{
    Aspect, EntryEvidence, EntryEvidenceError, EntryUnknown, Failure, Trust,
};
use guildhall_proof::{TlogProof, merkle};

use crate::log::{Log, story, trust};

fn evidence(log: &Log, nth: usize) -> EntryEvidence {
    EntryEvidence::new(log.entry(&log.entries[nth]), log.seal.clone())
}

#[test]
fn every_entry_has_a_proof_that_holds_elsewhere() {
    let log = Log::of(story());
    for nth in 0..log.entries.len() {
        let made = evidence(&log, nth);
        let read = EntryEvidence::parse(made.to_string()).unwrap();
        assert_eq!((&read, read.index), (&made, nth as u64));
        let report = read.check(&trust());
        assert!(report.holds(), "{:?}", report.failure);
        assert_eq!(report.held, [Aspect::Seal, Aspect::Witnesses, Aspect::Entries]);
        assert_eq!(report.witnesses.len(), 2);
        assert_eq!(report.unknown, [EntryUnknown::Effect]);
        let alone = read.check(&Trust { witnesses: None, ..trust() });
        assert_eq!(alone.unknown, [EntryUnknown::Effect, EntryUnknown::Unwitnessed]);
    }
}

/// Another program needs no word of ours: the leaf is the hash of the first line of `extra`.
#[test]
fn other_tools_find_the_leaf_in_the_file() {
    let log = Log::of(story());
    let file = TlogProof::parse(evidence(&log, 4).to_string()).unwrap();
    let extra = file.extra.clone().unwrap();
    let first = extra.split(|byte| *byte == b'\n').next().unwrap();
    file.verify(&merkle::leaf_hash(first)).unwrap();
    assert_eq!(file.index, 4);
}

#[test]
fn no_changed_byte_gets_past() {
    let log = Log::of(story());
    let (text, trust) = (evidence(&log, 4).to_string().into_bytes(), trust());
    let holds =
        |text: &[u8]| EntryEvidence::parse(text).is_ok_and(|read| read.check(&trust).holds());
    assert!(holds(&text));
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(!holds(&changed), "byte {at} changed");
        changed.remove(at);
        assert!(!holds(&changed), "byte {at} taken out");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let log = Log::of(story());
    let failure = |change: &dyn Fn(&mut EntryEvidence)| {
        let mut changed = evidence(&log, 4);
        change(&mut changed);
        changed.check(&trust()).failure.unwrap()
    };
    let (aspect, what) = failure(&|it| it.index = 5);
    assert!(matches!(what, Failure::Leaf { found: 5, .. }), "{what}");
    assert_eq!(aspect, Aspect::Entries);
    let (_, what) = failure(&|it| it.index = u64::MAX);
    assert!(matches!(what, Failure::Leaf { .. }), "{what}");
    let (_, what) = failure(&|it| it.entry.payload.push(' '));
    assert!(matches!(what, Failure::Payload { .. }), "{what}");
    let (_, what) = failure(&|it| it.entry = log.entry(&log.entries[5]));
    assert!(matches!(what, Failure::Leaf { .. }), "{what}");
    let (_, what) = failure(&|it| it.entry.proof = log.entry(&log.entries[5]).proof);
    assert!(matches!(what, Failure::Entry { .. }), "{what}");
}

#[test]
fn a_proof_of_something_that_is_not_in_it_is_none() {
    let whole = evidence(&Log::of(story()), 4).to_proof();
    for extra in [None, Some(b"a file".to_vec()), Some(vec![0xff, b'\n'])] {
        let file = TlogProof { extra, ..whole.clone() }.to_string();
        assert!(EntryEvidence::is_meant(file.as_bytes()));
        let refused = EntryEvidence::parse(file).unwrap_err();
        assert!(matches!(refused, EntryEvidenceError::NoEntry), "{refused}");
    }
    let file = TlogProof { extra: Some(b"{}\n{}".to_vec()), ..whole }.to_string();
    assert!(matches!(EntryEvidence::parse(file), Err(EntryEvidenceError::Record(_))));
}
