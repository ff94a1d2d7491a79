//! Verifying a log: what holds, what is found, and what cannot be known.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod log;

use guildhall_core::{
    Append, Chronicle as _, Entry, LeafHash, Origin, Position, Unchecked, Version,
};
use guildhall_proof::index::StreamRecord;
use guildhall_proof::merkle::MerkleTree;
use guildhall_proof::verify::{
    CheckedEntry, Known, Unknown, Verdict, VerifyFinding, VerifyReport, Verifying,
};
use guildhall_proof::{LogKeys, Seal, SignedSeal, Signer as _, TreeHash};
use log::{Log, log_key, origin, run, story, trust};

/// A log as a store gives it, and what the auditor brings.
struct Case {
    entries: Vec<Entry>,
    /// Of the log's own table.
    seals: Vec<SignedSeal>,
    streams: Vec<(u16, StreamRecord)>,
    tiles: Vec<(u8, u64, Vec<u8>)>,
    outside: Vec<SignedSeal>,
    /// What is known of index entries before they come.
    announced: Vec<(Position, Position)>,
    known: Known,
}

impl Case {
    fn of(log: &Log) -> Self {
        let streams = log
            .buckets
            .values()
            .flat_map(|bucket| bucket.records().iter().map(|record| (bucket.index(), *record)));
        let trust = trust();
        Self {
            entries: log.entries.clone(),
            seals: vec![log.seal.clone()],
            streams: streams.collect(),
            tiles: Vec::new(),
            outside: Vec::new(),
            announced: Vec::new(),
            known: Known { keys: Some(trust.keys), witnesses: trust.witnesses },
        }
    }

    fn verify(self) -> VerifyReport {
        let origin = origin();
        let mut verifying = Verifying::new(origin.clone(), self.known);
        verifying.stored_origin(Some(origin.clone()));
        for (nth, seal) in self.outside.into_iter().enumerate() {
            verifying.outside(&format!("seal {nth}"), seal);
        }
        for signed in self.seals {
            let seal = signed.seal();
            let size = Position::try_from(seal.size).unwrap();
            verifying.seal(size, seal.root, &signed.to_string(), &[]);
        }
        verifying.sealed();
        for (position, tree_size) in self.announced {
            verifying.announce(position, tree_size);
        }
        let checked = self.entries.into_iter().map(Unchecked::Entry);
        verifying.entries(checked.map(|entry| CheckedEntry::of(&entry, &origin)).collect());
        verifying.ended();
        for (level, index, hashes) in self.tiles {
            verifying.tile(level, index, &hashes);
        }
        for (bucket, record) in self.streams {
            verifying.stream(bucket, record);
        }
        verifying.finish()
    }
}

fn sealed_story() -> Log {
    Log::of(story())
}

/// A seal of the first entries as they are, signed by the log's key.
fn seal_of(entries: &[Entry]) -> SignedSeal {
    let tree = MerkleTree::new(entries.iter().map(|entry| TreeHash::from(entry.leaf_hash)));
    run(Log::seal(&tree))
}

/// The owner's way: the leaf hash fits again.
fn rehash(entry: &mut Entry) {
    entry.leaf_hash = entry.compute_leaf_hash(&origin());
}

fn assert_found(report: &VerifyReport, text: &str) {
    assert_eq!(report.verdict, Verdict::DoesNotHold);
    let found: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert!(found.iter().any(|it| it.contains(text)), "{text:?} is none of {found:#?}");
}

#[test]
fn a_sealed_log_holds_and_says_what_it_could_not_know() {
    let log = sealed_story();
    let report = Case::of(&log).verify();
    assert_eq!(report.verdict, Verdict::Holds, "{report:#?}");
    let size = log.seal.seal().size;
    assert_eq!((report.sealed_up_to, report.outside_up_to), (Some(size), None));
    assert_eq!((report.entries, report.seals, report.indexes), (size, 1, 1));
    assert_eq!(report.root, Some(log.tree.root()));
    assert_eq!(report.signers, [log_key().key().name().to_string()]);
    assert_eq!(report.unknown, [Unknown::NothingFromOutside]);

    let mut case = Case::of(&log);
    case.outside.push(log.seal.clone());
    let report = case.verify();
    assert_eq!((report.verdict, report.outside_up_to), (Verdict::Holds, Some(size)));
    assert_eq!(report.unknown, []);
}

