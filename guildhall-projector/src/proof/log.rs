//! A log as it was sealed: what a sink, or whoever collects proofs, reads of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use guildhall_core::{Seals, StoreError, TreeHash};
use guildhall_proof::SignedSeal;
use guildhall_proof::merkle::{
    ConsistencyProof, InclusionProof, Node, ProofError, ProveError, consistency_nodes,
    inclusion_nodes,
};
use guildhall_proof::tile::{TILE_WIDTH, Tile, TileId, TileLevel, Tiles};

use super::edge::{Edge, load_leaves, load_tile};

/// How many tiles of leaf hashes are read at a time: 65,536 hashes, 2 MiB.
const READ_TILES: usize = 256;

/// A log up to a seal. What is appended later does not show in it. Clones are cheap.
#[derive(Clone)]
pub struct SealedLog {
    chronicle: Arc<dyn Seals>,
    seal: SignedSeal,
    edge: Arc<Edge>,
}

impl fmt::Debug for SealedLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SealedLog").field("seal", self.seal.seal()).finish_non_exhaustive()
    }
}

/// Why nothing can be proved from a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedLogError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tile of hashes is missing or damaged. It can be made again from the entries.
    #[error("tile {tile} of level {level} is not there")]
    NoTile {
        /// Its level.
        level: u8,
        /// Which of its level.
        tile: u64,
    },
    /// The log does not have as many entries as were sealed.
    #[error("the log ends before the {size} entries that were sealed")]
    Ends {
        /// How many.
        size: u64,
    },
    /// The entries lead to another root than the one that was sealed: the log was rewritten.
    #[error(
        "{size} entries were sealed with the root {sealed}, and now they have the root {found}"
    )]
    Differs {
        /// How many.
        size: u64,
        /// The root that was sealed.
        sealed: TreeHash,
        /// The root that they have.
        found: TreeHash,
    },
    /// There is no such proof.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

impl SealedLogError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl SealedLog {
    /// The log up to this seal, whose signatures are the caller's to check: from the tiles that are
    /// kept and 65,536 leaf hashes at most.
    ///
    /// # Errors
    /// [`SealedLogError`]; [`Differs`](SealedLogError::Differs) where the log is not what was sealed.
    pub async fn load(chronicle: Arc<dyn Seals>, seal: SignedSeal) -> Result<Self, SealedLogError> {
        let edge = Arc::new(Edge::load(&*chronicle, seal.seal().size).await?);
        let log = Self { chronicle, seal, edge };
        log.check(log.edge.root())?;
        Ok(log)
    }

    fn check(&self, found: TreeHash) -> Result<(), SealedLogError> {
        let (size, sealed) = (self.size(), self.seal.seal().root);
        if found == sealed { Ok(()) } else { Err(SealedLogError::Differs { size, sealed, found }) }
    }

    /// The log up to the edge, which the seal is of.
    pub(super) fn new(chronicle: Arc<dyn Seals>, seal: SignedSeal, edge: Arc<Edge>) -> Self {
        Self { chronicle, seal, edge }
    }

    /// The same with the cosignatures that the seal has by now.
    pub(super) fn with_seal(&self, seal: SignedSeal) -> Self {
        Self { seal, ..self.clone() }
    }

    /// The seal, with the cosignatures that are known.
    pub const fn seal(&self) -> &SignedSeal {
        &self.seal
    }

    /// How many entries are sealed.
    pub const fn size(&self) -> u64 {
        self.seal.seal().size
    }

    /// The Chronicle, which may have more entries by now.
    pub const fn chronicle(&self) -> &Arc<dyn Seals> {
        &self.chronicle
    }

    /// A tile of hashes of the sealed tree, such as [`TileId::grown`] lists; not a bundle of entries.
    ///
    /// # Errors
    /// [`SealedLogError::Store`] and [`SealedLogError::NoTile`].
    pub async fn tile(&self, id: TileId) -> Result<Tile, SealedLogError> {
        let TileLevel::Hashes(level) = id.level else {
            return Err(SealedLogError::NoTile { level: 0, tile: id.index });
        };
        let missing = SealedLogError::NoTile { level, tile: id.index };
        let width = usize::from(TILE_WIDTH);
        let count = self.size().checked_shr(u32::from(level) * 8).unwrap_or(0);
        if count / u64::from(TILE_WIDTH) == id.index {
            // The last one, which only the edge has.
            let hashes = self.edge.partial(level).get(..usize::from(id.width)).ok_or(missing)?;
            return Tile::new(hashes.to_vec())
                .map_err(|_| SealedLogError::NoTile { level, tile: id.index });
        }
        if level > 0 {
            return load_tile(&*self.chronicle, level, id.index).await;
        }
        let first = id.index.saturating_mul(u64::from(TILE_WIDTH));
        let leaves = load_leaves(&*self.chronicle, first, first + width as u64).await?;
        Tile::new(leaves).map_err(|_| missing)
    }

