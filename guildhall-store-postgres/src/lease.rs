//! Checkpoint rows, and the lease in the same row: who may write, and how far it got.

use std::time::Duration;

use chrono::{DateTime, Utc};
use guildhall_core::store::{Applier, CheckpointRow, LeaseState, Standby};
use guildhall_core::{Checkpoint, HolderId, Origin, ProjectorCheckpoint, StoreError, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, Row, Transaction};

use crate::database::{Database, setting};
use crate::error::{Doing, has_sqlstate};
use crate::ops_rows::Columns;

/// Heads are looked up by their keys. A plan that was made while a table was small, or before the
/// server knew how long it is, would scan it. `lock_timeout` bounds how long to wait for a rival.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '1s'; SET LOCAL jit = off; \
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// The row of a projector, in which its lease stands.
#[derive(Debug)]
pub(crate) struct LeaseRow {
    pub(crate) database: Database,
    /// Of which projector.
    pub(crate) projector: String,
    /// How long its lease holds.
    pub(crate) lease_time: Duration,
}

/// Whether the row could be locked.
pub(crate) enum Locking {
    /// It is, until the transaction ends; and the database's clock.
    Locked(Transaction<'static, Postgres>, CheckpointRow, Timestamp),
    /// Another, who has the lease, has it locked.
    Standby(Standby),
}

/// The checkpoint's row is locked by a transaction that does not end.
#[derive(Debug, thiserror::Error)]
#[error("another transaction has the projector's checkpoint locked")]
struct Locked;

impl LeaseRow {
    /// A transaction that has the row locked; or who else has.
    pub(crate) async fn begin(
        &self,
        applier: &Applier,
        doing: &'static str,
    ) -> Result<Locking, StoreError> {
        if !applier.has_held_lease() {
            // Not in the transaction: a row that nobody sees yet does not tell who is frozen in it.
            let mut connection = self.database.acquire().await.doing(doing)?;
            create_row(&mut connection, &self.database, &self.projector).await.doing(doing)?;
        }
        let mut transaction = self.database.transaction(BEGIN).await.doing(doing)?;
        match self.lock(&mut transaction, &self.projector).await {
            Ok((row, now)) => Ok(Locking::Locked(transaction, row, now)),
            Err(error) if has_sqlstate(&error, "55P03") => {
                transaction.rollback().await.doing(doing)?;
                self.look_who_has_it(doing).await.map(Locking::Standby)
            }
            Err(error) => Err(error).doing(doing),
        }
    }

    /// Locks a row in the projector's transaction: its own, or a read model's.
    pub(crate) async fn lock(
        &self,
        transaction: &mut PgConnection,
        projector: &str,
    ) -> Result<(CheckpointRow, Timestamp), sqlx::Error> {
        lock_row(transaction, &self.database, projector, silence(self.lease_time)).await
    }

    /// Who has the row locked; deposed, if it is frozen and its lease has lapsed.
    async fn look_who_has_it(&self, doing: &'static str) -> Result<Standby, StoreError> {
        let mut connection = self.database.acquire().await.doing(doing)?;
        match self.depose_holder(&mut connection).await {
            Ok(Some((holder, until))) => {
                Ok(Standby { projector: self.projector.clone(), holder, until })
            }
            Ok(None) => Err(StoreError::transient(doing, Locked)),
            // A role that may not end the other's session can only wait.
            Err(error) if has_sqlstate(&error, "42501") => {
                tracing::warn!(%error, "a projector whose lease has lapsed cannot be deposed");
                Err(StoreError::transient(doing, Locked))
            }
            Err(error) => Err(error).doing(doing),
        }
    }

