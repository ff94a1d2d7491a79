//! The vectors of transparency-dev/merkle (see `vectors/README.md`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use data_encoding::BASE64;
use guildhall_proof::TreeHash;
use guildhall_proof::merkle::{ConsistencyProof, InclusionProof};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    file: String,
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    file: String,
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

/// A hash of 32 bytes; no other can be given to a proof.
fn hash(text: &str) -> Option<TreeHash> {
    Some(TreeHash::from_bytes(BASE64.decode(text.as_bytes()).unwrap().try_into().ok()?))
}

/// Some roots are placeholders of another length ("dont care 1"): padded, they are as good as any.
fn placeholder(text: &str) -> Option<TreeHash> {
    let mut bytes = BASE64.decode(text.as_bytes()).unwrap();
    if bytes.starts_with(b"dont care") || bytes.starts_with(b"don't care") {
        bytes.resize(32, 0);
    }
    Some(TreeHash::from_bytes(bytes.try_into().ok()?))
}

fn hashes(proof: Option<Vec<String>>) -> Option<Vec<TreeHash>> {
    proof.unwrap_or_default().iter().map(|text| hash(text)).collect()
}

#[test]
fn every_inclusion_vector_is_judged_as_its_authors_do() {
    let (mut held, mut refused) = (0, 0);
    for line in include_str!("vectors/inclusion.jsonl").lines() {
        let vector: Inclusion = serde_json::from_str(line).unwrap();
        let verified = || {
            let hashes = hashes(vector.proof)?;
            let proof = InclusionProof { index: vector.leaf_idx, size: vector.tree_size, hashes };
            proof.verify(&hash(&vector.leaf_hash)?, &hash(&vector.root)?).ok()
        };
        let is_refused = verified().is_none();
        assert_eq!(is_refused, vector.want_err, "{}", vector.file);
        *(if is_refused { &mut refused } else { &mut held }) += 1;
    }
    assert_eq!((held, refused), (6, 92));
}

#[test]
fn every_consistency_vector_is_judged_as_its_authors_do() {
    let (mut held, mut refused) = (0, 0);
    for line in include_str!("vectors/consistency.jsonl").lines() {
        let vector: Consistency = serde_json::from_str(line).unwrap();
        let verified = || {
            let hashes = hashes(vector.proof)?;
            let proof = ConsistencyProof { old: vector.size1, new: vector.size2, hashes };
            proof.verify(&placeholder(&vector.root1)?, &placeholder(&vector.root2)?).ok()
        };
        let is_refused = verified().is_none();
        assert_eq!(is_refused, vector.want_err, "{}", vector.file);
        *(if is_refused { &mut refused } else { &mut held }) += 1;
    }
    assert_eq!((held, refused), (6, 92));
}
