//! Verifying: whether the log is what was sealed (DESIGN section 9).
//!
//! No I/O: its driver passes in the seals first ([`Verifying::seal`], [`Verifying::outside`]), then every
//! entry in order, hashed beforehand on as many threads as there are ([`CheckedEntry::of`]), then the
//! tiles and the records of streams. Besides a record of 56 bytes for each stream it holds a few
//! megabytes, whatever the log.

mod entry;
mod judged;
mod report;
mod sealed;
mod streams;

use std::collections::BTreeMap;

use guildhall_core::{ChronicleIndexed, LeafHash, Origin, Position, TreeHash};

pub use self::entry::CheckedEntry;
use self::entry::Fault;
pub use self::judged::{Cosigned, JudgedSeal};
pub use self::report::{Unknown, Verdict, VerifyFinding, VerifyReport};
use self::sealed::SealsSeen;
use self::streams::StreamsSeen;
use crate::data_hash::DataHash;
use crate::index::StreamRecord;
use crate::log_keys::LogKeys;
use crate::merkle::{CompactRange, Node};
use crate::policy::Policy;
use crate::seal::SignedSeal;

/// How many findings are named of each kind; all are counted.
const NAMED: u64 = 20;

/// How many levels of the tree one level of tiles spans.
const TILE_HEIGHT: u8 = 8;

/// Who may have sealed, as far as the auditor knows.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The log's keys; none where signatures cannot be verified.
    pub keys: Option<LogKeys>,
    /// Which witnesses have to have cosigned; none where nobody else vouches.
    pub witnesses: Option<Policy>,
}

/// The verification of one log in progress.
#[derive(Debug)]
pub struct Verifying {
    origin: Origin,
    head: Position,
    range: CompactRange,
    seals: SealsSeen,
    streams: StreamsSeen,
    tiles: TilesSeen,
    report: VerifyReport,
}

impl Verifying {
    /// Of the Chronicle of this name; nothing is known of it yet.
    pub fn new(origin: Origin, known: Known) -> Self {
        Self {
            report: VerifyReport::of(origin.clone()),
            streams: StreamsSeen::default(),
            seals: SealsSeen::of(origin.clone(), known),
            origin,
            head: Position::ZERO,
            range: CompactRange::default(),
            tiles: TilesSeen::default(),
        }
    }

    /// Takes what the table of the log's name holds, where the log is known by another.
    pub fn stored_origin(&mut self, found: Option<Origin>) {
        if let Some(found) = found.filter(|found| *found != self.origin) {
            let expected = self.origin.clone();
            self.report.add(VerifyFinding::Origin { found, expected });
        }
    }

    /// Takes a seal of the log's own table, in the order of their sizes, with the lines that witnesses
    /// added.
    pub fn seal(&mut self, size: Position, root: TreeHash, note: &str, cosignatures: &[String]) {
        self.seals.take_stored(size, root, note, cosignatures, &mut self.report);
    }

    /// Takes a seal that the auditor has from elsewhere, and what it is called.
    pub fn outside(&mut self, name: &str, seal: SignedSeal) {
        self.seals.take_outside(name, seal, &mut self.report);
    }

    /// All seals are known. Entries come next.
    pub fn sealed(&mut self) {
        self.seals.sort(&mut self.report);
        if let Some(last) = self.seals.last_stored() {
            self.streams.sealed_with(last);
        }
    }

    /// An index entry at `position` will speak of the first `tree_size` entries, as whoever read it
    /// beforehand knows. Without that, one that speaks of entries long before it cannot be checked.
    pub fn announce(&mut self, position: Position, tree_size: Position) {
        self.streams.announce(position, tree_size);
    }

    /// Takes the next entries.
    pub fn entries(&mut self, entries: Vec<CheckedEntry>) {
        entries.into_iter().for_each(|entry| self.entry(entry));
    }

    fn entry(&mut self, entry: CheckedEntry) {
        let expected = self.head.next().unwrap_or(Position::MAX);
        if entry.position != expected {
            // Rows are in order, so some are missing. What was sealed there is not known any more.
            let last = entry.position.previous();
            self.report.add(VerifyFinding::Gap { first: expected, last });
            while self.head < last {
                self.head = self.head.next().unwrap_or(Position::MAX);
                self.append(LeafHash::from_bytes([0; 32]));
            }
        }
        self.head = entry.position;
        self.report.entries += 1;
        let leaf = entry.leaf_hash.unwrap_or(LeafHash::from_bytes([0; 32]));
        let is_altered = entry.fault.is_some();
        match entry.fault {
            None => {}
            Some(Fault::Altered { found, expected }) => {
                let position = entry.position;
                self.report.add(VerifyFinding::Altered { position, found, expected });
            }
            Some(Fault::Unreadable(reason)) => {
                self.report.add(VerifyFinding::Unreadable { position: entry.position, reason });
            }
        }
        if let Some(stands) = entry.stands {
            let record = StreamRecord { leaf_hash: leaf, ..stands.record };
            self.streams.take(entry.position, stands.bucket, record, is_altered, &mut self.report);
            if let (Some(indexed), false) = (stands.indexed, is_altered) {
                self.index(entry.position, stands.record, indexed);
            }
        }
        self.append(leaf);
        self.streams.reached(self.head);
    }

