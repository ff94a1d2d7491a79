//! What a Chronicle in memory keeps for its proof.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::chronicle::{MemoryChronicle, index};
use super::lock;
use crate::cid::LeafHash;
use crate::error::StoreError;
use crate::ids::{HolderId, Position, StreamId};
use crate::projector::Lease;
use crate::seals::{
    NewSeal, SaveSealError, Seals, StoredCosignature, StoredSeal, StoredStream, StoredTile,
    proof_limit, tile_limit,
};
use crate::store::LeaseState;
use crate::time::now;

/// The tables of the proof.
#[derive(Debug, Default)]
pub(super) struct Proof {
    seals: BTreeMap<Position, StoredSeal>,
    cosignatures: BTreeMap<(Position, String), StoredCosignature>,
    tiles: BTreeMap<(u8, u64), StoredTile>,
    streams: BTreeMap<(u16, StreamId), StoredStream>,
    lease: LeaseState,
}

/// There is no seal to cosign.
#[derive(Debug, thiserror::Error)]
#[error("there is no seal of size {0}")]
struct NoSeal(Position);

impl Proof {
    fn last_seal(&self) -> Option<&StoredSeal> {
        self.seals.last_key_value().map(|(_, seal)| seal)
    }
}

#[async_trait]
impl Seals for MemoryChronicle {
    async fn last_seal(&self) -> Result<Option<StoredSeal>, StoreError> {
        Ok(lock(&self.shared.log).proof.last_seal().cloned())
    }

    async fn seals(&self, after: Position, limit: usize) -> Result<Vec<StoredSeal>, StoreError> {
        let log = lock(&self.shared.log);
        let seals = log.proof.seals.values().filter(|seal| seal.size > after);
        Ok(seals.take(proof_limit(limit)).cloned().collect())
    }

    async fn seals_before(
        &self,
        before: Position,
        limit: usize,
    ) -> Result<Vec<StoredSeal>, StoreError> {
        let log = lock(&self.shared.log);
        let seals = log.proof.seals.values().rev().filter(|seal| seal.size < before);
        Ok(seals.take(proof_limit(limit)).cloned().collect())
    }

    async fn cosignatures(&self, size: Position) -> Result<Vec<StoredCosignature>, StoreError> {
        let log = lock(&self.shared.log);
        let of_seal = log.proof.cosignatures.range((size, String::new())..);
        Ok(of_seal.take_while(|((of, _), _)| *of == size).map(|(_, line)| line.clone()).collect())
    }

    async fn tiles(
        &self,
        level: u8,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredTile>, StoreError> {
        let log = lock(&self.shared.log);
        let tiles = log.proof.tiles.range((level, from)..=(level, u64::MAX));
        Ok(tiles.take(tile_limit(limit)).map(|(_, tile)| tile.clone()).collect())
    }

    async fn leaf_hashes(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<LeafHash>, StoreError> {
        let log = lock(&self.shared.log);
        let entries = log.entries.iter().skip(index(after)).take(proof_limit(limit));
        Ok(entries.map(|entry| entry.leaf_hash).collect())
    }

    async fn streams(
        &self,
        after: Option<(u16, StreamId)>,
        limit: usize,
    ) -> Result<Vec<StoredStream>, StoreError> {
        let log = lock(&self.shared.log);
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let streams = log.proof.streams.range((after, Bound::Unbounded));
        Ok(streams.take(proof_limit(limit)).map(|(_, stream)| *stream).collect())
    }

    async fn streams_in(&self, buckets: &[u16]) -> Result<Vec<StoredStream>, StoreError> {
        let log = lock(&self.shared.log);
        let (least, most) = (StreamId::from_uuid(Uuid::nil()), StreamId::from_uuid(Uuid::max()));
        let buckets: BTreeSet<u16> = buckets.iter().copied().collect();
        let streams =
            buckets.into_iter().flat_map(|it| log.proof.streams.range((it, least)..=(it, most)));
        Ok(streams.map(|(_, stream)| *stream).collect())
    }

    async fn save_seal(&self, seal: NewSeal) -> Result<(), SaveSealError> {
        let mut log = lock(&self.shared.log);
        let last = log.proof.last_seal().map(|last| last.size);
        seal.check(last, log.head(), &log.proof.lease, now())?;
        let NewSeal { seal, tiles, streams, .. } = seal;
        log.proof.seals.insert(seal.size, seal);
        for tile in tiles {
            log.proof.tiles.entry((tile.level, tile.tile)).or_insert(tile);
        }
        let streams = streams.into_iter().map(|stream| ((stream.bucket, stream.stream_id), stream));
        log.proof.streams.extend(streams);
        Ok(())
    }

    async fn save_cosignature(&self, cosignature: StoredCosignature) -> Result<bool, StoreError> {
        let mut log = lock(&self.shared.log);
        let size = cosignature.size;
        if !log.proof.seals.contains_key(&size) {
            return Err(StoreError::permanent("saving a cosignature", NoSeal(size)));
        }
        let key = (size, cosignature.key_name.clone());
        let is_first = !log.proof.cosignatures.contains_key(&key);
        log.proof.cosignatures.entry(key).or_insert(cosignature);
        Ok(is_first)
    }

    async fn hold_seal_lease(
        &self,
        holder: HolderId,
        lease_time: Duration,
    ) -> Result<Lease, StoreError> {
        Ok(lock(&self.shared.log).proof.lease.take(holder, None, lease_time, now()))
    }

    async fn release_seal_lease(&self, holder: HolderId) -> Result<(), StoreError> {
        lock(&self.shared.log).proof.lease.release(holder);
        Ok(())
    }
}
