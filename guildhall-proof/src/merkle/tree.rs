//! A whole tree in memory.

use guildhall_core::TreeHash;

use super::prove::root_of;
use super::{Node, Nodes, node_hash};

/// Every complete node of a tree, 64 bytes a leaf. For trees that are small or of one size: the
/// stream index, tests. A log is kept as tiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MerkleTree {
    /// By level, the leaves first.
    levels: Vec<Vec<TreeHash>>,
}

impl MerkleTree {
    /// The tree over these leaf hashes.
    pub fn new(leaves: impl IntoIterator<Item = TreeHash>) -> Self {
        let mut level: Vec<TreeHash> = leaves.into_iter().collect();
        let mut levels = Vec::new();
        while !level.is_empty() {
            let above = level.as_chunks::<2>().0.iter();
            let above = above.map(|[left, right]| node_hash(left, right)).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        Self { levels }
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The leaf hashes.
    pub fn leaves(&self) -> &[TreeHash] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// Replaces a leaf, and returns whether there is one of that index, from 0.
    pub fn set(&mut self, index: usize, leaf: TreeHash) -> bool {
        if index >= self.leaves().len() {
            return false;
        }
        let (mut at, mut hash) = (index, leaf);
        for level in 0..self.levels.len() {
            let Some(slot) = self.levels[level].get_mut(at) else { break };
            *slot = hash;
            let Some([left, right]) = self.levels[level].as_chunks::<2>().0.get(at / 2) else {
                break;
            };
            hash = node_hash(left, right);
            at /= 2;
        }
        true
    }

    /// The root.
    pub fn root(&self) -> TreeHash {
        // Every complete node is there.
        root_of(self, self.size()).unwrap_or_else(|_| super::empty_root())
    }
}

impl Nodes for MerkleTree {
    fn node(&self, node: Node) -> Option<TreeHash> {
        let level = self.levels.get(usize::from(node.level))?;
        level.get(usize::try_from(node.index).ok()?).copied()
    }
}
