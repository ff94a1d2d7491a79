//! What a Chronicle keeps besides its entries so that they can be proved: seals, the tiles of its tree,
//! where its streams end (DESIGN section 9).
//!
//! Only bytes and numbers: `guildhall-proof` knows what they mean, and whether a signature holds.

use std::time::Duration;

use async_trait::async_trait;

use crate::chronicle::Chronicle;
use crate::cid::{LeafHash, TreeHash};
use crate::error::{LogFault, StoreError};
use crate::ids::{HolderId, Position, StreamId, Version};
use crate::projector::Lease;
use crate::store::LeaseState;
use crate::time::Timestamp;

/// Upper bound on the rows of one read of [`Seals`]; for tiles, which are 8 KiB each, a 64th of it.
pub const MAX_PROOF_ROWS: usize = 1 << 16;

/// How long a full tile is: 256 hashes of 32 bytes.
pub const TILE_BYTES: usize = 256 * 32;

/// A row of `chronicle_seals`: the Chronicle's size and root, as they were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSeal {
    /// How many entries it covers, which is the position of the last.
    pub size: Position,
    /// The root of the tree over their leaf hashes.
    pub root: TreeHash,
    /// The signed note, to the byte (C2SP tlog-checkpoint), without cosignatures.
    pub note: String,
    /// When it was made.
    pub sealed_at: Timestamp,
}

/// A row of `chronicle_cosignatures`: a witness's signature of a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCosignature {
    /// The seal's size.
    pub size: Position,
    /// The name of the key that signed.
    pub key_name: String,
    /// The line that it adds to the note (C2SP signed-note), without a line feed.
    pub line: String,
}

/// A row of `chronicle_tiles`: a full tile of hashes (C2SP tlog-tiles).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTile {
    /// Its level, from 1: those of level 0 are the leaf hashes of the entries.
    pub level: u8,
    /// Which of its level, from 0.
    pub tile: u64,
    /// Its hashes, [`TILE_BYTES`].
    pub hashes: Vec<u8>,
}

/// A row of `chronicle_streams`: where a stream ended when the log was last sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredStream {
    /// Its bucket of the stream index.
    pub bucket: u16,
    /// The stream.
    pub stream_id: StreamId,
    /// The version of its last entry.
    pub version: Version,
    /// The leaf hash of that entry.
    pub leaf_hash: LeafHash,
}

/// A seal, and what is kept with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSeal {
    /// Who saves it.
    pub holder: HolderId,
    /// The size of the seal that it goes on from; none for the first.
    pub after: Option<Position>,
    /// The seal.
    pub seal: StoredSeal,
    /// The full tiles that the log has since that seal. One that is there already stays as it is.
    pub tiles: Vec<StoredTile>,
    /// Where streams end now, of those that grew.
    pub streams: Vec<StoredStream>,
}

impl NewSeal {
    /// Whether it may be saved. A store asks in the transaction that saves it, while nobody else can
    /// save one, and says where the log ends and when it is by the database's clock.
    ///
    /// # Errors
    /// Any [`SaveSealError`].
    pub fn check(
        &self,
        last: Option<Position>,
        head: Position,
        lease: &LeaseState,
        now: Timestamp,
    ) -> Result<(), SaveSealError> {
        match lease.holder {
            Some((holder, until)) if holder != self.holder && until > now => {
                return Err(SaveSealError::Standby { holder, until });
            }
            _ => {}
        }
        if last != self.after || last.is_some_and(|last| self.seal.size <= last) {
            let (expected, found) = (self.after, last);
            return Err(SaveSealError::NotTheLast { expected, found });
        }
        if self.seal.size > head {
            let fault = LogFault::WentBack { seen: self.seal.size, head };
            return Err(StoreError::log("saving a seal", fault).into());
        }
        Ok(())
    }
}

/// Why a seal was not saved; nothing of it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveSealError {
    /// The last seal is not the one that it goes on from: another sealer sealed, or the database was
    /// restored. Start again from the last seal.
    #[error("the last seal has {}, expected {}", size(*.found), size(*.expected))]
    NotTheLast {
        /// The size of the seal that it goes on from.
        expected: Option<Position>,
        /// The size of the last seal.
        found: Option<Position>,
    },
    /// Another sealer has the lease: stand by.
    #[error("{holder} holds the sealer's lease, until {until} at least")]
    Standby {
        /// Who.
        holder: HolderId,
        /// Until when, unless it is renewed.
        until: Timestamp,
    },
    /// The store failed. Whether it is saved is unknown; the last seal shows.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn size(size: Option<Position>) -> String {
    size.map_or_else(|| "no size: there is none".to_owned(), |size| format!("size {size}"))
}

/// A Chronicle that keeps its proof. Its reads return at most [`MAX_PROOF_ROWS`] rows, and at least
/// one where there is one.
///
/// Seals, cosignatures and tiles are append-only like the entries, and the database refuses to change
/// them. As with entries, a log that no longer has what this handle has seen is a
/// [`LogFault`].
///
/// # Cancel safety
/// Dropping a read changes nothing. Dropping a save leaves open whether it was done.
#[async_trait]
pub trait Seals: Chronicle {
    /// The last seal; none if the log was never sealed.
    ///
    /// # Errors
    /// The store's own.
    async fn last_seal(&self) -> Result<Option<StoredSeal>, StoreError>;

    /// The seals of more than `after` entries, the smallest first.
    ///
    /// # Errors
    /// The store's own.
    async fn seals(&self, after: Position, limit: usize) -> Result<Vec<StoredSeal>, StoreError>;

