//! What the Chronicle keeps for its proof: read by any thread that reads, written by one of its own,
//! which starts with the first write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::seals::{proof_limit, tile_limit};
use guildhall_core::store::{BadRow, LeaseState, Seen};
use guildhall_core::{
    HolderId, LeafHash, Lease, NewSeal, Position, SaveSealError, Seals, StoreError,
    StoredCosignature, StoredSeal, StoredStream, StoredTile, StreamId, Timestamp, TreeHash,
    Version,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row, TransactionBehavior, params};
use uuid::Uuid;

use crate::chronicle::SqliteChronicle;
use crate::connection::{DatabaseFile, Role, lock};
use crate::entries::{Failure, Stored, View};
use crate::error::Doing;
use crate::ops_rows::TimeText;
use crate::place::Place;
use crate::workers::Workers;

const SEALS: &str = "chronicle_seals";
const SELECT_SEALS: &str = "SELECT size, root, note, sealed_at FROM chronicle_seals";
const SELECT_STREAMS: &str = "SELECT bucket, stream_id, version, leaf_hash FROM chronicle_streams";

/// There is no seal to cosign.
#[derive(Debug, thiserror::Error)]
#[error("there is no seal of size {0}")]
struct NoSeal(Position);

/// A row of the proof's tables. Somebody else may have written it.
struct Cells<'r> {
    row: &'r Row<'r>,
    table: &'static str,
}

impl<'r> Cells<'r> {
    fn value(&self, nth: usize) -> ValueRef<'r> {
        self.row.get_ref(nth).unwrap_or(ValueRef::Null)
    }

    fn is<T>(&self, column: &'static str, value: Option<T>) -> Result<T, BadRow> {
        value.ok_or(BadRow::Proof { table: self.table, column })
    }

    fn integer(&self, nth: usize) -> Option<i64> {
        self.value(nth).as_i64().ok()
    }

    fn text(&self, nth: usize) -> Option<&'r str> {
        self.value(nth).as_str().ok()
    }

    fn blob(&self, nth: usize) -> Option<&'r [u8]> {
        self.value(nth).as_blob().ok()
    }

    fn bytes<const N: usize>(&self, nth: usize) -> Option<[u8; N]> {
        self.blob(nth)?.try_into().ok()
    }

    fn time(&self, nth: usize) -> Option<Timestamp> {
        Timestamp::from_canonical(self.text(nth)?).ok()
    }

    fn seal(&self) -> Result<StoredSeal, BadRow> {
        Ok(StoredSeal {
            size: self.is("size", self.integer(0).and_then(Position::from_i64))?,
            root: self.is("root", self.bytes(1).map(TreeHash::from_bytes))?,
            note: self.is("note", self.text(2))?.to_owned(),
            sealed_at: self.is("sealed_at", self.time(3))?,
        })
    }

    fn cosignature(&self) -> Result<StoredCosignature, BadRow> {
        Ok(StoredCosignature {
            size: self.is("size", self.integer(0).and_then(Position::from_i64))?,
            key_name: self.is("key_name", self.text(1))?.to_owned(),
            line: self.is("line", self.text(2))?.to_owned(),
        })
    }

    fn tile(&self) -> Result<StoredTile, BadRow> {
        Ok(StoredTile {
            level: self.is("level", self.integer(0).and_then(|it| it.try_into().ok()))?,
            tile: self.is("tile", self.integer(1).and_then(|it| it.try_into().ok()))?,
            hashes: self.is("hashes", self.blob(2))?.to_owned(),
        })
    }

    fn stream(&self) -> Result<StoredStream, BadRow> {
        let stream_id = self.bytes(1).map(Uuid::from_bytes).map(StreamId::from_uuid);
        Ok(StoredStream {
            bucket: self.is("bucket", self.integer(0).and_then(|it| it.try_into().ok()))?,
            stream_id: self.is("stream_id", stream_id)?,
            version: self.is("version", self.integer(2).and_then(Version::from_i64))?,
            leaf_hash: self.is("leaf_hash", self.bytes(3).map(LeafHash::from_bytes))?,
        })
    }
}