#[test]
fn without_an_entry_a_seal_or_a_key_nothing_holds() {
    let log = sealed_story();
    let mut empty = Case::of(&log);
    (empty.entries, empty.seals, empty.streams) = (Vec::new(), Vec::new(), Vec::new());
    let mut never_sealed = Case::of(&log);
    (never_sealed.seals, never_sealed.streams) = (Vec::new(), Vec::new());
    let mut unsigned = Case::of(&log);
    unsigned.known = Known::default();
    for (case, unknown) in [
        (empty, Unknown::Empty),
        (never_sealed, Unknown::NeverSealed),
        (unsigned, Unknown::Unsigned),
    ] {
        let report = case.verify();
        assert_eq!(report.verdict, Verdict::Unknown, "{report:#?}");
        assert!(report.unknown.contains(&unknown), "{report:#?}");
    }
}

#[test]
fn entries_after_the_last_seal_are_said_not_to_be_sealed() {
    let log = sealed_story();
    let mut case = Case::of(&log);
    let mut last = case.entries[0].clone();
    last.position = log.entries.last().unwrap().position.next().unwrap();
    last.version = Version::try_from(2).unwrap();
    rehash(&mut last);
    case.entries.push(last);
    let report = case.verify();
    assert_eq!(report.verdict, Verdict::Holds, "{report:#?}");
    assert!(report.unknown.contains(&Unknown::NotYetSealed { first: 14, last: 14 }), "{report:#?}");
}

#[test]
fn a_changed_entry_is_named_and_nothing_else() {
    let log = sealed_story();
    let mut case = Case::of(&log);
    let payload = case.entries[4].payload.replace("example.org", "example.net");
    assert_ne!(*payload, *case.entries[4].payload);
    case.entries[4].payload = payload.into();
    let report = case.verify();
    assert_found(&report, "the entry at position 5 was altered");
    assert_eq!(report.wrong, 1, "{report:#?}");

    let mut case = Case::of(&log);
    case.entries[4].recorded_at = case.entries[5].recorded_at;
    let report = case.verify();
    assert_found(&report, "the entry at position 5 was altered");
    assert_eq!(report.wrong, 1, "{report:#?}");
}

#[test]
fn a_changed_entry_with_its_leaf_hash_is_found_by_the_seal_after_it() {
    let log = sealed_story();
    let mut case = Case::of(&log);
    case.seals.insert(0, seal_of(&log.entries[..3]));
    let payload = case.entries[4].payload.replace("example.org", "example.net");
    case.entries[4].payload = payload.into();
    rehash(&mut case.entries[4]);
    let report = case.verify();
    assert_found(&report, "positions 4 to 13 are not what the seal of 13 entries sealed");
    assert!(matches!(report.findings[0], VerifyFinding::Index { .. }), "{report:#?}");
    assert_eq!(report.sealed_up_to, Some(3));
}

#[test]
fn a_missing_an_exchanged_and_an_unreadable_entry_are_named() {
    let log = sealed_story();
    let mut case = Case::of(&log);
    case.entries.remove(6);
    assert_found(&case.verify(), "no entry stands at position 7");

    let mut case = Case::of(&log);
    let (fifth, sixth) = (case.entries[4].clone(), case.entries[5].clone());
    case.entries[4] = Entry { position: fifth.position, ..sixth.clone() };
    case.entries[5] = Entry { position: sixth.position, ..fifth };
    let report = case.verify();
    assert_found(&report, "the entry at position 5 was altered");
    assert_found(&report, "the entry at position 6 was altered");

    let (position, origin) = (Position::FIRST, origin());
    let mut verifying = Verifying::new(origin.clone(), Known::default());
    let unreadable = Unchecked::Unreadable { position, reason: "no payload".to_owned() };
    verifying.entries(vec![CheckedEntry::of(&unreadable, &origin)]);
    verifying.ended();
    assert_found(&verifying.finish(), "position 1 holds no entry: no payload");
}

