//! Bytes that were changed at random, for as long as there is time: nothing panics, and nothing that
//! is accepted says something else than what was signed.
//!
//! `GUILDHALL_FUZZ_SECONDS` sets how long (2 by default), `GUILDHALL_FUZZ_SEED` with which seed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod log;

use std::time::{Duration, Instant};

use guildhall_proof::evidence::{EntryEvidence, Evidence, Trust, check};
use guildhall_proof::index::Bucket;
use guildhall_proof::merkle::{CompactRange, ConsistencyProof, InclusionProof};
use guildhall_proof::policy::Policy;
use guildhall_proof::tile::{Tile, TileId, decode_bundle, encode_bundle};
use guildhall_proof::witness::{AddCheckpoint, Answer, Latest, Log as Known, SIZE_CONTENT_TYPE};
use guildhall_proof::{
    LogKeys, Record, SignedSeal, Signer, SigningKey, TlogProof, TreeHash, VerifierKey,
};
use guildhall_workload::random::Random;

use log::{ARTIFACT, Log, log_key, origin, story, trust, witness_key};

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Bytes that mean something somewhere.
const TELLING: &[u8] = b" \n\t+/=0123456789aAzZ{}[]\",:\x00\xff";

/// Some of the bytes changed, moved, doubled, cut or exchanged with those of another text.
fn mutated(random: &mut Random, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.index(4) {
        let at = random.index(bytes.len() + 1);
        let length = random.index(1 + bytes.len().min(40)).min(bytes.len() - at);
        let piece = bytes[at..at + length].to_vec();
        match random.index(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.index(8),
            1 if at < bytes.len() => bytes[at] = TELLING[random.index(TELLING.len())],
            2 => bytes.insert(at, b"\n "[random.index(2)]),
            3 => drop(bytes.drain(at..at + length)),
            4 => drop(bytes.splice(at..at, piece).collect::<Vec<_>>()),
            5 => bytes.truncate(at),
            _ => {
                let from = random.index(other.len() + 1);
                let taken = &other[from..(from + length).min(other.len())];
                drop(bytes.splice(at..at + length, taken.iter().copied()).collect::<Vec<_>>());
            }
        }
    }
    bytes
}

/// What every kind of text is judged by.
struct Judge {
    evidence: Evidence,
    entry: EntryEvidence,
    trust: Trust,
    request: AddCheckpoint,
    known: Known,
    proof: TlogProof,
    leaf: TreeHash,
    seal: SignedSeal,
    keys: LogKeys,
}

impl Judge {
    /// Reads the bytes as all that they could be.
    fn read(&self, bytes: &[u8]) {
        if let Ok(seal) = SignedSeal::parse(bytes)
            && self.keys.verify(&seal).is_ok()
        {
            assert_eq!(seal.seal(), self.seal.seal(), "another seal was accepted");
        }
        if let Ok(request) = AddCheckpoint::parse(bytes)
            && self.known.judge(&request).is_ok()
        {
            assert_eq!(
                (request.old_size, &request.proof),
                (self.request.old_size, &self.request.proof)
            );
            assert_eq!(request.seal.seal(), self.request.seal.seal());
        }
        if let Ok(proof) = TlogProof::parse(bytes)
            && proof.verify(&self.leaf).is_ok()
            && self.keys.verify(&proof.seal).is_ok()
        {
            assert_eq!((proof.index, &proof.hashes), (self.proof.index, &self.proof.hashes));
        }
        if let Ok(evidence) = EntryEvidence::parse(bytes)
            && evidence.check(&self.trust).holds()
        {
            assert_eq!((&evidence.entry, evidence.index), (&self.entry.entry, self.entry.index));
        }
        if let Ok(mut evidence) = Evidence::parse(bytes)
            && check(&evidence, &self.trust).holds()
        {
            // Signatures of unknown keys, and how a reason is worded, are nobody's word.
            evidence.seal = self.evidence.seal.clone();
            let quarantined = "quarantined_entries";
            let rows = self.evidence.rows.table(quarantined).to_vec();
            *evidence.rows.table_mut(quarantined).unwrap() = rows;
            assert!(evidence == self.evidence, "other evidence was accepted");
        }
        if let Ok(entries) = decode_bundle(bytes) {
            assert_eq!(encode_bundle(entries).unwrap(), bytes);
        }
        if let Ok(record) = Record::parse(bytes) {
            assert_eq!(record.to_text().as_bytes(), bytes);
        }
        let _ = (Tile::from_bytes(bytes), CompactRange::from_bytes(bytes), Policy::parse(bytes));
        let _ = (0..3).map(|at| Bucket::from_bytes(at, bytes)).all(|bucket| bucket.is_ok());
        let _ = Answer::read(200, None, bytes);
        let _ = Answer::read(409, Some(SIZE_CONTENT_TYPE), bytes);
        if let Ok(text) = std::str::from_utf8(bytes) {
            if let Ok(id) = text.parse::<TileId>() {
                assert_eq!(id.to_string(), text);
            }
            if let Ok(key) = text.parse::<VerifierKey>() {
                assert_eq!(key.to_string(), text);
            }
            let _ = (text.parse::<SigningKey>().is_ok(), text.parse::<LogKeys>().is_ok());
        }
    }
}

