//! Rebuilding: the next generation of the tables is filled beside the live one, without keys,
//! indexes and foreign keys; those are made afterwards, and then names change hands.
//!
//! All of it is one transaction: nobody sees a part of it, and whatever ends it (this process, the
//! server, a cable) leaves nothing behind. What belongs to a table is read from the catalogue, so
//! there is no second copy of it, and what an embedder added (an index, a trigger, a right, a
//! view) is made anew too.

use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::fold::Fold;
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, Difference, DifferenceKind, Generation, HolderId,
    OnViolation, Position, StoreError, Table, VerificationResult,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Row, Transaction};
use tokio::time::sleep;

use crate::changes::{Deployments, OpsTables, TABLES};
use crate::database::{Database, setting};
use crate::error::{Doing, has_sqlstate};
use crate::heads::load_heads;
use crate::holder::find_maintainer;
use crate::lease::{CheckpointRow, long_silence};
use crate::partitions::{Partitions, divide_transitions, divide_verifications, division, key};
use crate::projector::{Settings, fold_entries, notify};
use crate::rows::Columns;

/// A rebuild failed because of what it met, not because of PostgreSQL.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("this generation failed before, or is the live one")]
    Spent,
    #[error("{referrer} refers to {table}: drop it, rebuild, and make it again")]
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

/// A table that was filled just now has no statistics, and its heads are looked up by keys.
const PLAN_LOOKUPS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
    SET LOCAL enable_mergejoin = off";

/// Whole tables are compared.
const PLAN_SCANS: &str = "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; \
    SET LOCAL enable_mergejoin = on";

/// The table whose months can be retired.
const DIVIDED_BY_MONTH: &str = "verification_results";

/// The columns that queries choose by; texts and JSON would take three times as long.
const ANALYZE: &str = "ANALYZE {schema}.accord_bindings{next} (id, name), \
    {schema}.governed_artifacts{next} \
        (id, accord_binding_id, artifact_type, tier, custody_state, custody_seq, position), \
    {schema}.custody_transitions{next} (artifact_id, seq, from_state, to_state, occurred_at, position), \
    {schema}.deployment_states{next} (artifact_id, target, health), \
    {schema}.verification_results{next} (id, artifact_id, outcome, verified_at, position), \
    {schema}.quarantined_entries{next} (position)";

/// How far the tables are from being whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No key: what may still change is held in memory.
    Bare,
    /// Their keys are there: memory ran out, so rows are looked up.
    Keyed,
    /// All indexes and foreign keys are there.
    Sealed,
}

/// An index of the next generation.
#[derive(Debug)]
struct Index {
    /// Its name once it is live.
    name: String,
    /// Its name until then.
    made_as: String,
    is_key: bool,
    /// The statement that makes it.
    create: String,
    is_made: bool,
}