#[test]
fn a_log_that_was_cut_off_is_found_by_a_seal_alone() {
    let log = sealed_story();
    let mut case = Case::of(&log);
    case.entries.truncate(9);
    assert_found(&case.verify(), "the seal speaks of 13 entries, and the log ends at position 9");

    // With the seals cut off too, only one from outside shows it.
    let mut case = Case::of(&log);
    case.entries.truncate(9);
    (case.seals, case.streams) = (vec![seal_of(&log.entries[..9])], Vec::new());
    let mut without = Case { outside: Vec::new(), known: case.known.clone(), ..Case::of(&log) };
    (without.entries, without.seals) = (case.entries.clone(), case.seals.clone());
    without.streams = Vec::new();
    assert_eq!(without.verify().verdict, Verdict::Holds);
    case.outside.push(log.seal);
    assert_found(
        &case.verify(),
        "the seal seal 0 speaks of 13 entries, and the log ends at position 9",
    );
}

#[test]
fn a_log_rewritten_whole_is_found_by_a_seal_from_outside_alone() {
    let log = sealed_story();
    let rewritten = sealed_story().forged(|log| {
        let payload = log.entries[4].payload.replace("example.org", "example.net");
        log.entries[4].payload = payload.into();
    });
    // Whoever holds the key makes the index anew, too.
    let entries = rewritten.entries[..12].to_vec();
    let buckets = log::buckets(&entries);
    let index = guildhall_proof::index::StreamIndex::new(buckets.values().cloned());
    let mut rewritten = rewritten.forged_index(|said| said.index_root = index.root());
    rewritten.buckets = buckets;
    let report = Case::of(&rewritten).verify();
    assert_eq!(report.verdict, Verdict::Holds, "{report:#?}");
    assert!(report.unknown.contains(&Unknown::NothingFromOutside));

    let mut case = Case::of(&rewritten);
    case.outside.push(log.seal.clone());
    let report = case.verify();
    assert_found(
        &report,
        "positions 1 to 13 are not what the seal seal 0 of 13 entries sealed, which the log's own key signed",
    );
    assert_found(&report, "the log's key signed two histories");
}

#[test]
fn seals_of_another_key_of_another_log_and_without_witnesses_are_refused() {
    let log = sealed_story();
    let (name, kind) = (log::ORIGIN.parse().unwrap(), guildhall_proof::KeyType::Ed25519);
    let other = guildhall_proof::SigningKey::from_seed(name, kind, &[9; 32]).unwrap();
    let mut case = Case::of(&log);
    case.seals = vec![run(SignedSeal::sign(log.seal.seal().clone(), &other)).unwrap()];
    assert_found(&case.verify(), "signed by none of the known keys");

    let mut case = Case::of(&log);
    let seal = Seal { origin: "guildhall/other".parse().unwrap(), ..log.seal.seal().clone() };
    case.seals = vec![run(SignedSeal::sign(seal, &log_key())).unwrap()];
    assert_found(&case.verify(), "the seal is of guildhall/other, expected guildhall/demo");

    let mut case = Case::of(&log);
    let bare = run(SignedSeal::sign(log.seal.seal().clone(), &log_key())).unwrap();
    case.seals = vec![bare];
    let report = case.verify();
    assert_eq!(report.verdict, Verdict::DoesNotHold);
    assert!(matches!(report.findings[0], VerifyFinding::Seal { size: 13, .. }), "{report:#?}");

    let mut case = Case::of(&log);
    case.known.keys = Some(LogKeys::single(origin(), other_key()).unwrap());
    assert_eq!(case.verify().verdict, Verdict::DoesNotHold);
}

