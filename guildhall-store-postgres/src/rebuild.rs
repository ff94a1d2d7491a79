//! Rebuilding: the next generation of the tables is filled beside the live one, without keys,
//! indexes or foreign keys; those are made afterwards, and then the tables swap names.
//!
//! It is one transaction: nobody sees a part of it, and whatever ends it (this process, the server, a
//! cable) leaves nothing behind. What belongs to a table is read from the catalogue, so it is
//! described only once, and what an embedder added (an index, a trigger, a right, a view) is made
//! again too.

use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::store::Filler;
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, Difference, Generation, HolderId, Position, StoreError,
};
use sqlx::{Connection, PgConnection, Postgres, Row, Transaction};
use tokio::time::sleep;

use crate::changes::TABLES;
use crate::database::{Database, setting};
use crate::error::{Doing, has_sqlstate};
use crate::heads::load_heads;
use crate::holder::find_maintainer;
use crate::lease::{lock_row, long_silence, save_row};
use crate::partitions::Partitions;
use crate::settings::Settings;
use crate::watch::notify;

mod next_tables;

use next_tables::NextTables;

/// A rebuild failed because of what it met, not because of PostgreSQL.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("this generation failed before, or is the live one")]
    Spent,
    #[error("{referrer} refers to {table}: drop it, rebuild, and create it again")]
    Referred { referrer: String, table: String },
    #[error("others keep {table} locked")]
    Locked { table: &'static str },
    #[error(
        "the publication {publication} has {table}, whose place a new table takes: its subscribers would \
         stop at it. Publish the tables of the log alone"
    )]
    Published { publication: String, table: String },
}

/// The defaults of a session may be meant for short statements. Without a search path, whatever the
/// catalogue describes is qualified.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = 0; \
    SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off";

/// One rebuild at a time, and no migration meanwhile. Only the tables' owner, or a member of that
/// role, can lock so; who reads the table is not in the way.
const LOCK: &str = "LOCK TABLE {schema}.guildhall_migrations IN SHARE UPDATE EXCLUSIVE MODE";

/// How long it may be silent in the swap, when everybody waits for it.
const SWAP_SILENCE: Duration = Duration::from_secs(5);

/// A generation of the Ops DB under construction.
#[derive(Debug)]
pub(crate) struct PostgresGeneration {
    database: Database,
    /// Whose tables these are to be.
    projector: String,
    /// None once it failed or was swapped in.
    transaction: Option<Transaction<'static, Postgres>>,
    filler: Filler,
    next: NextTables,
    is_swapped: bool,
}

impl PostgresGeneration {
    /// Ends an unfinished rebuild and starts an empty generation.
    pub(crate) async fn begin(database: Database, settings: Settings) -> Result<Self, StoreError> {
        const DOING: &str = "beginning a rebuild";
        let mut transaction = database.transaction(BEGIN).await.doing(DOING)?;
        let schema = database.schema().name();
        sqlx::query(
            "SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', $1, true)",
        )
        .bind(setting(long_silence(settings.projector.lease_time)))
        .execute(&mut *transaction)
        .await
        .doing(DOING)?;
        sqlx::query(include_str!("sql/take_rebuild.sql"))
            .bind(schema)
            .execute(&mut *transaction)
            .await
            .doing(DOING)?;
        let locked = sqlx::raw_sql(database.sql(LOCK)).execute(&mut *transaction).await;
        if locked.as_ref().is_err_and(|error| has_sqlstate(error, "55P03")) {
            transaction.rollback().await.doing(DOING)?;
            let mut connection = database.acquire().await.doing(DOING)?;
            if let Some(locked) = find_maintainer(&mut connection, &database).await.doing(DOING)? {
                return Err(StoreError::transient(DOING, locked));
            }
            return Err(StoreError::transient(
                DOING,
                RebuildError::Locked { table: "guildhall_migrations" },
            ));
        }
        locked.doing(DOING)?;
        let published = sqlx::query(include_str!("sql/find_publication.sql"))
            .bind(schema)
            .bind(TABLES)
            .fetch_optional(&mut *transaction)
            .await
            .doing(DOING)?;
        if let Some(row) = published {
            let publication = row.try_get(0).doing(DOING)?;
            let table = row.try_get(1).doing(DOING)?;
            transaction.rollback().await.doing(DOING)?;
            return Err(StoreError::permanent(
                DOING,
                RebuildError::Published { publication, table },
            ));
        }
        let referred = sqlx::query(include_str!("sql/find_referrer.sql"))
            .bind(schema)
            .bind(TABLES)
            .fetch_optional(&mut *transaction)
            .await
            .doing(DOING)?;
        if let Some(row) = referred {
            let referrer = row.try_get(0).doing(DOING)?;
            let table = row.try_get(1).doing(DOING)?;
            transaction.rollback().await.doing(DOING)?;
            return Err(StoreError::permanent(DOING, RebuildError::Referred { referrer, table }));
        }
        let is_divided = match settings.partitions {
            Partitions::On => true,
            Partitions::Off => false,
            Partitions::AsLive => sqlx::query_scalar(include_str!("sql/has_partitions.sql"))
                .bind(schema)
                .fetch_one(&mut *transaction)
                .await
                .doing(DOING)?,
        };
        let unique = HolderId::new().as_uuid().simple().to_string();
        let suffix = format!("_next_{}", &unique[unique.len() - 12..]);
        let next = NextTables::make(&mut transaction, database.clone(), suffix, is_divided);
        let next = next.await.doing(DOING)?;
        Ok(Self {
            database,
            projector: settings.projector.name.clone(),
            transaction: Some(transaction),
            filler: Filler::new(&settings.projector),
            next,
            is_swapped: false,
        })
    }

