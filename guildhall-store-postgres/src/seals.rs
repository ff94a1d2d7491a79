//! What the Chronicle keeps for its proof. Whoever saves a seal, or takes the lease, locks the row of
//! the sealer first, so that one does at a time.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use guildhall_core::seals::{proof_limit, tile_limit};
use guildhall_core::store::{BadRow, LeaseState};
use guildhall_core::{
    HolderId, LeafHash, Lease, NewSeal, Position, SaveSealError, Seals, StoreError,
    StoredCosignature, StoredSeal, StoredStream, StoredTile, StreamId, Timestamp, TreeHash,
    Version,
};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Decode, PgConnection, Postgres, Row, Type};
use uuid::Uuid;

use crate::chronicle::PostgresChronicle;
use crate::entries::{Failure, Stored, load_head, timestamp};
use crate::error::ReadOnly;

const READING: &str = "reading what proves the Chronicle";
const SELECT_SEALS: &str = "SELECT size, root, note, sealed_at FROM {schema}.chronicle_seals";
const SELECT_STREAMS: &str =
    "SELECT bucket, stream_id, version, leaf_hash FROM {schema}.chronicle_streams";

/// There is no seal to cosign.
#[derive(Debug, thiserror::Error)]
#[error("there is no seal of size {0}")]
struct NoSeal(Position);

/// A row of the proof's tables. Somebody else may have written it.
struct Cells<'r> {
    row: &'r PgRow,
    table: &'static str,
}

impl<'r> Cells<'r> {
    fn is<T>(&self, column: &'static str, value: Option<T>) -> Result<T, BadRow> {
        value.ok_or(BadRow::Proof { table: self.table, column })
    }

    fn value<T: Decode<'r, Postgres> + Type<Postgres>>(&self, nth: usize) -> Option<T> {
        self.row.try_get(nth).ok()
    }

    fn bytes<const N: usize>(&self, nth: usize) -> Option<[u8; N]> {
        self.value::<&[u8]>(nth)?.try_into().ok()
    }

    fn seal(&self) -> Result<StoredSeal, BadRow> {
        Ok(StoredSeal {
            size: self.is("size", self.value(0).and_then(Position::from_i64))?,
            root: self.is("root", self.bytes(1).map(TreeHash::from_bytes))?,
            note: self.is("note", self.value(2))?,
            sealed_at: self.is("sealed_at", timestamp(self.row, 3))?,
        })
    }

    fn cosignature(&self) -> Result<StoredCosignature, BadRow> {
        Ok(StoredCosignature {
            size: self.is("size", self.value(0).and_then(Position::from_i64))?,
            key_name: self.is("key_name", self.value(1))?,
            line: self.is("line", self.value(2))?,
        })
    }

    fn tile(&self) -> Result<StoredTile, BadRow> {
        let level = self.value::<i16>(0).and_then(|level| level.try_into().ok());
        let tile = self.value::<i64>(1).and_then(|tile| tile.try_into().ok());
        Ok(StoredTile {
            level: self.is("level", level)?,
            tile: self.is("tile", tile)?,
            hashes: self.is("hashes", self.value(2))?,
        })
    }

    fn stream(&self) -> Result<StoredStream, BadRow> {
        let bucket = self.value::<i32>(0).and_then(|bucket| bucket.try_into().ok());
        Ok(StoredStream {
            bucket: self.is("bucket", bucket)?,
            stream_id: self.is("stream_id", self.value(1).map(StreamId::from_uuid))?,
            version: self.is("version", self.value(2).and_then(Version::from_i64))?,
            leaf_hash: self.is("leaf_hash", self.bytes(3).map(LeafHash::from_bytes))?,
        })
    }
}