#[test]
fn nothing_random_gets_past_for_as_long_as_there_is_time() {
    let seed = setting("GUILDHALL_FUZZ_SEED").unwrap_or(0x6775_696c);
    let time = Duration::from_secs(setting("GUILDHALL_FUZZ_SECONDS").unwrap_or(2));
    println!("seed {seed}");

    let log = Log::of(story());
    let size = log.tree.size();
    let growth = ConsistencyProof::make(&log.tree, 5, size).unwrap();
    let inclusion = InclusionProof::make(&log.tree, 4, size).unwrap();
    let leaf = log.tree.leaves()[4];
    let old = guildhall_proof::merkle::root(log.tree.leaves()[..5].iter().copied());
    let judge = Judge {
        evidence: log.evidence(ARTIFACT),
        entry: EntryEvidence::new(log.entry(&log.entries[4]), log.seal.clone()),
        trust: trust(),
        request: AddCheckpoint { old_size: 5, proof: growth.hashes, seal: log.seal.clone() },
        known: Known {
            origin: origin(),
            keys: vec![log_key().key().clone()],
            latest: Some(Latest { size: 5, root: old }),
        },
        proof: TlogProof {
            extra: None,
            index: 4,
            hashes: inclusion.hashes,
            seal: log.seal.clone(),
        },
        leaf,
        seal: log.seal.clone(),
        keys: trust().keys,
    };
    let records: Vec<_> =
        log.entries.iter().map(|entry| Record::of(entry, &origin()).to_text()).collect();
    let policy = format!(
        "log {}\nwitness a {}\nwitness b {}\ngroup g 1 a b\nquorum g\n",
        log_key().key(),
        witness_key(11).key(),
        witness_key(12).key()
    );
    let corpus: Vec<Vec<u8>> = vec![
        judge.evidence.to_text().unwrap().into(),
        log.seal.to_string().into(),
        judge.request.to_string().into(),
        judge.proof.to_string().into(),
        judge.entry.to_string().into(),
        policy.into(),
        judge.keys.to_string().into(),
        encode_bundle(records.iter().map(String::as_bytes)).unwrap(),
        records[0].clone().into(),
        log.buckets.values().next().unwrap().to_bytes(),
        log_key().to_secret_text().as_str().into(),
        log_key().key().to_string().into(),
        b"tile/0/x001/x234/067.p/8".to_vec(),
    ];
    for text in &corpus {
        judge.read(text);
    }
    let mut random = Random::seeded(seed);
    let (start, mut rounds) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        for text in &corpus {
            let other = &corpus[random.index(corpus.len())];
            judge.read(&mutated(&mut random, text, other));
        }
        rounds += 1;
    }
    println!("{rounds} rounds");
    assert!(rounds > 0);
}