    /// The transaction, taken out: a caller that does not put it back has failed, and it is rolled back.
    fn take(&mut self, doing: &'static str) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.transaction.take().ok_or_else(|| StoreError::permanent(doing, RebuildError::Spent))
    }

    /// Writes what is held back, and makes what is not there yet.
    async fn make_whole(
        &mut self,
        connection: &mut PgConnection,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        let held = self.filler.release()?;
        if let Some(held) = &held {
            self.next.write_held(connection, held.rows()).await.doing(doing)?;
        }
        self.next.make_whole(connection).await.doing(doing)?;
        if let Some(held) = held {
            held.written();
        }
        Ok(())
    }

    /// Exchanges the tables, if the live ones stand no further; false where they do. Says which
    /// table it waits for.
    async fn exchange(
        &self,
        connection: &mut PgConnection,
        rewind_from: Option<Position>,
        waits_for: &mut &'static str,
    ) -> Result<bool, sqlx::Error> {
        *waits_for = "projector_checkpoints";
        let Self { database, projector, .. } = self;
        let (live, _) = lock_row(connection, database, projector, SWAP_SILENCE).await?;
        let Some(row) = live.swapped(self.filler.checkpoint(), rewind_from) else {
            return Ok(false);
        };
        self.next.exchange(connection, waits_for).await?;
        save_row(connection, database, projector, &row).await?;
        notify(connection, database, row.checkpoint.position).await?;
        Ok(true)
    }
}

#[async_trait]
impl Generation for PostgresGeneration {
    fn checkpoint(&self) -> Checkpoint {
        self.filler.checkpoint().clone()
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        const DOING: &str = "rebuilding";
        let Self { filler, next, transaction, .. } = self;
        let mut loading = filler.begin(batch)?;
        let spent = || StoreError::permanent(DOING, RebuildError::Spent);
        let mut connection = transaction.take().ok_or_else(spent)?;
        if let Some((keys, heads)) = loading.missing() {
            NextTables::plan_lookups(&mut connection).await.doing(DOING)?;
            load_heads(&mut connection, &next.tables, keys, heads).await.doing("loading heads")?;
        }
        let folded = loading.fold()?;
        let (changes, deployments) = (folded.changes(), folded.deployments());
        next.divide(&mut connection, Some(changes)).await.doing(DOING)?;
        next.tables.write(&mut connection, changes, deployments).await.doing(DOING)?;
        let applied = folded.written();
        if let Some(held) = filler.spill()? {
            next.write_held(&mut connection, held.rows()).await.doing(DOING)?;
            next.make_keys(&mut connection).await.doing(DOING)?;
            held.written();
        }
        *transaction = Some(connection);
        applied
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "sealing a rebuild";
        let mut transaction = self.take(DOING)?;
        self.make_whole(&mut transaction, DOING).await?;
        self.transaction = Some(transaction);
        Ok(())
    }

    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError> {
        const DOING: &str = "comparing a rebuild with the live tables";
        let mut transaction = self.take(DOING)?;
        let rebuilt = self.filler.checkpoint().position;
        let compared = self.next.compare(&mut transaction, live, &self.projector, rebuilt);
        let differences = compared.await.doing(DOING)?;
        self.transaction = Some(transaction);
        Ok(differences)
    }

    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        const DOING: &str = "swapping in a rebuild";
        /// A session that waits for the tables makes all later ones wait, so each wait is short.
        const ATTEMPTS: u32 = 50;
        const PAUSE: Duration = Duration::from_millis(300);
        if self.is_swapped {
            return Ok(true);
        }
        let mut transaction = self.take(DOING)?;
        self.make_whole(&mut transaction, DOING).await?;
        let mut waits_for = "";
        for _ in 0..ATTEMPTS {
            // Rolled back, it gives back its locks.
            let mut attempt = transaction.begin().await.doing(DOING)?;
            match self.exchange(&mut attempt, rewind_from, &mut waits_for).await {
                Ok(true) => {
                    attempt.commit().await.doing(DOING)?;
                    transaction.commit().await.doing(DOING)?;
                    self.is_swapped = true;
                    return Ok(true);
                }
                Ok(false) => {
                    attempt.rollback().await.doing(DOING)?;
                    self.transaction = Some(transaction);
                    return Ok(false);
                }
                Err(error) if has_sqlstate(&error, "55P03") => {
                    attempt.rollback().await.doing(DOING)?;
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error).doing(DOING),
            }
        }
        self.transaction = Some(transaction);
        Err(StoreError::transient(DOING, RebuildError::Locked { table: waits_for }))
    }
}
