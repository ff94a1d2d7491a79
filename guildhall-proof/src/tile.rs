//! Tiles: the tree in files of 256 hashes, and the entries in bundles of 256 (C2SP tlog-tiles).
//!
//! A tile's level counts in steps of eight levels of the tree: level 0 holds leaf hashes, and a
//! hash of level 1 is the root of a full tile of level 0. The levels between are hashed again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use guildhall_core::TreeHash;

use crate::merkle::{Node, Nodes, node_hash};

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Where the newest seal stands in the layout. It is exchanged in one step; tiles and bundles never
/// change.
pub const SEAL_PATH: &str = "checkpoint";

/// How many levels of the tree one level of tiles spans.
const TILE_HEIGHT: u8 = 8;

/// The highest level that a tile can have: 64 levels of a tree are eight of tiles, and the text of
/// the specification goes on to 63.
const MAX_LEVEL: u8 = 63;

/// Which tile or bundle, as in its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Its kind and level.
    pub level: TileLevel,
    /// Which of its level, from 0.
    pub index: u64,
    /// How many hashes or entries it has: 1 to 256, and with fewer than 256 it is partial.
    pub width: u16,
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileLevel {
    /// Entries themselves: a bundle.
    Entries,
    /// Hashes of this level, 0 to 63; 0 are leaf hashes.
    Hashes(u8),
}

/// A text that is not the path of a tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not the path of a tile, such as tile/0/x001/x234/067.p/8 or tile/entries/000"
)]
pub struct TilePathError {
    /// The text, cut to 128 characters.
    pub found: String,
}

impl TileId {
    /// Whether it has all 256 hashes, and thus never changes.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full tile in this place.
    pub const fn full(level: TileLevel, index: u64) -> Self {
        Self { level, index, width: TILE_WIDTH }
    }

    /// The tile of hashes that holds or gives the hash of `node` in a tree of `size` leaves; none
    /// where the tree does not have that node.
    pub fn of(node: Node, size: u64) -> Option<Self> {
        let level = node.level / TILE_HEIGHT;
        // The node's first hash within the level of the tile.
        let inner = u32::from(node.level % TILE_HEIGHT);
        let first = node.index.checked_shl(inner).filter(|first| first >> inner == node.index)?;
        let index = first / u64::from(TILE_WIDTH);
        let width = width_at(hashes_at(level, size), index)?;
        let end = (first % u64::from(TILE_WIDTH)) + (1 << inner);
        (end <= u64::from(width)).then_some(Self { level: TileLevel::Hashes(level), index, width })
    }

    /// Every tile, and with `entries` every bundle, that a tree of `size` leaves has and one of
    /// `old` does not, in an order in which they can be written: of those that grew, the new width
    /// alone.
    pub fn grown(old: u64, size: u64, entries: bool) -> Vec<Self> {
        let levels = (0..8).map(TileLevel::Hashes);
        let levels = entries.then_some(TileLevel::Entries).into_iter().chain(levels);
        levels
            .flat_map(|level| {
                let (old, new) = (level.count(old), level.count(size));
                let last = new.div_ceil(u64::from(TILE_WIDTH));
                let first = if old == new { last } else { old / u64::from(TILE_WIDTH) };
                (first..last).filter_map(move |index| {
                    Some(Self { level, index, width: width_at(new, index)? })
                })
            })
            .collect()
    }
}

impl TileLevel {
    /// How many hashes of this level, or entries, a tree of `size` leaves has.
    fn count(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => hashes_at(level, size),
        }
    }
}

fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

/// How wide the tile of this index is where its level has `count` hashes; none if it is empty.
fn width_at(count: u64, index: u64) -> Option<u16> {
    let before = index.checked_mul(u64::from(TILE_WIDTH))?;
    let width = count.checked_sub(before)?.min(u64::from(TILE_WIDTH));
    u16::try_from(width).ok().filter(|width| *width > 0)
}

impl fmt::Display for TileId {
    /// The path, such as `tile/0/x001/x234/067.p/8`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            TileLevel::Entries => formatter.write_str("tile/entries/")?,
            TileLevel::Hashes(level) => write!(formatter, "tile/{level}/")?,
        }
        let mut divisor = 1u64;
        while self.index / divisor >= 1000 {
            divisor *= 1000;
        }
        while divisor > 1 {
            write!(formatter, "x{:03}/", self.index / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(formatter, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(formatter, ".p/{}", self.width) }
    }
}

impl FromStr for TileId {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        parse_path(text).ok_or_else(|| TilePathError { found: text.chars().take(128).collect() })
    }
}

/// A decimal number without leading zeros.
fn number(text: &str) -> Option<u64> {
    crate::decimal::parse(text)
}

fn parse_path(text: &str) -> Option<TileId> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let level = if level == "entries" {
        TileLevel::Entries
    } else {
        let level = u8::try_from(number(level)?).ok().filter(|level| *level <= MAX_LEVEL)?;
        TileLevel::Hashes(level)
    };
    let (place, width) = match rest.split_once(".p/") {
        Some((place, width)) => {
            let width = u16::try_from(number(width)?).ok()?;
            (place, (1..TILE_WIDTH).contains(&width).then_some(width)?)
        }
        None => (rest, TILE_WIDTH),
    };
    let mut index = 0u64;
    let mut parts = place.split('/').peekable();
    while let Some(part) = parts.next() {
        let digits = if parts.peek().is_some() { part.strip_prefix('x')? } else { part };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    let id = TileId { level, index, width };
    // One tile has one path: no leading x000.
    (id.to_string() == text).then_some(id)
}