/// The rows that a statement answers.
fn load<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    table: &'static str,
    read: impl Fn(&Cells<'_>) -> Result<T, BadRow>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut loaded = Vec::new();
    while let Some(row) = rows.next()? {
        loaded.push(read(&Cells { row, table })?);
    }
    Ok(loaded)
}

fn load_last_seal(connection: &Connection) -> Result<Option<StoredSeal>, Failure> {
    let sql = with(SELECT_SEALS, "ORDER BY size DESC LIMIT 1");
    Ok(load(connection, &sql, [], SEALS, |cells| cells.seal())?.pop())
}

fn with(select: &str, rest: &str) -> String {
    format!("{select} {rest}")
}

fn load_lease(connection: &Connection) -> Result<LeaseState, Failure> {
    let sql = "SELECT lease_holder, lease_until, renewed_at FROM chronicle_sealer WHERE id = 1";
    let lease = load(connection, sql, [], "chronicle_sealer", |cells| {
        let holder = cells.bytes(0).map(Uuid::from_bytes).map(HolderId::from_uuid);
        let holder = holder.zip(cells.time(1));
        Ok(LeaseState { holder, fence: 0, renewed_at: cells.time(2) })
    })?;
    // Who deleted the row has freed the lease.
    Ok(lease.into_iter().next().unwrap_or_default())
}

fn save_lease(connection: &Connection, lease: &LeaseState) -> Result<(), Failure> {
    let mut save = connection.prepare_cached(
        "INSERT INTO chronicle_sealer (id, lease_holder, lease_until, renewed_at)
         VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET lease_holder = excluded.lease_holder,
             lease_until = excluded.lease_until, renewed_at = excluded.renewed_at",
    )?;
    save.execute(params![
        lease.holder.as_ref().map(|(holder, _)| holder.as_uuid().as_bytes()),
        lease.holder.map(|(_, until)| TimeText::from(until)),
        lease.renewed_at.map(TimeText::from),
    ])?;
    Ok(())
}

fn insert_seal(connection: &Connection, new: &NewSeal) -> Result<(), Failure> {
    let StoredSeal { size, root, note, sealed_at } = &new.seal;
    connection
        .prepare_cached(
            "INSERT INTO chronicle_seals (size, root, note, sealed_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![size.as_i64(), root.as_bytes(), note, TimeText::from(*sealed_at)])?;
    let mut insert_tile = connection.prepare_cached(
        "INSERT INTO chronicle_tiles (level, tile, hashes) SELECT ?1, ?2, ?3
         WHERE NOT EXISTS (SELECT 1 FROM chronicle_tiles WHERE level = ?1 AND tile = ?2)",
    )?;
    for StoredTile { level, tile, hashes } in &new.tiles {
        insert_tile.execute(params![level, i64::try_from(*tile).unwrap_or(i64::MAX), hashes])?;
    }
    let mut upsert_stream = connection.prepare_cached(
        "INSERT INTO chronicle_streams (bucket, stream_id, version, leaf_hash)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (bucket, stream_id)
         DO UPDATE SET version = excluded.version, leaf_hash = excluded.leaf_hash",
    )?;
    for StoredStream { bucket, stream_id, version, leaf_hash } in &new.streams {
        upsert_stream.execute(params![
            bucket,
            stream_id.as_uuid().as_bytes(),
            version.as_i64(),
            leaf_hash.as_bytes(),
        ])?;
    }
    Ok(())
}

/// The thread that writes what is kept for the proof. What it commits survives a power cut.
#[derive(Debug)]
pub(crate) struct Sealing {
    connection: Connection,
    place: Place,
    file: DatabaseFile,
    seen: Arc<Seen>,
}

impl Sealing {
    /// Does some work in a transaction that nobody else writes beside, and commits it.
    fn write<T, E: From<StoreError>>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Self { connection, place, file, seen } = self;
        let _turn = file.gate().enter();
        place.check().doing(doing)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let done = work(&View::of(&transaction, seen).map_err(|it| it.to_error(doing))?)?;
        transaction.commit().doing(doing)?;
        place.check().doing(doing)?;
        Ok(done)
    }
}