/// A policy does not say since when it holds: what came before the last seal is reported, and not refused.
#[test]
fn of_older_seals_it_is_said_that_the_quorum_is_missing() {
    let older = Log::of(story().into_iter().take(9));
    let log = run(async {
        older.chronicle.append(Append::of(story().into_iter().skip(9))).await.unwrap();
        Log::indexed(older.chronicle.clone()).await
    });
    let case = |is_older_cosigned: bool, is_last_cosigned: bool| {
        let bare = |seal: &SignedSeal| seal.signed_by(&[log_key().key().clone()]).unwrap();
        let pick = |seal: &SignedSeal, all| if all { seal.clone() } else { bare(seal) };
        let mut case = Case::of(&log);
        case.seals = vec![pick(&older.seal, is_older_cosigned), pick(&log.seal, is_last_cosigned)];
        case
    };
    let report = case(true, true).verify();
    assert_eq!((report.verdict, report.cosigned, report.wrong), (Verdict::Holds, 2, 0));

    let report = case(false, true).verify();
    assert_eq!((report.verdict, report.cosigned), (Verdict::Holds, 1), "{report:#?}");
    let last = log.seal.seal().size;
    let uncosigned = Unknown::Uncosigned { seals: 1, sizes: vec![10], cosigned_up_to: Some(last) };
    assert!(report.unknown.contains(&uncosigned), "{report:#?}");
    let said = uncosigned.to_string();
    assert!(said.contains("of 10 entries: the policy's quorum did not cosign them; "), "{said}");
    assert!(said.ends_with(&format!("the seal of {last}, which vouches for those before it")));

    // The last one has to have it.
    let report = case(true, false).verify();
    assert_eq!((report.verdict, report.cosigned), (Verdict::DoesNotHold, 1), "{report:#?}");
    assert_found(&report, "0 of the policy's 2 witnesses cosigned, which is no quorum");
    let report = case(false, false).verify();
    let uncosigned = Unknown::Uncosigned { seals: 1, sizes: vec![10], cosigned_up_to: None };
    assert!(report.unknown.contains(&uncosigned), "{report:#?}");
    assert_eq!(report.wrong, 1);

    // Without a policy nobody asks.
    let mut unasked = case(false, false);
    unasked.known.witnesses = None;
    let report = unasked.verify();
    assert_eq!((report.verdict, report.cosigned), (Verdict::Holds, 0));
    assert!(report.unknown.contains(&Unknown::Unwitnessed));
}

fn other_key() -> guildhall_proof::VerifierKey {
    let (name, kind) = (log::ORIGIN.parse().unwrap(), guildhall_proof::KeyType::Ed25519);
    let key = guildhall_proof::SigningKey::from_seed(name, kind, &[9; 32]).unwrap();
    guildhall_proof::Signer::key(&key).clone()
}

