//! Seals for tests, made from scratch: what finds fault with them shares nothing with what made them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use guildhall_core::{
    Append, ChronicleIndexed, HolderId, NewEntry, NewSeal, Position, ReadLimit, Seals, StoredSeal,
    StoredStream, Timestamp,
};
use guildhall_proof::index::{StreamIndex, StreamRecord, buckets};
use guildhall_proof::merkle::MerkleTree;
use guildhall_proof::{KeyType, Seal, SignedSeal, Signer, SigningKey};

use crate::databases::Audited;

pub(crate) const ORIGIN: &str = "guildhall/calder-harbour";

/// A key of the log; 1 is the one that tests give to commands.
pub(crate) fn log_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN.parse().unwrap(), KeyType::Ed25519, &[seed; 32]).unwrap()
}

pub(crate) fn witness_key(seed: u8) -> SigningKey {
    let name = format!("witness.example/w{seed}").parse().unwrap();
    SigningKey::from_seed(name, KeyType::Cosignature, &[seed; 32]).unwrap()
}

/// Indexes the streams, and seals the whole log with this key.
pub(crate) async fn seal(log: &dyn Seals, key: &SigningKey) -> SignedSeal {
    let all = ReadLimit { entries: 1_000_000, bytes: usize::MAX };
    let origin = log.origin().await.unwrap().unwrap();
    let entries = log.read(Position::ZERO, all).await.unwrap();
    let mut ends = BTreeMap::new();
    for entry in &entries {
        let (stream, version, leaf_hash) = (entry.stream_id, entry.version, entry.leaf_hash);
        ends.insert(stream, StreamRecord { stream, version, leaf_hash });
    }
    let (streams, buckets) = (ends.len() as u64, buckets(ends.into_values()).unwrap());
    let index = StreamIndex::new(buckets.values().cloned());
    let tree_size = entries.last().unwrap().position;
    let indexed = ChronicleIndexed { index_root: index.root(), streams, tree_size };
    log.append(Append::of([NewEntry::indexed(&indexed, &origin)])).await.unwrap();

    let entries = log.read(Position::ZERO, all).await.unwrap();
    let tree = MerkleTree::new(entries.iter().map(|entry| entry.leaf_hash.into()));
    let seal = Seal { origin, size: tree.size(), root: tree.root() };
    let (size, root) = (entries.last().unwrap().position, seal.root);
    let signed = SignedSeal::sign(seal, key).await.unwrap();
    let records = buckets.values().flat_map(|bucket| {
        bucket.records().iter().map(|record| StoredStream {
            bucket: bucket.index(),
            stream_id: record.stream,
            version: record.version,
            leaf_hash: record.leaf_hash,
        })
    });
    let stored = StoredSeal { size, root, note: signed.to_string(), sealed_at: Timestamp::now() };
    let after = log.last_seal().await.unwrap().map(|last| last.size);
    let (tiles, streams) = (Vec::new(), records.collect());
    let new = NewSeal { holder: HolderId::new(), after, seal: stored, tiles, streams };
    log.save_seal(new).await.unwrap();
    signed
}

/// Seals the database, and leaves the seal beside it under this name.
pub(crate) fn sealed_to(audited: &Audited, name: &str, seed: u8) -> SignedSeal {
    let signed = audited.with_log(async |log| seal(&*log, &log_key(seed)).await);
    std::fs::write(audited.folder.path(name), signed.to_string()).unwrap();
    signed
}

/// What an auditor was given: the log's public key, as arguments have it, in a file.
pub(crate) fn given_keys(audited: &Audited) -> PathBuf {
    let path = audited.folder.path("keys");
    let keys = format!("guildhall.keys.v1\norigin {ORIGIN}\nkey {} 0\n", log_key(1).key());
    std::fs::write(&path, keys).unwrap();
    path
}
