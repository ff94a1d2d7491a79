//! Making proofs: which nodes they need, and how those become hashes.
//!
//! A store asks for the nodes first, loads them as it likes, and has the proof made of them.

use guildhall_core::TreeHash;

use super::{ConsistencyProof, InclusionProof, Node, node_hash};

/// Where the hashes of nodes come from.
pub trait Nodes {
    /// The hash of this node; none if it is not known.
    fn node(&self, node: Node) -> Option<TreeHash>;
}

/// A hash that a proof or a root needs and [`Nodes`] does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hash of node {} of level {} is not there", .node.index, .node.level)]
pub struct NodeMissing {
    /// The node.
    pub node: Node,
}

/// Why no proof could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The leaf is not in the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NotInTree {
        /// The leaf, from 0.
        index: u64,
        /// How many leaves there are.
        size: u64,
    },
    /// There is no earlier tree of that size.
    #[error("a tree of {new} leaves did not grow out of one of {old}")]
    NotEarlier {
        /// The size of the earlier tree.
        old: u64,
        /// The size of the later one.
        new: u64,
    },
    /// A hash is not there.
    #[error(transparent)]
    Missing(#[from] NodeMissing),
}

/// The leaves from `start` to `end`, the latter excluded, whose tree's root is one hash of a proof.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    const fn len(self) -> u64 {
        self.end - self.start
    }

    /// The two halves of a span of more than one leaf, as section 2.1 splits it.
    fn halves(self) -> (Self, Self) {
        let middle = self.start + (1 << (self.len() - 1).ilog2());
        (Self { end: middle, ..self }, Self { start: middle, ..self })
    }

    fn root(self, nodes: &impl Nodes) -> Result<TreeHash, NodeMissing> {
        let load = |node| nodes.node(node).ok_or(NodeMissing { node });
        let parts: Vec<Node> = complete_nodes(self.start, self.end).collect();
        let mut parts = parts.into_iter().rev();
        let Some(last) = parts.next() else { return Ok(super::empty_root()) };
        let last = load(last)?;
        parts.try_fold(last, |right, left| Ok(node_hash(&load(left)?, &right)))
    }
}

/// The complete subtrees that the tree over leaves `start` to `end` consists of, the largest first.
pub(super) fn complete_nodes(start: u64, end: u64) -> impl Iterator<Item = Node> {
    let mut at = start;
    (0..64u8).rev().filter(move |level| (end - start) >> level & 1 == 1).map(move |level| {
        let node = Node { level, index: at >> level };
        at += 1 << level;
        node
    })
}

/// PATH of RFC 6962, section 2.1.1, as spans of leaves.
fn inclusion_spans(index: u64, size: u64) -> Result<Vec<Span>, ProveError> {
    if index >= size {
        return Err(ProveError::NotInTree { index, size });
    }
    let mut path = Vec::new();
    let mut span = Span { start: 0, end: size };
    while span.len() > 1 {
        let (left, right) = span.halves();
        let (inside, beside) = if index < left.end { (left, right) } else { (right, left) };
        path.push(beside);
        span = inside;
    }
    path.reverse();
    Ok(path)
}

/// PROOF of RFC 6962, section 2.1.2, as spans of leaves.
fn consistency_spans(old: u64, new: u64) -> Result<Vec<Span>, ProveError> {
    if old == 0 || old > new {
        return Err(ProveError::NotEarlier { old, new });
    }
    let mut path = Vec::new();
    let mut span = Span { start: 0, end: new };
    while span.end != old {
        let (left, right) = span.halves();
        if old <= left.end {
            path.push(right);
            span = left;
        } else {
            path.push(left);
            span = right;
        }
    }
    // Who checks the proof has the root of the earlier tree, where it is a subtree of this one.
    if span.start != 0 {
        path.push(span);
    }
    path.reverse();
    Ok(path)
}

fn nodes_of(spans: Vec<Span>) -> Vec<Node> {
    spans.into_iter().flat_map(|span| complete_nodes(span.start, span.end)).collect()
}

fn hashes_of(spans: Vec<Span>, nodes: &impl Nodes) -> Result<Vec<TreeHash>, ProveError> {
    spans.into_iter().map(|span| span.root(nodes).map_err(ProveError::from)).collect()
}

/// The nodes that the proof of a leaf's inclusion is made of.
///
/// # Errors
/// [`ProveError::NotInTree`].
pub fn inclusion_nodes(index: u64, size: u64) -> Result<Vec<Node>, ProveError> {
    inclusion_spans(index, size).map(nodes_of)
}

/// The nodes that the proof of a tree's growth is made of.
///
/// # Errors
/// [`ProveError::NotEarlier`].
pub fn consistency_nodes(old: u64, new: u64) -> Result<Vec<Node>, ProveError> {
    consistency_spans(old, new).map(nodes_of)
}

impl InclusionProof {
    /// The proof that the leaf `index`, from 0, is in the tree over the first `size` leaves.
    ///
    /// # Errors
    /// [`ProveError::NotInTree`] and [`ProveError::Missing`].
    pub fn make(nodes: &impl Nodes, index: u64, size: u64) -> Result<Self, ProveError> {
        let hashes = hashes_of(inclusion_spans(index, size)?, nodes)?;
        Ok(Self { index, size, hashes })
    }
}

impl ConsistencyProof {
    /// The proof that the tree over the first `new` leaves grew out of that over the first `old`.
    ///
    /// # Errors
    /// [`ProveError::NotEarlier`], also where `old` is 0, and [`ProveError::Missing`].
    pub fn make(nodes: &impl Nodes, old: u64, new: u64) -> Result<Self, ProveError> {
        let hashes = hashes_of(consistency_spans(old, new)?, nodes)?;
        Ok(Self { old, new, hashes })
    }
}

/// The root of the tree over the first `size` leaves.
pub(super) fn root_of(nodes: &impl Nodes, size: u64) -> Result<TreeHash, NodeMissing> {
    Span { start: 0, end: size }.root(nodes)
}