#[test]
fn an_index_that_is_wrong_and_records_that_are_wrong_are_found() {
    let log = sealed_story().forged_index(|index| index.streams += 1);
    assert_found(&Case::of(&log).verify(), "it says that there are 5 streams, and there are 4");
    let log = sealed_story().forged_index(|index| index.index_root = TreeHash::from_bytes([1; 32]));
    assert_found(
        &Case::of(&log).verify(),
        "the index at position 13 is not right: its root is 0101",
    );
    let log = sealed_story().forged_index(|index| index.tree_size = Position::new(13));
    assert_found(&Case::of(&log).verify(), "it speaks of 13 entries, which were not there yet");
    // An index may be of fewer entries than there are: those that came meanwhile.
    let entries = sealed_story().entries[..10].to_vec();
    let buckets = log::buckets(&entries);
    let index = guildhall_proof::index::StreamIndex::new(buckets.values().cloned());
    let count = buckets.values().map(|bucket| bucket.records().len() as u64).sum();
    let mut log = sealed_story().forged_index(|said| {
        (said.tree_size, said.index_root, said.streams) = (Position::new(10), index.root(), count);
    });
    log.buckets = buckets;
    let report = Case::of(&log).verify();
    assert_eq!(report.verdict, Verdict::Holds, "{report:#?}");
    assert_eq!(report.streams, 4);
    let mut announced = Case::of(&log);
    announced.announced.push((Position::new(13), Position::new(10)));
    assert_eq!(announced.verify(), report);
    // Announced as it is not: then it is looked for.
    let mut announced = Case::of(&log);
    announced.announced.push((Position::new(13), Position::new(9)));
    announced.streams.clear();
    assert_eq!(announced.verify().verdict, Verdict::DoesNotHold);

    let log = sealed_story();
    let mut case = Case::of(&log);
    case.streams[1].1.leaf_hash = LeafHash::from_bytes([1; 32]);
    assert_found(&case.verify(), "or another entry there; at the last seal it was");
    let mut case = Case::of(&log);
    case.streams.remove(0);
    assert_found(&case.verify(), "1 streams have no record");
    let mut case = Case::of(&log);
    case.streams[0].0 ^= 1;
    assert_eq!(case.verify().verdict, Verdict::DoesNotHold);
}

#[test]
fn an_origin_that_was_changed_is_named_once() {
    let log = sealed_story();
    let origin = origin();
    let mut verifying = Verifying::new(origin.clone(), Case::of(&log).known);
    verifying.stored_origin(Some("guildhall/other".parse::<Origin>().unwrap()));
    let seal = log.seal.seal();
    let size = Position::try_from(seal.size).unwrap();
    verifying.seal(size, seal.root, &log.seal.to_string(), &[]);
    verifying.sealed();
    let checked = log.entries.iter().cloned().map(Unchecked::Entry);
    verifying.entries(checked.map(|entry| CheckedEntry::of(&entry, &origin)).collect());
    verifying.ended();
    let report = verifying.finish();
    assert_found(
        &report,
        "the log calls itself guildhall/other, and its seals call it guildhall/demo",
    );
    assert!(!report.findings.iter().any(|it| matches!(it, VerifyFinding::Altered { .. })));
}

/// A tile of level 1 needs 65,536 entries: of one stream, with the shortest payload.
#[test]
fn a_changed_and_a_missing_tile_are_named_with_their_positions() {
    let mut entry = sealed_story().entries[0].clone();
    entry.payload = "{}".into();
    let entries: Vec<Entry> = (1..=65_536u64)
        .map(|nth| {
            let mut entry = entry.clone();
            entry.position = Position::try_from(nth).unwrap();
            entry.version = Version::try_from(nth).unwrap();
            rehash(&mut entry);
            entry
        })
        .collect();
    let leaves: Vec<TreeHash> = entries.iter().map(|entry| entry.leaf_hash.into()).collect();
    let tile: Vec<u8> = leaves
        .chunks(256)
        .flat_map(|leaves| MerkleTree::new(leaves.iter().copied()).root().as_bytes().to_vec())
        .collect();
    let seal = seal_of(&entries);
    let case = |tiles| {
        let mut case = Case::of(&sealed_story());
        (case.entries, case.seals) = (entries.clone(), vec![seal.clone()]);
        (case.streams, case.tiles) = (Vec::new(), tiles);
        case.verify()
    };
    let report = case(vec![(1, 0, tile.clone())]);
    assert_eq!(report.verdict, Verdict::Holds, "{report:#?}");
    assert_found(&case(Vec::new()), "tile 0 of level 1, of positions 1 to 65536, is missing");
    let mut changed = tile.clone();
    changed[77] ^= 1;
    let report = case(vec![(1, 0, changed)]);
    assert_found(&report, "tile 0 of level 1 is not what positions 1 to 65536 make");
    assert_found(&case(vec![(1, 0, tile.clone()), (1, 1, tile)]), "tile 1 of level 1 is not what");
}