impl SqliteChronicle {
    /// The thread that writes, started with the first write.
    fn sealing(&self, doing: &'static str) -> Result<Workers<Sealing>, StoreError> {
        let mut sealing = lock(&self.sealing);
        if let Some(sealing) = &*sealing {
            return Ok(sealing.clone());
        }
        self.crew().check_open(doing)?;
        let file = self.file().clone();
        let state = Sealing {
            connection: file.connect(Role::Append)?,
            place: file.place()?,
            file,
            seen: Arc::clone(&self.seen),
        };
        let workers = Workers::spawn(self.crew(), "guildhall-seal", vec![state])?;
        *sealing = Some(workers.clone());
        Ok(workers)
    }

    async fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&View<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.sealing(doing)?.run(doing, move |sealing| sealing.write(doing, work)).await
    }
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Seals for SqliteChronicle {
    async fn last_seal(&self) -> Result<Option<StoredSeal>, StoreError> {
        self.load(|view| load_last_seal(view.connection())).await
    }

    async fn seals(&self, after: Position, limit: usize) -> Result<Vec<StoredSeal>, StoreError> {
        self.load(move |view| {
            let sql = with(SELECT_SEALS, "WHERE size > ?1 ORDER BY size LIMIT ?2");
            let parameters = (after.as_i64(), count(proof_limit(limit)));
            load(view.connection(), &sql, parameters, SEALS, |cells| cells.seal())
        })
        .await
    }

    async fn seals_before(
        &self,
        before: Position,
        limit: usize,
    ) -> Result<Vec<StoredSeal>, StoreError> {
        self.load(move |view| {
            let sql = with(SELECT_SEALS, "WHERE size < ?1 ORDER BY size DESC LIMIT ?2");
            let parameters = (before.as_i64(), count(proof_limit(limit)));
            load(view.connection(), &sql, parameters, SEALS, |cells| cells.seal())
        })
        .await
    }

    async fn cosignatures(&self, size: Position) -> Result<Vec<StoredCosignature>, StoreError> {
        self.load(move |view| {
            let sql = "SELECT size, key_name, line FROM chronicle_cosignatures
                       WHERE size = ?1 ORDER BY key_name LIMIT 100";
            let table = "chronicle_cosignatures";
            load(view.connection(), sql, [size.as_i64()], table, |cells| cells.cosignature())
        })
        .await
    }

    async fn tiles(
        &self,
        level: u8,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredTile>, StoreError> {
        self.load(move |view| {
            let sql = "SELECT level, tile, hashes FROM chronicle_tiles
                       WHERE level = ?1 AND tile >= ?2 ORDER BY tile LIMIT ?3";
            let from = i64::try_from(from).unwrap_or(i64::MAX);
            let parameters = (level, from, count(tile_limit(limit)));
            load(view.connection(), sql, parameters, "chronicle_tiles", |cells| cells.tile())
        })
        .await
    }

    async fn leaf_hashes(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<LeafHash>, StoreError> {
        self.load(move |view| {
            let mut statement = view.connection().prepare_cached(
                "SELECT position, leaf_hash FROM chronicle_entries
                 WHERE position > ?1 ORDER BY position LIMIT ?2",
            )?;
            let mut rows = statement.query((after.as_i64(), count(proof_limit(limit))))?;
            let (mut hashes, mut last) = (Vec::new(), after);
            while let Some(row) = rows.next()? {
                let stored = Stored::at(row, 0)?;
                BadRow::check_follows(last, stored.position())?;
                last = stored.position();
                hashes.push(stored.leaf_hash(1)?);
            }
            if let Some(hash) = hashes.last() {
                view.note(last, *hash);
            }
            Ok(hashes)
        })
        .await
    }

    async fn streams(
        &self,
        after: Option<(u16, StreamId)>,
        limit: usize,
    ) -> Result<Vec<StoredStream>, StoreError> {
        self.load(move |view| {
            let rest = "WHERE (bucket, stream_id) > (?1, ?2) ORDER BY bucket, stream_id LIMIT ?3";
            let sql = with(SELECT_STREAMS, rest);
            // Every bucket comes after -1.
            let (bucket, stream) =
                after.map_or((-1, Uuid::nil()), |(bucket, id)| (i64::from(bucket), *id.as_uuid()));
            let parameters = (bucket, stream.as_bytes(), count(proof_limit(limit)));
            load(view.connection(), &sql, parameters, "chronicle_streams", |cells| cells.stream())
        })
        .await
    }

    async fn streams_in(&self, buckets: &[u16]) -> Result<Vec<StoredStream>, StoreError> {
        let mut buckets = buckets.to_vec();
        buckets.sort_unstable();
        buckets.dedup();
        self.load(move |view| {
            let sql = with(SELECT_STREAMS, "WHERE bucket = ?1 ORDER BY stream_id");
            let mut streams = Vec::new();
            for bucket in buckets {
                let table = "chronicle_streams";
                streams.extend(load(view.connection(), &sql, [bucket], table, |cells| {
                    cells.stream()
                })?);
            }
            Ok(streams)
        })
        .await
    }

    async fn save_seal(&self, seal: NewSeal) -> Result<(), SaveSealError> {
        const DOING: &str = "saving a seal";
        self.write(DOING, move |view| {
            let failed = |failure: Failure| failure.to_error(DOING);
            let connection = view.connection();
            let last = load_last_seal(connection).map_err(failed)?.map(|last| last.size);
            let head = view.head().map_err(failed)?.position;
            let lease = load_lease(connection).map_err(failed)?;
            seal.check(last, head, &lease, Timestamp::now())?;
            Ok(insert_seal(connection, &seal).map_err(failed)?)
        })
        .await
    }

    async fn save_cosignature(&self, cosignature: StoredCosignature) -> Result<bool, StoreError> {
        const DOING: &str = "saving a cosignature";
        self.write(DOING, move |view| {
            let StoredCosignature { size, key_name, line } = cosignature;
            let connection = view.connection();
            let find = "SELECT 1 FROM chronicle_seals WHERE size = ?1";
            let has_seal =
                connection.prepare_cached(find).and_then(|mut it| it.exists([size.as_i64()]));
            if !has_seal.doing(DOING)? {
                return Err(StoreError::permanent(DOING, NoSeal(size)));
            }
            let insert = connection.prepare_cached(
                "INSERT INTO chronicle_cosignatures (size, key_name, line) SELECT ?1, ?2, ?3
                 WHERE NOT EXISTS (
                     SELECT 1 FROM chronicle_cosignatures WHERE size = ?1 AND key_name = ?2
                 )",
            );
            let inserted = insert.and_then(|mut it| it.execute((size.as_i64(), key_name, line)));
            Ok(inserted.doing(DOING)? > 0)
        })
        .await
    }

    async fn hold_seal_lease(
        &self,
        holder: HolderId,
        lease_time: Duration,
    ) -> Result<Lease, StoreError> {
        const DOING: &str = "taking the sealer's lease";
        self.write(DOING, move |view| {
            let failed = |failure: Failure| failure.to_error(DOING);
            let mut lease = load_lease(view.connection()).map_err(failed)?;
            let taken = lease.take(holder, None, lease_time, Timestamp::now());
            if taken == Lease::Held {
                save_lease(view.connection(), &lease).map_err(failed)?;
            }
            Ok(taken)
        })
        .await
    }

    async fn release_seal_lease(&self, holder: HolderId) -> Result<(), StoreError> {
        const DOING: &str = "releasing the sealer's lease";
        self.write(DOING, move |view| {
            let failed = |failure: Failure| failure.to_error(DOING);
            let mut lease = load_lease(view.connection()).map_err(failed)?;
            if lease.release(holder) {
                save_lease(view.connection(), &lease).map_err(failed)?;
            }
            Ok(())
        })
        .await
    }
}
