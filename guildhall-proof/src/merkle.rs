//! Merkle trees as of RFC 6962, section 2.1, with SHA-256.
//!
//! The tree over `n` leaves is fixed by their number: its left half has the largest power of two
//! below `n`. Subtrees of 2^level leaves that begin at a multiple of 2^level are its [`Node`]s;
//! they never change again as the tree grows, and every root and proof is made of them.

mod prove;
mod range;
mod tree;
mod verify;

use guildhall_core::TreeHash;
use sha2::{Digest, Sha256};

pub use prove::{NodeMissing, Nodes, ProveError, consistency_nodes, inclusion_nodes};
pub use range::{CompactRange, RangeError};
pub use tree::MerkleTree;
pub use verify::{ConsistencyProof, InclusionProof, ProofError};

/// A complete subtree: the leaves `index · 2^level` to `(index + 1) · 2^level`, the last excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// How far above the leaves it stands: 0 to 63, and 0 is a leaf.
    pub level: u8,
    /// Which of its level it is, from the left, from 0.
    pub index: u64,
}

/// The hash of a leaf that holds `data`: SHA-256(0x00 ‖ data).
pub fn leaf_hash(data: &[u8]) -> TreeHash {
    let mut hasher = Sha256::new_with_prefix([0x00]);
    hasher.update(data);
    TreeHash::from_bytes(hasher.finalize().into())
}

/// The hash of a node with these children: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let mut hasher = Sha256::new_with_prefix([0x01]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    TreeHash::from_bytes(hasher.finalize().into())
}

/// The root of the tree without leaves: the SHA-256 of nothing.
pub fn empty_root() -> TreeHash {
    TreeHash::from_bytes(Sha256::digest([]).into())
}

/// The root of the tree over these leaf hashes.
pub fn root(leaves: impl IntoIterator<Item = TreeHash>) -> TreeHash {
    let mut range = CompactRange::default();
    for leaf in leaves {
        range.append(leaf);
    }
    range.root()
}