    /// Extends the tree, and compares it with every seal of the size that it now has.
    fn append(&mut self, leaf: LeafHash) {
        let tiles = &mut self.tiles;
        self.range.append_with(leaf.into(), |node, hash| tiles.complete(node, hash));
        if self.seals.is_due(self.range.size()) {
            let root = self.range.root();
            self.seals.compare(self.range.size(), root, &mut self.report);
        }
    }

    fn index(
        &mut self,
        position: Position,
        record: StreamRecord,
        indexed: Result<ChronicleIndexed, String>,
    ) {
        self.report.indexes += 1;
        let checked = match indexed {
            Err(reason) => Some(Err(reason)),
            Ok(_) if record.stream != self.origin.index_stream() => {
                Some(Err(format!("it stands in the stream {}", record.stream)))
            }
            Ok(indexed) => self.streams.check(position, &indexed),
        };
        match checked {
            Some(Ok(())) => {}
            Some(Err(reason)) => self.report.add(VerifyFinding::Index { position, reason }),
            None => self.report.unknown.push(Unknown::Index { position }),
        }
    }

    /// The log ends here. Tiles and records of streams come next, each once.
    pub fn ended(&mut self) {
        self.report.root = (self.head > Position::ZERO).then(|| self.range.root());
        self.report.head = self.head;
        self.seals.ended(self.head, &mut self.report);
    }

    /// Takes a full tile of hashes as it is stored, of level 1 or above.
    pub fn tile(&mut self, level: u8, index: u64, hashes: &[u8]) {
        self.report.tiles += 1;
        let is_same = self.tiles.take(level, index, hashes);
        if !is_same {
            let (first, last) = covered(level, index);
            self.report.add(VerifyFinding::Tile { level, index, first, last });
        }
    }

    /// Takes where a stream ended at the last seal, as it is stored in a bucket.
    pub fn stream(&mut self, bucket: u16, record: StreamRecord) {
        self.report.streams += u64::from(self.streams.knows_sealed());
        self.streams.compare(bucket, record, &mut self.report);
    }

    /// What was found.
    pub fn finish(mut self) -> VerifyReport {
        let last = self.seals.last_stored().unwrap_or(Position::ZERO);
        for (level, index) in self.tiles.missing(last.min(self.head)) {
            let (first, last) = covered(level, index);
            self.report.add(VerifyFinding::TileMissing { level, index, first, last });
        }
        self.streams.ended(&mut self.report);
        self.seals.report(&mut self.report);
        self.report.conclude();
        self.report
    }
}

/// The positions whose leaves a full tile stands for: the first and the last.
pub fn covered(level: u8, index: u64) -> (Position, Position) {
    let width = 1u64.checked_shl(u32::from(TILE_HEIGHT) * (u32::from(level) + 1)).unwrap_or(0);
    let at = |position: Option<u64>| {
        position.and_then(|at| Position::try_from(at).ok()).unwrap_or(Position::MAX)
    };
    let first = index.checked_mul(width).and_then(|before| before.checked_add(1));
    let last = index.checked_add(1).and_then(|index| index.checked_mul(width));
    (at(first), at(last))
}

/// The full tiles that the tree has.
#[derive(Debug, Default)]
struct TilesSeen {
    /// The hashes of the tile of each level that is not full yet.
    open: Vec<Vec<u8>>,
    /// The SHA-256 of each that is, and whether it was found.
    full: BTreeMap<(u8, u64), (DataHash, bool)>,
}

impl TilesSeen {
    /// A node of the tree is complete.
    fn complete(&mut self, node: Node, hash: &TreeHash) {
        if node.level == 0 || !node.level.is_multiple_of(TILE_HEIGHT) {
            return;
        }
        let level = node.level / TILE_HEIGHT;
        let nth = usize::from(level) - 1;
        if self.open.len() <= nth {
            self.open.resize(nth + 1, Vec::new());
        }
        let open = &mut self.open[nth];
        open.extend_from_slice(hash.as_bytes());
        if node.index % 256 == 255 {
            self.full.insert((level, node.index / 256), (DataHash::of(open), false));
            open.clear();
        }
    }

    /// Whether a tile is what the entries make.
    fn take(&mut self, level: u8, index: u64, hashes: &[u8]) -> bool {
        let Some((expected, is_found)) = self.full.get_mut(&(level, index)) else { return false };
        *is_found = true;
        *expected == DataHash::of(hashes)
    }

    /// Those that a log sealed so far should have and has not.
    fn missing(&self, sealed: Position) -> Vec<(u8, u64)> {
        let missing = self.full.iter().filter(|((level, index), (_, is_found))| {
            !is_found && covered(*level, *index).1 <= sealed
        });
        missing.map(|(tile, _)| *tile).collect()
    }
}