/// Bytes that are not a tile or bundle of that width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// The bytes are not a whole number of hashes, or none, or more than 256.
    #[error("{found} bytes are not 1 to 256 hashes of 32")]
    Length {
        /// How many bytes.
        found: usize,
    },
    /// A bundle has none or more than 256 entries.
    #[error("a bundle has 1 to 256 entries, found {found}")]
    Entries {
        /// How many.
        found: usize,
    },
    /// An entry is too long for a bundle.
    #[error("an entry of {found} bytes, where a bundle takes 65535")]
    EntryLength {
        /// How many bytes.
        found: usize,
    },
    /// The bytes end within an entry or its length.
    #[error("the bundle ends within its entry {entry}")]
    Truncated {
        /// The entry, from 0.
        entry: usize,
    },
}

/// The hashes of one tile, 1 to 256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile(Vec<TreeHash>);

impl Tile {
    /// The tile of these hashes.
    ///
    /// # Errors
    /// [`TileError::Length`].
    pub fn new(hashes: Vec<TreeHash>) -> Result<Self, TileError> {
        if (1..=usize::from(TILE_WIDTH)).contains(&hashes.len()) {
            Ok(Self(hashes))
        } else {
            Err(TileError::Length { found: hashes.len() * 32 })
        }
    }

    /// Reads its bytes: the hashes, one after the other.
    ///
    /// # Errors
    /// [`TileError::Length`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TileError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(TileError::Length { found: bytes.len() });
        }
        Self::new(hashes.iter().copied().map(TreeHash::from_bytes).collect())
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.as_bytes().iter().copied()).collect()
    }

    /// The hashes.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.0
    }

    /// The root of a full tile, which is one hash of the level above; none of a partial one, which
    /// must not be hashed into the level above.
    pub fn root(&self) -> Option<TreeHash> {
        (self.0.len() == usize::from(TILE_WIDTH)).then(|| fold(&self.0))
    }
}

/// The root over a power of two of hashes.
fn fold(hashes: &[TreeHash]) -> TreeHash {
    match hashes {
        [one] => *one,
        [left, right] => node_hash(left, right),
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            node_hash(&fold(left), &fold(right))
        }
    }
}

/// Tiles that were loaded, as the source of a tree's nodes.
///
/// ```
/// use guildhall_proof::merkle::{InclusionProof, MerkleTree, inclusion_nodes, leaf_hash};
/// use guildhall_proof::tile::{Tile, TileId, Tiles};
///
/// let leaves: Vec<_> = (0..300u16).map(|n| leaf_hash(&n.to_be_bytes())).collect();
/// let root = MerkleTree::new(leaves.clone()).root();
///
/// // Which tiles the proof needs, loaded from wherever they are.
/// let mut tiles = Tiles::default();
/// for node in inclusion_nodes(7, 300)? {
///     let id = TileId::of(node, 300).ok_or("not in the tree")?;
///     # let load = |id: TileId| -> Result<Tile, Box<dyn std::error::Error>> {
///     #     let full = |at: usize| Tile::new(leaves[at * 256..leaves.len().min((at + 1) * 256)].to_vec());
///     #     Ok(if id.to_string().starts_with("tile/0") { full(usize::try_from(id.index)?)? }
///     #        else { Tile::new(vec![full(0)?.root().ok_or("partial")?])? })
///     # };
///     tiles.insert(id, load(id)?);
/// }
/// let proof = InclusionProof::make(&tiles, 7, 300)?;
/// proof.verify(&leaves[7], &root)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tiles(BTreeMap<(u8, u64), Tile>);

impl Tiles {
    /// Adds a tile of hashes, whose width is that of its hashes; a wider one stays. A bundle is
    /// not taken.
    pub fn insert(&mut self, id: TileId, tile: Tile) {
        let TileLevel::Hashes(level) = id.level else { return };
        let known = self.0.entry((level, id.index)).or_insert_with(|| Tile(Vec::new()));
        if known.0.len() < tile.0.len() {
            *known = tile;
        }
    }
}

impl Nodes for Tiles {
    fn node(&self, node: Node) -> Option<TreeHash> {
        let inner = u32::from(node.level % TILE_HEIGHT);
        let first = node.index.checked_shl(inner)?;
        let tile = self.0.get(&(node.level / TILE_HEIGHT, first / u64::from(TILE_WIDTH)))?;
        let start = usize::try_from(first % u64::from(TILE_WIDTH)).ok()?;
        tile.0.get(start..start + (1 << inner)).map(fold)
    }
}

/// Entries as a bundle: each with its length before it, in two bytes, big-endian.
///
/// # Errors
/// [`TileError::Entries`] and [`TileError::EntryLength`].
pub fn encode_bundle<'a>(
    entries: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    let mut found = 0;
    for entry in entries {
        let length = u16::try_from(entry.len())
            .map_err(|_| TileError::EntryLength { found: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
        found += 1;
    }
    if (1..=usize::from(TILE_WIDTH)).contains(&found) {
        Ok(bytes)
    } else {
        Err(TileError::Entries { found })
    }
}

/// The entries of a bundle.
///
/// # Errors
/// [`TileError::Entries`] and [`TileError::Truncated`].
pub fn decode_bundle(mut bytes: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let truncated = TileError::Truncated { entry: entries.len() };
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(truncated)?;
        entries.push(entry);
        bytes = rest;
    }
    let found = entries.len();
    if (1..=usize::from(TILE_WIDTH)).contains(&found) {
        Ok(entries)
    } else {
        Err(TileError::Entries { found })
    }
}