    /// The seals of fewer than `before` entries, the largest first; of [`Position::MAX`], from the last
    /// on.
    ///
    /// # Errors
    /// The store's own.
    async fn seals_before(
        &self,
        before: Position,
        limit: usize,
    ) -> Result<Vec<StoredSeal>, StoreError>;

    /// The cosignatures of the seal of this size, by the names of their keys: as many as a note takes,
    /// 100.
    ///
    /// # Errors
    /// The store's own.
    async fn cosignatures(&self, size: Position) -> Result<Vec<StoredCosignature>, StoreError>;

    /// The full tiles of a level, from 1, in order from the tile `from` on.
    ///
    /// # Errors
    /// The store's own.
    async fn tiles(
        &self,
        level: u8,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredTile>, StoreError>;

    /// The leaf hashes after a position, in order, without a gap and without their entries: as they
    /// are stored, not recomputed. They are right if they lead to a sealed root.
    ///
    /// # Errors
    /// The store's own.
    async fn leaf_hashes(&self, after: Position, limit: usize)
    -> Result<Vec<LeafHash>, StoreError>;

    /// Where streams ended at the last seal, in the order of their buckets and then of their ids; after
    /// one of them, or from the first on.
    ///
    /// # Errors
    /// The store's own.
    async fn streams(
        &self,
        after: Option<(u16, StreamId)>,
        limit: usize,
    ) -> Result<Vec<StoredStream>, StoreError>;

    /// The same of these buckets alone, whole, however many streams they have: a 65,536th of the log's
    /// each.
    ///
    /// # Errors
    /// The store's own.
    async fn streams_in(&self, buckets: &[u16]) -> Result<Vec<StoredStream>, StoreError>;

    /// Saves a seal with its tiles and streams, in one transaction. Returned means durable.
    ///
    /// # Errors
    /// [`SaveSealError`], as [`NewSeal::check`] decides.
    async fn save_seal(&self, seal: NewSeal) -> Result<(), SaveSealError>;

    /// Saves a cosignature, durably. If that key has cosigned that seal before, its first line stays;
    /// returns whether this is the first.
    ///
    /// # Errors
    /// The store's own, also where there is no seal of that size.
    async fn save_cosignature(&self, cosignature: StoredCosignature) -> Result<bool, StoreError>;

    /// Takes the lease of the Chronicle's sealer if it is free, or has lapsed by the database's clock,
    /// and renews it if it is `holder`'s: of several sealers one seals, and the others stand by.
    ///
    /// # Errors
    /// The store's own.
    async fn hold_seal_lease(
        &self,
        holder: HolderId,
        lease_time: Duration,
    ) -> Result<Lease, StoreError>;

    /// Gives the lease up if it is `holder`'s, so that another takes over at once.
    ///
    /// # Errors
    /// The store's own.
    async fn release_seal_lease(&self, holder: HolderId) -> Result<(), StoreError>;
}

/// How many rows a read returns: what is wanted, 1 at least and [`MAX_PROOF_ROWS`] at most.
pub fn proof_limit(wanted: usize) -> usize {
    wanted.clamp(1, MAX_PROOF_ROWS)
}

/// The same of tiles.
pub fn tile_limit(wanted: usize) -> usize {
    wanted.clamp(1, MAX_PROOF_ROWS / 64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    fn new_seal(holder: HolderId, after: Option<u32>, size: u32) -> NewSeal {
        let seal = StoredSeal {
            size: Position::new(size),
            root: TreeHash::from_bytes([7; 32]),
            note: "note".to_owned(),
            sealed_at: Timestamp::MIN,
        };
        let after = after.map(Position::new);
        NewSeal { holder, after, seal, tiles: Vec::new(), streams: Vec::new() }
    }

    #[test]
    fn a_seal_goes_on_from_the_last_one_and_not_beyond_the_log() {
        let (holder, head) = (HolderId::new(), Position::new(10));
        for (after, size, last, is_saved) in [
            (None, 4, None, true),
            (Some(4), 10, Some(4), true),
            (None, 10, Some(4), false),
            (Some(4), 10, None, false),
            (Some(4), 10, Some(7), false),
            (Some(4), 4, Some(4), false),
            (Some(4), 3, Some(4), false),
        ] {
            let checked = new_seal(holder, after, size).check(
                last.map(Position::new),
                head,
                &LeaseState::default(),
                at(0),
            );
            match checked {
                Ok(()) => assert!(is_saved, "{after:?} {size} {last:?}"),
                Err(SaveSealError::NotTheLast { expected, found }) => {
                    assert!(!is_saved, "{after:?} {size} {last:?}");
                    assert_eq!(
                        (expected, found),
                        (after.map(Position::new), last.map(Position::new))
                    );
                }
                Err(other) => panic!("{other}"),
            }
        }
        let beyond = new_seal(holder, None, 11).check(None, head, &LeaseState::default(), at(0));
        let Err(SaveSealError::Store(error)) = beyond else { panic!("{beyond:?}") };
        assert!(matches!(error.log_fault(), Some(LogFault::WentBack { .. })), "{error}");
    }

    #[test]
    fn who_stands_by_saves_nothing() {
        let (one, other) = (HolderId::new(), HolderId::new());
        let mut lease = LeaseState::default();
        lease.take(one, None, Duration::from_secs(10), at(0));
        let save =
            |holder, now| new_seal(holder, None, 4).check(None, Position::new(4), &lease, now);
        save(one, at(5)).unwrap();
        let refused = save(other, at(5));
        assert!(matches!(refused, Err(SaveSealError::Standby { holder, .. }) if holder == one));
        save(other, at(10)).unwrap();
    }
}