    /// The tiles that give the hashes of these nodes.
    ///
    /// # Errors
    /// [`SealedLogError::Store`] and [`SealedLogError::NoTile`].
    pub async fn tiles(
        &self,
        nodes: impl IntoIterator<Item = Node> + Send,
    ) -> Result<Tiles, SealedLogError> {
        let ids = nodes.into_iter().filter_map(|node| TileId::of(node, self.size()));
        let ids: BTreeSet<TileId> = ids.collect();
        let is_leaves = |id: &TileId| id.level == TileLevel::Hashes(0) && id.is_full();
        let (leaves, others): (Vec<_>, Vec<_>) = ids.into_iter().partition(is_leaves);
        let mut tiles = Tiles::default();
        // Tiles of leaves that lie beside each other are read at once.
        let is_next = |a: &TileId, b: &TileId| a.index + 1 == b.index;
        for run in leaves.chunk_by(is_next).flat_map(|run| run.chunks(READ_TILES)) {
            let first = run[0].index * u64::from(TILE_WIDTH);
            let end = first + (run.len() * usize::from(TILE_WIDTH)) as u64;
            let hashes = load_leaves(&*self.chronicle, first, end).await?;
            for (id, hashes) in run.iter().zip(hashes.chunks(usize::from(TILE_WIDTH))) {
                let missing = |_| SealedLogError::NoTile { level: 0, tile: id.index };
                tiles.insert(*id, Tile::new(hashes.to_vec()).map_err(missing)?);
            }
        }
        for id in others {
            tiles.insert(id, self.tile(id).await?);
        }
        Ok(tiles)
    }

    /// That the leaf `index`, from 0, is in the sealed tree.
    ///
    /// # Errors
    /// [`SealedLogError`].
    pub async fn inclusion(&self, index: u64) -> Result<InclusionProof, SealedLogError> {
        let tiles = self.tiles(inclusion_nodes(index, self.size())?).await?;
        Ok(InclusionProof::make(&tiles, index, self.size())?)
    }

    /// That the sealed tree grew out of the one over the first `old` entries, 1 at least.
    ///
    /// # Errors
    /// [`SealedLogError`].
    pub async fn consistency(&self, old: u64) -> Result<ConsistencyProof, SealedLogError> {
        let tiles = self.tiles(consistency_nodes(old, self.size())?).await?;
        Ok(ConsistencyProof::make(&tiles, old, self.size())?)
    }

    /// Whether the sealed tree grew out of each of these earlier ones, of so many entries, 1 at least, and with
    /// that root. Trees that one tree grew out of grew out of each other too.
    ///
    /// # Errors
    /// [`SealedLogError`]: nothing can be said.
    pub async fn grew_from(
        &self,
        earlier: &[(u64, TreeHash)],
    ) -> Result<Vec<Result<(), ProofError>>, SealedLogError> {
        let (size, root) = (self.size(), self.seal.seal().root);
        let mut nodes = Vec::new();
        for (old, _) in earlier {
            nodes.extend(consistency_nodes(*old, size)?);
        }
        let tiles = self.tiles(nodes).await?;
        let grew = |(old, old_root): &(u64, TreeHash)| {
            Ok(ConsistencyProof::make(&tiles, *old, size)?.verify(old_root, &root))
        };
        earlier.iter().map(grew).collect()
    }

    /// The root of the tree over the first `size` entries, of which there are as many sealed at least.
    ///
    /// # Errors
    /// [`SealedLogError`].
    pub async fn root_at(&self, size: u64) -> Result<TreeHash, SealedLogError> {
        if size > self.size() {
            return Err(SealedLogError::Ends { size });
        }
        Ok(Edge::load(&*self.chronicle, size).await?.root())
    }
}
