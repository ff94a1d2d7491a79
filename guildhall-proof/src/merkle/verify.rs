//! Checking proofs: RFC 9162, sections 2.1.3.2 and 2.1.4.2, which spell out how those of RFC 6962
//! are checked.

use guildhall_core::TreeHash;

use super::{empty_root, node_hash};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf is not in a tree of that size.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NotInTree {
        /// The leaf, from 0.
        index: u64,
        /// How many leaves there are.
        size: u64,
    },
    /// The earlier tree is larger than the later one, or empty: an empty tree is a part of every
    /// other, which needs no proof.
    #[error("there is no proof that a tree of {new} leaves grew out of one of {old}")]
    NotEarlier {
        /// The size of the earlier tree.
        old: u64,
        /// The size of the later one.
        new: u64,
    },
    /// The proof has more or fewer hashes than trees of these sizes need.
    #[error("the proof has {found} hashes, which is not what these sizes ask for")]
    Length {
        /// How many hashes.
        found: usize,
    },
    /// The proof leads to another root of the tree.
    #[error("the proof leads to the root {found}, expected {expected}")]
    Root {
        /// The root that it leads to.
        found: TreeHash,
        /// The root that it is to lead to.
        expected: TreeHash,
    },
    /// The proof leads to another root of the earlier tree.
    #[error("the proof leads to the earlier root {found}, expected {expected}")]
    OldRoot {
        /// The root that it leads to.
        found: TreeHash,
        /// The root that it is to lead to.
        expected: TreeHash,
    },
}

fn reaches(found: TreeHash, expected: &TreeHash) -> Result<(), ProofError> {
    if found == *expected { Ok(()) } else { Err(ProofError::Root { found, expected: *expected }) }
}

/// Proves that a leaf is in a tree: the hashes beside its way to the root, the lowest first (RFC
/// 6962, section 2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The leaf, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The hashes.
    pub hashes: Vec<TreeHash>,
}

impl InclusionProof {
    /// Checks that the leaf of this hash is in the tree with this root.
    ///
    /// # Errors
    /// [`ProofError`], but for [`OldRoot`](ProofError::OldRoot) and
    /// [`NotEarlier`](ProofError::NotEarlier).
    pub fn verify(&self, leaf: &TreeHash, root: &TreeHash) -> Result<(), ProofError> {
        let &Self { index, size, ref hashes } = self;
        if index >= size {
            return Err(ProofError::NotInTree { index, size });
        }
        let length = ProofError::Length { found: hashes.len() };
        let mut at = index;
        let mut last = size - 1;
        let mut found = *leaf;
        for hash in hashes {
            if last == 0 {
                return Err(length);
            }
            if at & 1 == 1 || at == last {
                found = node_hash(hash, &found);
                // A last node without a right sibling moves up unhashed.
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                found = node_hash(&found, hash);
            }
            at >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(length);
        }
        reaches(found, root)
    }
}

/// Proves that a tree grew out of an earlier one: that nothing in it was changed or removed (RFC
/// 6962, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// How many leaves the earlier tree has.
    pub old: u64,
    /// How many the later one has.
    pub new: u64,
    /// The hashes.
    pub hashes: Vec<TreeHash>,
}

impl ConsistencyProof {
    /// Checks that the tree with the root `new_root` grew out of the one with `old_root`.
    ///
    /// # Errors
    /// [`ProofError`], but for [`NotInTree`](ProofError::NotInTree).
    pub fn verify(&self, old_root: &TreeHash, new_root: &TreeHash) -> Result<(), ProofError> {
        let &Self { old, new, ref hashes } = self;
        if old == 0 || old > new {
            return Err(ProofError::NotEarlier { old, new });
        }
        let length = ProofError::Length { found: hashes.len() };
        if old == new {
            if !hashes.is_empty() {
                return Err(length);
            }
            return reaches(*old_root, new_root);
        }
        let mut at = old - 1;
        let mut last = new - 1;
        let mut hashes = hashes.iter();
        let first = if old.is_power_of_two() { old_root } else { hashes.next().ok_or(length)? };
        // Up to the largest subtree that both trees have whole.
        while at & 1 == 1 {
            at >>= 1;
            last >>= 1;
        }
        let mut old_found = *first;
        let mut new_found = *first;
        for hash in hashes {
            if last == 0 {
                return Err(length);
            }
            if at & 1 == 1 || at == last {
                old_found = node_hash(hash, &old_found);
                new_found = node_hash(hash, &new_found);
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                new_found = node_hash(&new_found, hash);
            }
            at >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(length);
        }
        if old_found != *old_root {
            return Err(ProofError::OldRoot { found: old_found, expected: *old_root });
        }
        reaches(new_found, new_root)
    }

    /// The same where the earlier tree may be empty: then there is no proof to give, and its root
    /// has to be that of the empty tree (C2SP tlog-witness).
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_growth(
        &self,
        old_root: &TreeHash,
        new_root: &TreeHash,
    ) -> Result<(), ProofError> {
        if self.old != 0 {
            return self.verify(old_root, new_root);
        }
        if !self.hashes.is_empty() {
            return Err(ProofError::Length { found: self.hashes.len() });
        }
        let empty = empty_root();
        if *old_root != empty {
            return Err(ProofError::OldRoot { found: empty, expected: *old_root });
        }
        if self.new == 0 { reaches(empty, new_root) } else { Ok(()) }
    }
}