/// A generation of the Ops DB under construction.
#[derive(Debug)]
pub(crate) struct PostgresGeneration {
    database: Database,
    settings: Settings,
    /// None once it failed or was swapped in.
    transaction: Option<Transaction<'static, Postgres>>,
    suffix: String,
    tables: OpsTables,
    indexes: Vec<Index>,
    /// Whether its tables have partitions.
    is_divided: bool,
    has_months: bool,
    fold: Fold,
    checkpoint: Checkpoint,
    stage: Stage,
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
        .bind(setting(long_silence(settings.lease_time)))
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
        let mut generation = Self {
            tables: OpsTables::next_generation(database.schema(), &suffix, is_divided),
            is_divided,
            has_months: false,
            fold: Fold::over_empty_tables(settings.policy.clone(), settings.on_violation),
            indexes: Vec::new(),
            checkpoint: Checkpoint::ZERO,
            stage: Stage::Bare,
            is_swapped: false,
            transaction: None,
            database,
            settings,
            suffix,
        };
        generation.create_tables(&mut transaction).await.doing(DOING)?;
        generation.transaction = Some(transaction);
        Ok(generation)
    }

    async fn create_tables(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        for table in TABLES {
            let create: Vec<String> = sqlx::query_scalar(include_str!("sql/describe_table.sql"))
                .bind(self.database.schema().name())
                .bind(table)
                .bind(&self.suffix)
                .bind(division(table).filter(|_| self.is_divided))
                .fetch_all(&mut *connection)
                .await?;
            for sql in create {
                execute(connection, sql).await?;
            }
            let indexes = sqlx::query(include_str!("sql/describe_indexes.sql"))
                .bind(self.database.schema().name())
                .bind(table)
                .bind(&self.suffix)
                .bind(key(table, self.is_divided))
                .fetch_all(&mut *connection)
                .await?;
            for row in &indexes {
                self.indexes.push(Index {
                    name: row.try_get(0)?,
                    made_as: row.try_get(1)?,
                    is_key: row.try_get(2)?,
                    create: row.try_get(3)?,
                    is_made: false,
                });
            }
        }
        if self.is_divided {
            divide_transitions(connection, &self.tables).await?;
        }
        Ok(())
    }

    /// Makes the months, once there is a verification to begin with, or none to come.
    async fn divide(
        &mut self,
        connection: &mut PgConnection,
        known: &[VerificationResult],
    ) -> Result<(), sqlx::Error> {
        if self.is_divided && !self.has_months {
            divide_verifications(connection, &self.tables, known).await?;
            self.has_months = true;
        }
        Ok(())
    }

    /// The transaction, taken out: whoever does not put it back has failed, and it is rolled back.
    fn take(&mut self, doing: &'static str) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.transaction.take().ok_or_else(|| StoreError::permanent(doing, RebuildError::Spent))
    }

    /// Writes the rows that were held back while they could change. Whoever writes to tables
    /// without keys does so once.
    async fn write_held(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.stage > Stage::Bare {
            return Ok(());
        }
        let held = self.fold.take_changes();
        self.tables.write_artifacts(connection, &held.artifacts).await?;
        self.tables.write_deployments(connection, &held.deployments, Deployments::New).await
    }

    /// Makes the indexes that are not there yet: the keys, or all of them.
    async fn make_indexes(
        &mut self,
        connection: &mut PgConnection,
        stage: Stage,
    ) -> Result<(), sqlx::Error> {
        for index in &mut self.indexes {
            if !index.is_made && (index.is_key || stage > Stage::Keyed) {
                execute(connection, index.create.clone()).await?;
                index.is_made = true;
            }
        }
        self.tables.stop_freezing();
        self.stage = self.stage.max(stage);
        Ok(())
    }

    async fn make_whole(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.stage >= Stage::Sealed {
            return Ok(());
        }
        self.write_held(connection).await?;
        self.divide(connection, &[]).await?;
        sqlx::raw_sql(PLAN_SCANS).execute(&mut *connection).await?;
        self.make_indexes(connection, Stage::Sealed).await?;
        let schema = self.database.schema().name();
        for table in TABLES {
            let foreign_keys: Vec<String> =
                sqlx::query_scalar(include_str!("sql/describe_foreign_keys.sql"))
                    .bind(schema)
                    .bind(table)
                    .bind(&self.suffix)
                    .bind(TABLES)
                    .fetch_all(&mut *connection)
                    .await?;
            for sql in foreign_keys {
                execute(connection, sql).await?;
            }
        }
        // Without, the first queries after the swap would be planned for empty tables.
        let analyze = self.tables.sql(ANALYZE);
        sqlx::raw_sql(analyze).execute(&mut *connection).await?;
        Ok(())
    }

    async fn compare(
        &self,
        connection: &mut PgConnection,
        live: Position,
    ) -> Result<Vec<Difference>, sqlx::Error> {
        sqlx::raw_sql(PLAN_SCANS).execute(&mut *connection).await?;
        let mut greatest = Position::ZERO;
        for table in Table::ALL {
            let sql = table.greatest(&format!("{{schema}}.{}", table.name));
            let row = sqlx::query(self.tables.sql(&sql)).fetch_one(&mut *connection).await?;
            let found = Columns::of(&row).nullable(Columns::position)?;
            greatest = greatest.max(found.unwrap_or(Position::ZERO));
        }
        let upto = Table::compared_up_to(live, greatest, self.checkpoint.position);
        let first_month: Option<Option<String>> =
            sqlx::query_scalar(include_str!("sql/find_first_month.sql"))
                .bind(self.database.schema().name())
                .fetch_optional(&mut *connection)
                .await?;
        let first_month = first_month.flatten();
        let mut differences = Vec::new();
        for table in Table::ALL {
            let live = format!("{{schema}}.{}", table.name);
            let next = format!("{live}{{next}}");
            let mut comparisons = table.comparisons(&live, &next);
            if let Some(first) = first_month.as_ref().filter(|_| table.name == DIVIDED_BY_MONTH) {
                // A month that was retired comes back: it is no news.
                let kept = format!("(SELECT * FROM {next} WHERE verified_at >= {first})");
                for (comparison, of_kept) in
                    comparisons.iter_mut().zip(table.comparisons(&live, &kept))
                {
                    if comparison.0 == DifferenceKind::New {
                        *comparison = of_kept;
                    }
                }
            }
            for (kind, sql) in comparisons {
                let row = sqlx::query(self.tables.sql(&sql))
                    .persistent(false)
                    .bind(upto.as_i64())
                    .fetch_one(&mut *connection)
                    .await?;
                let mut columns = Columns::of(&row);
                let rows = u64::try_from(columns.value::<i64>()?).unwrap_or(0);
                if let Some(first) = columns.nullable(Columns::position)? {
                    differences.push(Difference { table: table.name, kind, rows, first });
                }
            }
        }
        Ok(differences)
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
        let name = &self.settings.name;
        let (mut row, _) =
            CheckpointRow::lock(connection, &self.database, name, SWAP_SILENCE).await?;
        let live = row.checkpoint.position;
        if live > self.checkpoint.position && rewind_from != Some(live) {
            return Ok(false);
        }
        let live_tables = OpsTables::live(self.database.schema());
        for table in TABLES {
            *waits_for = table;
            let lock = live_tables.sql(&format!(
                "SET LOCAL lock_timeout = '200ms'; \
                 LOCK TABLE {{schema}}.{table} IN ACCESS EXCLUSIVE MODE"
            ));
            sqlx::raw_sql(lock).execute(&mut *connection).await?;
        }
        let dependents: Vec<String> =
            sqlx::query_scalar(include_str!("sql/describe_dependents.sql"))
                .bind(self.database.schema().name())
                .bind(TABLES)
                .fetch_all(&mut *connection)
                .await?;
        for table in TABLES {
            let rename = self.tables.sql(&format!(
                "ALTER TABLE {{schema}}.{table} RENAME TO {table}{{next}}_retired; \
                 ALTER TABLE {{schema}}.{table}{{next}} RENAME TO {table}"
            ));
            sqlx::raw_sql(rename).execute(&mut *connection).await?;
        }
        for sql in dependents {
            execute(connection, sql).await?;
        }
        // Their partitions with them.
        let old = TABLES.map(|table| format!("{{schema}}.{table}{{next}}_retired")).join(", ");
        let drop = self.tables.sql(&format!("DROP TABLE {old}"));
        sqlx::raw_sql(drop).execute(&mut *connection).await?;
        for Index { name, made_as, .. } in &self.indexes {
            let name = name.replace('"', "\"\"");
            let rename =
                live_tables.sql(&format!("ALTER INDEX {{schema}}.{made_as} RENAME TO \"{name}\""));
            sqlx::raw_sql(rename).execute(&mut *connection).await?;
        }
        let parts: Vec<String> = sqlx::query_scalar(include_str!("sql/describe_partitions.sql"))
            .bind(self.database.schema().name())
            .bind(TABLES)
            .bind(&self.suffix)
            .fetch_all(&mut *connection)
            .await?;
        for sql in parts {
            execute(connection, sql).await?;
        }
        row.checkpoint = self.checkpoint.clone();
        row.generation += 1;
        row.save(connection, &self.database, name).await?;
        notify(connection, &self.database, row.checkpoint.position).await?;
        Ok(true)
    }
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