    /// Whoever keeps the row locked: who holds the lease, and until when. If that has passed, and
    /// the session that keeps it waits for a client that is silent, the session is ended.
    async fn depose_holder(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<(HolderId, Timestamp)>, sqlx::Error> {
        let found = sqlx::query(self.database.sql(include_str!("sql/depose_holder.sql")))
            .bind(&self.projector)
            .bind(self.lease_time.as_secs_f64())
            .fetch_optional(connection)
            .await?;
        let Some(row) = found else { return Ok(None) };
        if row.try_get::<Option<bool>, _>(2)? == Some(true) {
            let projector = &self.projector;
            tracing::warn!(projector, "ended the session of a projector whose lease had lapsed");
        }
        let mut columns = Columns::of(&row);
        let holder = columns.value::<Option<HolderId>>()?;
        let until = columns.value::<Option<Timestamp>>()?;
        Ok(holder.zip(until))
    }

    /// Gives the lease up, if it is the applier's.
    pub(crate) async fn release(&self, applier: &Applier) -> Result<(), StoreError> {
        const DOING: &str = "releasing the lease";
        let Self { database, projector, .. } = self;
        let mut transaction = database.transaction(BEGIN).await.doing(DOING)?;
        let (mut row, _) = self.lock(&mut transaction, projector).await.doing(DOING)?;
        if applier.release(&mut row.lease) {
            save_row(&mut transaction, database, projector, &row).await.doing(DOING)?;
            transaction.commit().await.doing(DOING)?;
        } else {
            transaction.rollback().await.doing(DOING)?;
        }
        Ok(())
    }
}

/// How long a projector may be silent in a transaction before the server ends it. Even the shortest
/// lease leaves it enough time to fold a batch.
pub(crate) fn silence(lease_time: Duration) -> Duration {
    lease_time.max(Duration::from_secs(1))
}

/// How long a rebuild may be silent while it waits for the log: a frozen one would keep vacuum from its
/// work in the whole database. And how long the server may be silent towards a projector: one that
/// vanished would leave it waiting for ever.
pub(crate) fn long_silence(lease_time: Duration) -> Duration {
    silence(lease_time).saturating_mul(20)
}

/// The row, and the name of its projector.
fn read_row(columns: &mut Columns<'_>) -> Result<(String, CheckpointRow), sqlx::Error> {
    let projector = columns.value()?;
    let checkpoint = Checkpoint {
        position: columns.value()?,
        leaf_hash: columns.value()?,
        origin: columns.value()?,
    };
    let (generation, history_from) = (columns.value()?, columns.value()?);
    let holder = columns.value::<Option<HolderId>>()?;
    let until = columns.value::<Option<Timestamp>>()?;
    let (fence, renewed_at) = (columns.value()?, Some(columns.value()?));
    let lease = LeaseState { holder: holder.zip(until), fence, renewed_at };
    Ok((projector, CheckpointRow { checkpoint, generation, history_from, lease }))
}

/// The row of this projector, created if missing, and the database's clock. Until the
/// transaction ends, nobody else gets it; the server ends it after so long a silence.
pub(crate) async fn lock_row(
    transaction: &mut PgConnection,
    database: &Database,
    projector: &str,
    silence: Duration,
) -> Result<(CheckpointRow, Timestamp), sqlx::Error> {
    loop {
        let lock = database.sql(include_str!("sql/lock_checkpoint.sql"));
        let found = sqlx::query(lock)
            .bind(projector)
            .bind(setting(silence))
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = found {
            let mut columns = Columns::of(&row);
            let (_, locked) = read_row(&mut columns)?;
            return Ok((locked, columns.value()?));
        }
        create_row(&mut *transaction, database, projector).await?;
    }
}

/// Makes the row of this projector where there is none.
async fn create_row(
    connection: &mut PgConnection,
    database: &Database,
    projector: &str,
) -> Result<(), sqlx::Error> {
    let create = database.sql(include_str!("sql/create_checkpoint.sql"));
    sqlx::query(create).bind(projector).execute(connection).await.map(drop)
}

/// Writes the row of this projector, which is locked.
pub(crate) async fn save_row(
    transaction: &mut PgConnection,
    database: &Database,
    projector: &str,
    row: &CheckpointRow,
) -> Result<(), sqlx::Error> {
    let CheckpointRow { checkpoint: Checkpoint { position, leaf_hash, origin }, lease, .. } = row;
    sqlx::query(database.sql(include_str!("sql/save_checkpoint.sql")))
        .bind(projector)
        .bind(position.as_i64())
        .bind(leaf_hash.as_ref().map(|hash| hash.as_bytes().as_slice()))
        .bind(origin.as_ref().map(Origin::as_str))
        .bind(row.generation)
        .bind(lease.holder.map(|(holder, _)| *holder.as_uuid()))
        .bind(lease.holder.map(|(_, until)| DateTime::<Utc>::from(until)))
        .bind(lease.fence)
        .bind(row.history_from.as_i64())
        .execute(transaction)
        .await?;
    Ok(())
}

/// The checkpoints of these projectors; those that never ran have none.
pub(crate) async fn load_checkpoints(
    connection: &mut PgConnection,
    database: &Database,
    projectors: &[String],
) -> Result<Vec<(String, Checkpoint)>, sqlx::Error> {
    let rows = sqlx::query(database.sql(include_str!("sql/load_checkpoint.sql")))
        .bind(projectors)
        .fetch_all(connection)
        .await?;
    let read = |row: &PgRow| {
        let (projector, row) = read_row(&mut Columns::of(row))?;
        Ok((projector, row.checkpoint))
    };
    rows.iter().map(read).collect()
}

/// The row of this projector, or that of one that never ran.
pub(crate) async fn load_row(
    connection: &mut PgConnection,
    database: &Database,
    projector: &str,
) -> Result<CheckpointRow, sqlx::Error> {
    Ok(find_row(connection, database, projector).await?.unwrap_or(CheckpointRow::NONE))
}

/// The row of this projector; none of one that never ran.
pub(crate) async fn find_row(
    connection: &mut PgConnection,
    database: &Database,
    projector: &str,
) -> Result<Option<CheckpointRow>, sqlx::Error> {
    let row = sqlx::query(database.sql(include_str!("sql/load_checkpoint.sql")))
        .bind([projector.to_owned()])
        .fetch_optional(connection)
        .await?;
    let row = row.map(|row| read_row(&mut Columns::of(&row))).transpose()?;
    Ok(row.map(|(_, row)| row))
}

/// Every row, by projector.
pub(crate) async fn list_checkpoints(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<Vec<ProjectorCheckpoint>, sqlx::Error> {
    let list = database.sql(include_str!("sql/list_checkpoints.sql"));
    let rows = sqlx::query(list).fetch_all(connection).await?;
    let read = |row: &PgRow| {
        let (projector, row) = read_row(&mut Columns::of(row))?;
        Ok(row.into_listed(projector))
    };
    rows.iter().map(read).collect()
}

/// The checkpoint of the one that is furthest behind.
pub(crate) async fn furthest_behind(
    connection: &mut PgConnection,
    database: &Database,
    projectors: &[String],
) -> Result<Checkpoint, sqlx::Error> {
    let found = load_checkpoints(connection, database, projectors).await?;
    if found.len() < projectors.len() {
        return Ok(Checkpoint::ZERO);
    }
    let furthest = found.into_iter().map(|(_, checkpoint)| checkpoint).min_by_key(|at| at.position);
    Ok(furthest.unwrap_or(Checkpoint::ZERO))
}
