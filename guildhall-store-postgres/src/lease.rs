//! Checkpoint rows, and the lease that stands in the same row: whoever may write, how far it got.

use std::time::Duration;

use chrono::{DateTime, Utc};
use guildhall_core::{Checkpoint, HolderId, LeaseState, Origin, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::database::Database;
use crate::rows::Columns;

/// A row of `projector_checkpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointRow {
    pub(crate) checkpoint: Checkpoint,
    /// How many rebuilds were swapped in.
    pub(crate) generation: i64,
    /// Who may write.
    pub(crate) lease: LeaseState,
}

impl CheckpointRow {
    /// The row, and the name of its projector.
    fn read(columns: &mut Columns<'_>) -> Result<(String, Self), sqlx::Error> {
        let projector = columns.string()?;
        let checkpoint = Checkpoint {
            position: columns.position()?,
            leaf_hash: columns.nullable(Columns::leaf_hash)?,
            origin: columns.nullable(Columns::parsed::<Origin>)?,
        };
        let generation = columns.value()?;
        let holder = columns.nullable(Columns::uuid)?.map(HolderId::from_uuid);
        let until = columns.nullable(Columns::time)?;
        let lease = LeaseState { holder: holder.zip(until), fence: columns.value()? };
        Ok((projector, Self { checkpoint, generation, lease }))
    }

    /// The row of this projector, made where there is none, and the database's clock. Until the
    /// transaction ends, nobody else gets it.
    pub(crate) async fn lock(
        transaction: &mut PgConnection,
        database: &Database,
        projector: &str,
    ) -> Result<(Self, Timestamp), sqlx::Error> {
        loop {
            let lock = database.sql(include_str!("sql/lock_checkpoint.sql"));
            let found = sqlx::query(lock).bind(projector).fetch_optional(&mut *transaction).await?;
            if let Some(row) = found {
                let mut columns = Columns::of(&row);
                let (_, locked) = Self::read(&mut columns)?;
                return Ok((locked, columns.time()?));
            }
            Self::create(&mut *transaction, database, projector).await?;
        }
    }

    /// Makes the row where there is none.
    pub(crate) async fn create(
        connection: &mut PgConnection,
        database: &Database,
        projector: &str,
    ) -> Result<(), sqlx::Error> {
        let create = database.sql(include_str!("sql/create_checkpoint.sql"));
        sqlx::query(create).bind(projector).execute(connection).await.map(drop)
    }

    /// Writes the row, which is locked.
    pub(crate) async fn save(
        &self,
        transaction: &mut PgConnection,
        database: &Database,
        projector: &str,
    ) -> Result<(), sqlx::Error> {
        let Checkpoint { position, leaf_hash, origin } = &self.checkpoint;
        sqlx::query(database.sql(include_str!("sql/save_checkpoint.sql")))
            .bind(projector)
            .bind(position.as_i64())
            .bind(leaf_hash.as_ref().map(|hash| hash.as_bytes().as_slice()))
            .bind(origin.as_ref().map(Origin::as_str))
            .bind(self.generation)
            .bind(self.lease.holder.map(|(holder, _)| *holder.as_uuid()))
            .bind(self.lease.holder.map(|(_, until)| DateTime::<Utc>::from(until)))
            .bind(self.lease.fence)
            .execute(transaction)
            .await?;
        Ok(())
    }
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
        let (projector, row) = CheckpointRow::read(&mut Columns::of(row))?;
        Ok((projector, row.checkpoint))
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

/// Whoever keeps the row locked: who holds the lease, and until when. If that has passed, the
/// session that keeps it is ended.
pub(crate) async fn depose_holder(
    connection: &mut PgConnection,
    database: &Database,
    projector: &str,
    lease_time: Duration,
) -> Result<Option<(HolderId, Timestamp)>, sqlx::Error> {
    let found = sqlx::query(database.sql(include_str!("sql/depose_holder.sql")))
        .bind(projector)
        .bind(lease_time.as_secs_f64())
        .fetch_optional(connection)
        .await?;
    let Some(row) = found else { return Ok(None) };
    if row.try_get::<Option<bool>, _>(2)? == Some(true) {
        tracing::warn!(projector, "ended the session of a projector whose lease had lapsed");
    }
    let mut columns = Columns::of(&row);
    let holder = columns.nullable(Columns::value::<Uuid>)?.map(HolderId::from_uuid);
    let until = columns.nullable(Columns::time)?;
    Ok(holder.zip(until))
}