#[async_trait]
impl Generation for PostgresGeneration {
    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        const DOING: &str = "rebuilding";
        let fresh = batch.after(&self.checkpoint)?;
        let mut transaction = self.take(DOING)?;
        let keys = self.fold.missing(fresh);
        if !keys.is_empty() {
            sqlx::raw_sql(PLAN_LOOKUPS).execute(&mut *transaction).await.doing(DOING)?;
            load_heads(&mut transaction, &self.tables, &keys, self.fold.heads_mut())
                .await
                .doing("loading heads")?;
        }
        let mut checkpoint = match (fresh, batch.last_position()) {
            ([_, ..], Some(last)) => batch.checkpoint_at(last, &self.checkpoint),
            _ => self.checkpoint.clone(),
        };
        let halt = if self.settings.on_violation == OnViolation::Halt {
            let halt = fold_entries(&mut self.fold, fresh.to_vec(), self.checkpoint.position)?;
            if let Some(halt) = &halt {
                checkpoint = batch.checkpoint_at(halt.position.previous(), &self.checkpoint);
            }
            halt
        } else {
            fold_entries(
                &mut self.fold,
                batch.into_entries_after(self.checkpoint.position),
                self.checkpoint.position,
            )?
        };
        let (changes, deployments) = if self.stage == Stage::Bare {
            (self.fold.take_final_rows(), Deployments::New)
        } else {
            (self.fold.take_changes(), Deployments::Upserted)
        };
        if !changes.verifications.is_empty() {
            self.divide(&mut transaction, &changes.verifications).await.doing(DOING)?;
        }
        self.tables.write(&mut transaction, &changes, deployments).await.doing(DOING)?;
        if self.fold.weight_bytes() > self.settings.rebuild_memory_bytes {
            self.write_held(&mut transaction).await.doing(DOING)?;
            self.make_indexes(&mut transaction, Stage::Keyed).await.doing(DOING)?;
            self.fold.forget_heads();
        }
        self.transaction = Some(transaction);
        let before = std::mem::replace(&mut self.checkpoint, checkpoint).position;
        if let Some(halt) = halt {
            return Err(ApplyError::Halted { position: halt.position, violation: halt.violation });
        }
        let mut applied = Applied::default();
        applied.position = self.checkpoint.position;
        applied.entries = applied.position.get() - before.get();
        applied.quarantined = u64::try_from(changes.quarantined.len()).unwrap_or(u64::MAX);
        applied.skipped = changes.skipped;
        Ok(applied)
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "sealing a rebuild";
        let mut transaction = self.take(DOING)?;
        self.make_whole(&mut transaction).await.doing(DOING)?;
        self.transaction = Some(transaction);
        Ok(())
    }

    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError> {
        const DOING: &str = "comparing a rebuild with the live tables";
        let mut transaction = self.take(DOING)?;
        let differences = self.compare(&mut transaction, live).await.doing(DOING)?;
        self.transaction = Some(transaction);
        Ok(differences)
    }

    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        const DOING: &str = "swapping in a rebuild";
        /// Whoever waits for the tables makes all who come later wait, so each wait is short.
        const ATTEMPTS: u32 = 50;
        const PAUSE: Duration = Duration::from_millis(300);
        if self.is_swapped {
            return Ok(true);
        }
        let mut transaction = self.take(DOING)?;
        self.make_whole(&mut transaction).await.doing(DOING)?;
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
