//! The right edge of a tree: all that is needed to append to it and to know its root.

use guildhall_core::TreeHash;

use super::{Node, empty_root, node_hash};

/// A tree over its first `size` leaves, as the roots of its complete subtrees: one for each bit set
/// in `size`, the largest and leftmost first. Leaves are appended without the ones before.
///
/// ```
/// use guildhall_proof::merkle::{CompactRange, leaf_hash, root};
///
/// let leaves = [b"a", b"b", b"c"].map(|data| leaf_hash(data));
/// let mut range = CompactRange::default();
/// range.append(leaves[0]);
/// range.append(leaves[1]);
/// // Kept somewhere, and taken up again later.
/// let mut range = CompactRange::from_bytes(&range.to_bytes())?;
/// range.append(leaves[2]);
/// assert_eq!(range.root(), root(leaves));
/// # Ok::<(), guildhall_proof::merkle::RangeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<TreeHash>,
}

/// Why something is not a [`CompactRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The bytes end within a number or a hash.
    #[error("{found} bytes are not an 8-byte size and 32-byte hashes")]
    Length {
        /// How many bytes.
        found: usize,
    },
    /// There are more or fewer hashes than the size has.
    #[error("a tree of {size} leaves has {expected} complete subtrees, found {found}")]
    Count {
        /// The size.
        size: u64,
        /// How many hashes.
        found: usize,
        /// How many there are in a tree of that size.
        expected: u32,
    },
}

impl CompactRange {
    /// The range of this many leaves whose complete subtrees, the largest first, have these roots.
    ///
    /// # Errors
    /// [`RangeError::Count`].
    pub fn new(size: u64, hashes: Vec<TreeHash>) -> Result<Self, RangeError> {
        let expected = size.count_ones();
        if usize::try_from(expected) == Ok(hashes.len()) {
            Ok(Self { size, hashes })
        } else {
            Err(RangeError::Count { size, found: hashes.len(), expected })
        }
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.hashes
    }

    /// The nodes that those are the roots of, for a tree of `size` leaves: what is to be loaded in
    /// order to append to it.
    pub fn nodes(size: u64) -> impl Iterator<Item = Node> {
        super::prove::complete_nodes(0, size)
    }

    /// Appends a leaf.
    pub fn append(&mut self, leaf: TreeHash) {
        self.append_with(leaf, |_, _| {});
    }

    /// Appends a leaf, and shows every node that it completes, the leaf itself first.
    pub fn append_with(&mut self, leaf: TreeHash, mut completed: impl FnMut(Node, &TreeHash)) {
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        completed(node, &hash);
        // A left sibling is there for every bit that the increment carries through.
        while node.index & 1 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            completed(node, &hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let mut hashes = self.hashes.iter().rev();
        let Some(last) = hashes.next() else { return empty_root() };
        hashes.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The size in 8 bytes, big-endian, and each hash in 32.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        for hash in &self.hashes {
            bytes.extend_from_slice(hash.as_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`RangeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RangeError> {
        let length = RangeError::Length { found: bytes.len() };
        let (size, hashes) = bytes.split_first_chunk::<8>().ok_or(length)?;
        let (hashes, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(length);
        }
        let hashes = hashes.iter().copied().map(TreeHash::from_bytes).collect();
        Self::new(u64::from_be_bytes(*size), hashes)
    }
}