fn with(select: &str, rest: &str) -> String {
    format!("{select} {rest}")
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The sealer's row as it is locked, and the database's clock.
async fn lock_sealer(
    connection: &mut PgConnection,
    chronicle: &PostgresChronicle,
) -> Result<(LeaseState, Timestamp), Failure> {
    let sql = chronicle.database().sql(
        "SELECT lease_holder, lease_until, renewed_at, pg_catalog.clock_timestamp()
         FROM {schema}.chronicle_sealer WHERE id = 1 FOR UPDATE",
    );
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let holder = row.try_get::<Option<Uuid>, _>(0)?.map(HolderId::from_uuid);
    let lease = LeaseState {
        holder: holder.zip(timestamp(&row, 1)),
        fence: 0,
        renewed_at: timestamp(&row, 2),
    };
    let now = timestamp(&row, 3).unwrap_or_else(Timestamp::now);
    Ok((lease, now))
}

async fn save_lease(
    connection: &mut PgConnection,
    chronicle: &PostgresChronicle,
    lease: &LeaseState,
) -> Result<(), Failure> {
    let sql = chronicle.database().sql(
        "UPDATE {schema}.chronicle_sealer
         SET lease_holder = $1, lease_until = $2, renewed_at = $3 WHERE id = 1",
    );
    sqlx::query(sql)
        .bind(lease.holder.map(|(holder, _)| *holder.as_uuid()))
        .bind(lease.holder.map(|(_, until)| DateTime::<Utc>::from(until)))
        .bind(lease.renewed_at.map(DateTime::<Utc>::from))
        .execute(connection)
        .await?;
    Ok(())
}

async fn load_last_size(
    connection: &mut PgConnection,
    chronicle: &PostgresChronicle,
) -> Result<Option<Position>, Failure> {
    let sql = chronicle.database().sql("SELECT max(size) FROM {schema}.chronicle_seals");
    let size: Option<i64> = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(size.and_then(Position::from_i64))
}

async fn insert_seal(
    connection: &mut PgConnection,
    chronicle: &PostgresChronicle,
    new: &NewSeal,
) -> Result<(), Failure> {
    let StoredSeal { size, root, note, sealed_at } = &new.seal;
    let database = chronicle.database();
    let sql = "INSERT INTO {schema}.chronicle_seals (size, root, note, sealed_at)
               VALUES ($1, $2, $3, $4)";
    sqlx::query(database.sql(sql))
        .bind(size.as_i64())
        .bind(root.as_bytes().as_slice())
        .bind(note)
        .bind(DateTime::<Utc>::from(*sealed_at))
        .execute(&mut *connection)
        .await?;
    if !new.tiles.is_empty() {
        let sql = "INSERT INTO {schema}.chronicle_tiles (level, tile, hashes)
                   SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
                   ON CONFLICT (level, tile) DO NOTHING";
        let column = |of: fn(&StoredTile) -> i64| new.tiles.iter().map(of).collect::<Vec<_>>();
        sqlx::query(database.sql(sql))
            .bind(new.tiles.iter().map(|tile| i16::from(tile.level)).collect::<Vec<_>>())
            .bind(column(|tile| i64::try_from(tile.tile).unwrap_or(i64::MAX)))
            .bind(new.tiles.iter().map(|tile| tile.hashes.as_slice()).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    if !new.streams.is_empty() {
        let sql = "INSERT INTO {schema}.chronicle_streams (bucket, stream_id, version, leaf_hash)
                   SELECT * FROM unnest($1::integer[], $2::uuid[], $3::bigint[], $4::bytea[])
                   ON CONFLICT (bucket, stream_id)
                   DO UPDATE SET version = excluded.version, leaf_hash = excluded.leaf_hash";
        let streams = || new.streams.iter();
        sqlx::query(database.sql(sql))
            .bind(streams().map(|stream| i32::from(stream.bucket)).collect::<Vec<_>>())
            .bind(streams().map(|stream| *stream.stream_id.as_uuid()).collect::<Vec<_>>())
            .bind(streams().map(|stream| stream.version.as_i64()).collect::<Vec<_>>())
            .bind(
                streams().map(|stream| stream.leaf_hash.as_bytes().as_slice()).collect::<Vec<_>>(),
            )
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

impl PostgresChronicle {
    /// A query that is not kept: a plan that was made while a table was short would scan it for ever.
    fn query(&self, sql: &str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(self.database().sql(sql)).persistent(false)
    }

    /// The rows that a query answers, of a log that has what was seen of it.
    async fn load_proof<T>(
        &self,
        query: Query<'static, Postgres, PgArguments>,
        table: &'static str,
        read: impl Fn(&Cells<'_>) -> Result<T, BadRow>,
    ) -> Result<Vec<T>, StoreError> {
        let (database, seen) = (self.database(), self.seen());
        self.converse(READING, async |connection: &mut PgConnection| {
            load_head(connection, database, seen).await?;
            let rows = query.fetch_all(connection).await?;
            Ok(rows.iter().map(|row| read(&Cells { row, table })).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Does some work in a transaction, and commits it.
    async fn write_proof<T, E: From<StoreError>>(
        &self,
        doing: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<Result<T, E>, Failure>,
    ) -> Result<T, E> {
        let database = self.database();
        if database.is_read_only() {
            return Err(StoreError::permanent(doing, ReadOnly).into());
        }
        self.converse(doing, async |connection: &mut PgConnection| {
            let mut transaction = database.begin(connection).await?;
            let done = work(&mut transaction).await?;
            if done.is_ok() {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok(done)
        })
        .await?
    }
}

#[async_trait]
impl Seals for PostgresChronicle {
    async fn last_seal(&self) -> Result<Option<StoredSeal>, StoreError> {
        let sql = with(SELECT_SEALS, "ORDER BY size DESC LIMIT 1");
        Ok(self.load_proof(self.query(&sql), "chronicle_seals", |cells| cells.seal()).await?.pop())
    }

    async fn seals(&self, after: Position, limit: usize) -> Result<Vec<StoredSeal>, StoreError> {
        let sql = with(SELECT_SEALS, "WHERE size > $1 ORDER BY size LIMIT $2");
        let (after, limit) = (after.as_i64(), count(proof_limit(limit)));
        let query = self.query(&sql).bind(after).bind(limit);
        self.load_proof(query, "chronicle_seals", |cells| cells.seal()).await
    }

    async fn seals_before(
        &self,
        before: Position,
        limit: usize,
    ) -> Result<Vec<StoredSeal>, StoreError> {
        let sql = with(SELECT_SEALS, "WHERE size < $1 ORDER BY size DESC LIMIT $2");
        let query = self.query(&sql).bind(before.as_i64()).bind(count(proof_limit(limit)));
        self.load_proof(query, "chronicle_seals", |cells| cells.seal()).await
    }

    async fn cosignatures(&self, size: Position) -> Result<Vec<StoredCosignature>, StoreError> {
        let sql = "SELECT size, key_name, line FROM {schema}.chronicle_cosignatures
                   WHERE size = $1 ORDER BY key_name COLLATE \"C\" LIMIT 100";
        let query = self.query(sql).bind(size.as_i64());
        self.load_proof(query, "chronicle_cosignatures", |cells| cells.cosignature()).await
    }

    async fn tiles(
        &self,
        level: u8,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredTile>, StoreError> {
        let sql = "SELECT level, tile, hashes FROM {schema}.chronicle_tiles
                   WHERE level = $1 AND tile >= $2 ORDER BY tile LIMIT $3";
        let (from, limit) = (i64::try_from(from).unwrap_or(i64::MAX), count(tile_limit(limit)));
        let query = self.query(sql).bind(i16::from(level)).bind(from).bind(limit);
        self.load_proof(query, "chronicle_tiles", |cells| cells.tile()).await
    }

    async fn leaf_hashes(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<LeafHash>, StoreError> {
        let sql = "SELECT position, leaf_hash FROM {schema}.chronicle_entries
                   WHERE position > $1 ORDER BY position LIMIT $2";
        let limit = count(proof_limit(limit));
        let (database, seen) = (self.database(), self.seen());
        self.converse(READING, async |connection: &mut PgConnection| {
            load_head(connection, database, seen).await?;
            let query = sqlx::query(database.sql(sql)).persistent(false);
            let rows = query.bind(after.as_i64()).bind(limit).fetch_all(connection).await?;
            let (mut hashes, mut last) = (Vec::with_capacity(rows.len()), after);
            for row in &rows {
                let stored = Stored::of(row)?;
                BadRow::check_follows(last, stored.position())?;
                last = stored.position();
                hashes.push(stored.leaf_hash(1)?);
            }
            if let Some(hash) = hashes.last() {
                seen.note(last, *hash);
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
        let rest = "WHERE (bucket, stream_id) > ($1, $2) ORDER BY bucket, stream_id LIMIT $3";
        let sql = with(SELECT_STREAMS, rest);
        // Every bucket comes after -1.
        let (bucket, stream) =
            after.map_or((-1, Uuid::nil()), |(bucket, id)| (i32::from(bucket), *id.as_uuid()));
        let limit = count(proof_limit(limit));
        let query = self.query(&sql).bind(bucket).bind(stream).bind(limit);
        self.load_proof(query, "chronicle_streams", |cells| cells.stream()).await
    }

    async fn streams_in(&self, buckets: &[u16]) -> Result<Vec<StoredStream>, StoreError> {
        let sql = with(SELECT_STREAMS, "WHERE bucket = ANY($1) ORDER BY bucket, stream_id");
        let buckets: Vec<i32> = buckets.iter().map(|bucket| i32::from(*bucket)).collect();
        let query = self.query(&sql).bind(buckets);
        self.load_proof(query, "chronicle_streams", |cells| cells.stream()).await
    }

    async fn save_seal(&self, seal: NewSeal) -> Result<(), SaveSealError> {
        let (database, seen) = (self.database(), self.seen());
        self.write_proof("saving a seal", async |connection: &mut PgConnection| {
            let (lease, now) = lock_sealer(connection, self).await?;
            let last = load_last_size(connection, self).await?;
            let head = load_head(connection, database, seen).await?.position;
            if let Err(refused) = seal.check(last, head, &lease, now) {
                return Ok(Err(refused));
            }
            insert_seal(connection, self, &seal).await?;
            Ok(Ok(()))
        })
        .await
    }

    async fn save_cosignature(&self, cosignature: StoredCosignature) -> Result<bool, StoreError> {
        const DOING: &str = "saving a cosignature";
        let StoredCosignature { size, key_name, line } = cosignature;
        let (database, seen) = (self.database(), self.seen());
        self.write_proof(DOING, async |connection: &mut PgConnection| {
            load_head(connection, database, seen).await?;
            let sql = database.sql(include_str!("sql/insert_cosignature.sql"));
            let row = sqlx::query(sql)
                .bind(size.as_i64())
                .bind(key_name)
                .bind(line)
                .fetch_one(connection)
                .await?;
            let (has_seal, is_first): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
            if has_seal {
                Ok(Ok(is_first))
            } else {
                Ok(Err(StoreError::permanent(DOING, NoSeal(size))))
            }
        })
        .await
    }

    async fn hold_seal_lease(
        &self,
        holder: HolderId,
        lease_time: Duration,
    ) -> Result<Lease, StoreError> {
        self.write_proof("taking the sealer's lease", async |connection: &mut PgConnection| {
            let (mut lease, now) = lock_sealer(connection, self).await?;
            let taken = lease.take(holder, None, lease_time, now);
            if taken == Lease::Held {
                save_lease(connection, self, &lease).await?;
            }
            Ok(Ok(taken))
        })
        .await
    }

    async fn release_seal_lease(&self, holder: HolderId) -> Result<(), StoreError> {
        self.write_proof("releasing the sealer's lease", async |connection: &mut PgConnection| {
            let (mut lease, _) = lock_sealer(connection, self).await?;
            if lease.release(holder) {
                save_lease(connection, self, &lease).await?;
            }
            Ok(Ok(()))
        })
        .await
    }
}
