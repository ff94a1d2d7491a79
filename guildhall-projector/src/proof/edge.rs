//! The right edge of the tree over a log: what it takes to extend it, and the tiles that are not full
//! yet.

use guildhall_core::{LeafHash, Position, Seals, StoredTile, TreeHash};
use guildhall_proof::merkle::{CompactRange, Node, Nodes};
use guildhall_proof::tile::{TILE_WIDTH, Tile, TileId, TileLevel, Tiles};

use super::log::SealedLogError;

/// How many levels of tiles a tree of 2^64 leaves has.
const LEVELS: u8 = 8;
const WIDTH: u64 = TILE_WIDTH as u64;

/// A tree over its first leaves: 64 KiB at most, however many there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    range: CompactRange,
    /// By level, the hashes of the tile that is not full.
    partial: [Vec<TreeHash>; LEVELS as usize],
}

impl Edge {
    pub(crate) fn size(&self) -> u64 {
        self.range.size()
    }

    pub(crate) fn root(&self) -> TreeHash {
        self.range.root()
    }

    /// The hashes of the last tile of a level, where that is not full.
    pub(crate) fn partial(&self, level: u8) -> &[TreeHash] {
        self.partial.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Appends a leaf, and adds the tiles above the leaf hashes that it fills.
    pub(crate) fn append(&mut self, leaf: LeafHash, filled: &mut Vec<StoredTile>) {
        let Self { range, partial } = self;
        range.append_with(leaf.into(), |Node { level, index }, hash| {
            let (level, inner) = (level / 8, level % 8);
            let Some(hashes) = partial.get_mut(usize::from(level)).filter(|_| inner == 0) else {
                return;
            };
            hashes.push(*hash);
            if hashes.len() == usize::from(TILE_WIDTH) {
                let hashes = std::mem::take(hashes);
                if level > 0 {
                    let hashes = hashes.iter().flat_map(|it| *it.as_bytes()).collect();
                    filled.push(StoredTile { level, tile: index / WIDTH, hashes });
                }
            }
        });
    }

    /// The edge of the tree over the first `size` entries of a log, from its tiles and the leaf hashes
    /// of the 65,536 entries at its end at most. Whether it leads to what was sealed is the caller's
    /// to check.
    pub(crate) async fn load(log: &dyn Seals, size: u64) -> Result<Self, SealedLogError> {
        let mut partial: [Vec<TreeHash>; LEVELS as usize] = Default::default();
        for level in 0..LEVELS {
            let count = size.checked_shr(u32::from(level) * 8).unwrap_or(0);
            let first = count - count % WIDTH;
            partial[usize::from(level)] = match level {
                0 => load_leaves(log, first, count).await?,
                1 => fold(&load_leaves(log, first * WIDTH, count * WIDTH).await?),
                _ => load_roots(log, level - 1, first, count).await?,
            };
        }
        let mut tiles = Tiles::default();
        for (level, hashes) in (0..LEVELS).zip(&partial) {
            let index = size.checked_shr(u32::from(level) * 8).unwrap_or(0) / WIDTH;
            if let Ok(tile) = Tile::new(hashes.clone()) {
                tiles.insert(TileId::full(TileLevel::Hashes(level), index), tile);
            }
        }
        let node = |node| tiles.node(node).ok_or(SealedLogError::Ends { size });
        let hashes = CompactRange::nodes(size).map(node).collect::<Result<_, _>>()?;
        let range = CompactRange::new(size, hashes).map_err(|_| SealedLogError::Ends { size })?;
        Ok(Self { range, partial })
    }
}

/// The leaf hashes from one leaf to another, that excluded.
pub(super) async fn load_leaves(
    log: &dyn Seals,
    first: u64,
    end: u64,
) -> Result<Vec<TreeHash>, SealedLogError> {
    let mut leaves = Vec::new();
    while let Some(missing) = (end - first).checked_sub(leaves.len() as u64).filter(|it| *it > 0) {
        let at = Position::try_from(end - missing).unwrap_or(Position::MAX);
        let page = log.leaf_hashes(at, usize::try_from(missing).unwrap_or(usize::MAX)).await?;
        if page.is_empty() {
            return Err(SealedLogError::Ends { size: end });
        }
        leaves.extend(page.into_iter().map(TreeHash::from));
    }
    Ok(leaves)
}

/// The roots of full tiles of leaf hashes.
fn fold(leaves: &[TreeHash]) -> Vec<TreeHash> {
    let tiles = leaves.chunks_exact(usize::from(TILE_WIDTH));
    tiles.filter_map(|hashes| Tile::new(hashes.to_vec()).ok()?.root()).collect()
}

/// The roots of the full tiles of a level, from one to another, that excluded.
async fn load_roots(
    log: &dyn Seals,
    level: u8,
    first: u64,
    end: u64,
) -> Result<Vec<TreeHash>, SealedLogError> {
    let mut roots = Vec::new();
    for index in first..end {
        roots.extend(load_tile(log, level, index).await?.root());
    }
    Ok(roots)
}

/// A full tile that is kept.
pub(super) async fn load_tile(
    log: &dyn Seals,
    level: u8,
    index: u64,
) -> Result<Tile, SealedLogError> {
    let missing = SealedLogError::NoTile { level, tile: index };
    let mut found = log.tiles(level, index, 1).await?;
    let tile = found.pop().filter(|found| found.tile == index).ok_or(missing)?;
    Tile::from_bytes(&tile.hashes).map_err(|_| SealedLogError::NoTile { level, tile: index })
}
