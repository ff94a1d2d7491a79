//! Rebuilding: the next generation of the tables is filled beside the live one, without keys,
//! indexes, triggers and foreign keys; those are made afterwards, and then names change hands.
//!
//! What belongs to a table is read from the schema as it is, so there is no second copy of it, and
//! an index that an embedder added is made anew too.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use guildhall_core::fold::Fold;
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, Difference, Generation, OnViolation, Position,
    StoreError, Table,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use uuid::Uuid;

use crate::changes::{Deployments, NEXT, Statements, TABLES};
use crate::connection::{DatabaseFile, Role};
use crate::error::Doing;
use crate::heads::load_heads;
use crate::lease::CheckpointRow;
use crate::place::Place;
use crate::projector::{Settings, fold_entries};
use crate::rows::Columns;
use crate::schema::{SECOND, definition, is_unique};
use crate::workers::{Crew, Workers, run_blocking};

/// What the name of a table ends with once another has taken its place, until it is dropped.
const RETIRED: &str = "_retired";

/// How many rows that were held back are written in one transaction, so that appenders get their
/// turn: about 50 ms.
const HELD_ROWS: usize = 16_384;

/// A rebuild failed because of what it met, not because of SQLite.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("another rebuild was begun, or this one was thrown away")]
    ThrownAway,
    #[error("this generation failed before, or is the live one")]
    Spent,
    #[error("{table} refers to rows of {parent} that do not exist")]
    ForeignKey { table: &'static str, parent: &'static str },
}

/// The foreign keys: a table, its column, and the table whose `id` that names.
const FOREIGN_KEYS: [(&str, &str, &str); 4] = [
    ("governed_artifacts", "accord_binding_id", "accord_bindings"),
    ("custody_transitions", "artifact_id", "governed_artifacts"),
    ("deployment_states", "artifact_id", "governed_artifacts"),
    ("verification_results", "artifact_id", "governed_artifacts"),
];

/// A generation of the Ops DB under construction.
pub(crate) struct SqliteGeneration {
    checkpoint: Checkpoint,
    worker: Workers<Building>,
}

impl fmt::Debug for SqliteGeneration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SqliteGeneration")
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

impl SqliteGeneration {
    /// Throws an unfinished generation away and starts an empty one.
    pub(crate) async fn begin(
        file: DatabaseFile,
        crew: Arc<Crew>,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        const DOING: &str = "beginning a rebuild";
        crew.check_open(DOING)?;
        let building = run_blocking(DOING, move || Building::begin(file, settings)).await??;
        let worker = Workers::spawn(&crew, "guildhall-rebuild", vec![building])?;
        Ok(Self { checkpoint: Checkpoint::ZERO, worker })
    }
}

#[async_trait]
impl Generation for SqliteGeneration {
    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        let (applied, checkpoint) =
            self.worker.run("rebuilding", move |building| building.apply(batch)).await?;
        self.checkpoint = checkpoint;
        applied
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        self.worker.run("sealing a rebuild", Building::seal).await
    }

    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError> {
        const DOING: &str = "comparing a rebuild with the live tables";
        self.worker.run(DOING, move |building| building.differences(live).doing(DOING)).await
    }

    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        self.worker.run("swapping in a rebuild", move |building| building.swap(rewind_from)).await
    }
}

/// How far the tables are from being whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No key: what may still change is held in memory.
    Bare,
    /// Their keys are there: memory ran out, so rows are looked up.
    Keyed,
    /// All indexes are there and the foreign keys hold.
    Sealed,
    /// They are the live ones.
    Swapped,
}

/// The thread's own. Dropped before it is swapped in, it throws its tables away.
struct Building {
    file: DatabaseFile,
    settings: Settings,
    connection: Connection,
    place: Place,
    token: Uuid,
    statements: Statements,
    fold: Fold,
    checkpoint: Checkpoint,
    stage: Stage,
    /// Whether a batch failed halfway: the fold may be ahead of the tables.
    is_broken: bool,
}

impl Building {
    fn begin(file: DatabaseFile, settings: Settings) -> Result<Self, StoreError> {
        const DOING: &str = "beginning a rebuild";
        let mut connection = file.connect(Role::Project)?;
        let place = file.place()?;
        // The foreign keys are checked once, when all is there. The legacy renaming leaves alone
        // what refers to a renamed table: views of an embedder's go on with the next generation.
        connection.pragma_update(None, "foreign_keys", false).doing(DOING)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true)
            .doing(DOING)?;
        // What an index is sorted with may be as long as the table: on disk, not in memory.
        connection.pragma_update(None, "temp_store", "file").doing(DOING)?;
        let token = *guildhall_core::HolderId::new().as_uuid();
        drop_leftovers(&file, &mut connection, DOING)?;
        {
            let _turn = file.gate().enter();
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .doing(DOING)?;
            begin(&transaction, token).doing(DOING)?;
            transaction.commit().doing(DOING)?;
        }
        Ok(Self {
            place,
            file,
            connection,
            token,
            statements: Statements::next_generation(),
            fold: Fold::over_empty_tables(settings.policy.clone(), settings.on_violation),
            settings,
            checkpoint: Checkpoint::ZERO,
            stage: Stage::Bare,
            is_broken: false,
        })
    }

    /// Does a part of the work in a transaction of its own, unless another rebuild was begun.
    fn write<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>, &Statements) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _turn = self.file.gate().enter();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(doing)?;
        if !has_token(&transaction, self.token).doing(doing)? {
            return Err(StoreError::permanent(doing, RebuildError::ThrownAway));
        }
        let done = work(&transaction, &self.statements)?;
        transaction.commit().doing(doing)?;
        self.place.check().doing(doing)?;
        Ok(done)
    }

    fn apply(
        &mut self,
        batch: Batch,
    ) -> Result<(Result<Applied, ApplyError>, Checkpoint), ApplyError> {
        const DOING: &str = "rebuilding";
        if self.is_broken || self.stage == Stage::Swapped {
            return Err(StoreError::permanent(DOING, RebuildError::Spent).into());
        }
        let fresh = batch.after(&self.checkpoint)?;
        self.is_broken = true;
        let keys = self.fold.missing(fresh);
        if !keys.is_empty() {
            load_heads(&self.connection, &self.statements, &keys, self.fold.heads_mut())
                .doing("loading heads")?;
        }
        let count = u64::try_from(fresh.len()).unwrap_or(u64::MAX);
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
        let mut applied = Applied::default();
        let (changes, deployments) = if self.stage == Stage::Bare {
            (self.fold.take_final_rows(), Deployments::New)
        } else {
            (self.fold.take_changes(), Deployments::Upserted)
        };
        self.write(DOING, |transaction, statements| {
            statements.write(transaction, &changes, deployments).doing(DOING)
        })?;
        applied.position = checkpoint.position;
        applied.entries = count;
        applied.quarantined = u64::try_from(changes.quarantined.len()).unwrap_or(u64::MAX);
        applied.skipped = changes.skipped;
        self.checkpoint = checkpoint.clone();
        if self.fold.weight_bytes() > self.settings.rebuild_memory_bytes {
            self.write_held()?;
            self.make_indexes(Stage::Keyed)?;
            self.fold.forget_heads();
        }
        self.is_broken = false;
        let outcome = match halt {
            Some(halt) => {
                Err(ApplyError::Halted { position: halt.position, violation: halt.violation })
            }
            None => Ok(applied),
        };
        Ok((outcome, checkpoint))
    }

    /// Writes the rows that were held back while they could change. Whoever writes to tables
    /// without keys does so once.
    fn write_held(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "writing the rows held back";
        if self.stage > Stage::Bare {
            return Ok(());
        }
        let held = self.fold.take_changes();
        for rows in held.artifacts.chunks(HELD_ROWS) {
            self.write(DOING, |transaction, statements| {
                statements.write_artifacts(transaction, rows).doing(DOING)
            })?;
        }
        for rows in held.deployments.chunks(HELD_ROWS) {
            self.write(DOING, |transaction, statements| {
                statements.write_deployments(transaction, rows, Deployments::New).doing(DOING)
            })?;
        }
        Ok(())
    }

    /// Makes the indexes that are not there yet: the keys, or all of them. Each in a transaction
    /// of its own, as it may take a while.
    fn make_indexes(&mut self, stage: Stage) -> Result<(), StoreError> {
        const DOING: &str = "making indexes";
        let indexes = missing_indexes(&self.connection).doing(DOING)?;
        for (is_unique, sql) in indexes {
            if is_unique || stage > Stage::Keyed {
                self.write(DOING, |transaction, _| transaction.execute_batch(&sql).doing(DOING))?;
            }
        }
        self.stage = self.stage.max(stage);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "checking foreign keys";
        if self.is_broken {
            return Err(StoreError::permanent(DOING, RebuildError::Spent));
        }
        if self.stage >= Stage::Sealed {
            return Ok(());
        }
        self.write_held()?;
        self.make_indexes(Stage::Keyed)?;
        for (table, column, parent) in FOREIGN_KEYS {
            let sql = format!(
                "SELECT 1 FROM {table}{NEXT} AS child WHERE NOT EXISTS \
                 (SELECT 1 FROM {parent}{NEXT} AS parent WHERE parent.id = child.{column})"
            );
            let is_broken = self
                .connection
                .prepare(&sql)
                .and_then(|mut check| check.exists([]))
                .doing(DOING)?;
            if is_broken {
                return Err(StoreError::permanent(
                    DOING,
                    RebuildError::ForeignKey { table, parent },
                ));
            }
        }
        self.make_indexes(Stage::Sealed)
    }

    fn differences(&mut self, live: Position) -> rusqlite::Result<Vec<Difference>> {
        // One state of the tables for all of it.
        let connection = self.connection.transaction()?;
        let mut greatest = Position::ZERO;
        for table in Table::ALL {
            let found = connection.query_row(&table.greatest(table.name), [], |row| {
                Columns::of(row).nullable(Columns::position)
            })?;
            greatest = greatest.max(found.unwrap_or(Position::ZERO));
        }
        let upto = Table::compared_up_to(live, greatest, self.checkpoint.position);
        let mut differences = Vec::new();
        for table in Table::ALL {
            let next = format!("{}{NEXT}", table.name);
            for (kind, sql) in table.comparisons(table.name, &next) {
                let found = connection.query_row(&sql, [upto.as_i64()], |row| {
                    let mut columns = Columns::of(row);
                    Ok((columns.number()?, columns.nullable(Columns::position)?))
                })?;
                if let (rows, Some(first)) = found {
                    let rows = u64::try_from(rows).unwrap_or(0);
                    differences.push(Difference { table: table.name, kind, rows, first });
                }
            }
        }
        Ok(differences)
    }

    fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        const DOING: &str = "swapping in a rebuild";
        self.seal()?;
        if self.stage == Stage::Swapped {
            return Ok(true);
        }
        let (name, checkpoint) = (self.settings.name.clone(), self.checkpoint.clone());
        let is_swapped = self.write(DOING, |transaction, _| {
            let mut row = CheckpointRow::load(transaction, &name).doing(DOING)?;
            let live = row.checkpoint.position;
            if live > checkpoint.position && rewind_from != Some(live) {
                return Ok(false);
            }
            rename(transaction).doing(DOING)?;
            row.checkpoint = checkpoint;
            row.generation += 1;
            row.save(transaction, &name).doing(DOING)?;
            Ok(true)
        })?;
        if is_swapped {
            self.stage = Stage::Swapped;
            if let Err(error) = drop_leftovers(&self.file, &mut self.connection, DOING) {
                // It is swapped; what is left costs space only.
                tracing::warn!(%error, "the generation before stays until the next rebuild");
            }
        }
        Ok(is_swapped)
    }

    /// Throws away what is not live, unless another rebuild was begun.
    fn discard(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "throwing away a rebuild";
        let is_mine = has_token(&self.connection, self.token).doing(DOING)?;
        if is_mine { drop_leftovers(&self.file, &mut self.connection, DOING) } else { Ok(()) }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Err(error) = self.discard() {
            tracing::warn!(%error, "an unfinished rebuild stays until the next one is begun");
        }
    }
}

fn begin(transaction: &Transaction<'_>, token: Uuid) -> rusqlite::Result<()> {
    transaction
        .execute("INSERT INTO unfinished_rebuild (id, token) VALUES (1, ?1)", [token.as_bytes()])?;
    for table in TABLES {
        let sql: String = transaction.query_row(
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1",
            [table],
            |row| row.get(0),
        )?;
        transaction.execute_batch(&format!("CREATE TABLE {table}{NEXT} {}", definition(&sql)))?;
    }
    Ok(())
}

fn has_token(connection: &Connection, token: Uuid) -> rusqlite::Result<bool> {
    let mut find = connection.prepare_cached("SELECT token FROM unfinished_rebuild")?;
    let found = find.query_row([], |row| row.get::<_, [u8; 16]>(0)).optional()?;
    Ok(found == Some(token.into_bytes()))
}

/// The statements that make the indexes of the live tables on those of the next generation, but
/// for those that are there; and whether each is unique.
fn missing_indexes(connection: &Connection) -> rusqlite::Result<Vec<(bool, String)>> {
    let mut load = connection.prepare(
        "SELECT name, sql FROM sqlite_schema \
         WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?1 ORDER BY rowid",
    )?;
    let mut load = |table: &str| {
        let indexes = load.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        indexes.collect::<rusqlite::Result<Vec<(String, String)>>>()
    };
    let mut missing = Vec::new();
    for table in TABLES {
        let next = format!("{table}{NEXT}");
        let made = load(&next)?;
        for (name, sql) in load(table)? {
            let name = other_name(&name);
            if made.iter().all(|(made, _)| *made != name) {
                let is_unique = is_unique(&sql);
                let unique = if is_unique { "UNIQUE" } else { "" };
                let name = name.replace('"', "\"\"");
                let sql =
                    format!("CREATE {unique} INDEX \"{name}\" ON {next} {}", definition(&sql));
                missing.push((is_unique, sql));
            }
        }
    }
    Ok(missing)
}

/// The name of an index in the next generation.
fn other_name(name: &str) -> String {
    name.strip_suffix(SECOND).map_or_else(|| format!("{name}{SECOND}"), str::to_owned)
}

/// Puts the next generation in the live one's place, and the triggers on it.
fn rename(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in TABLES {
        let mut load = transaction.prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 ORDER BY rowid",
        )?;
        let triggers = load.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let triggers = triggers.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
        for (name, _) in &triggers {
            transaction
                .execute_batch(&format!("DROP TRIGGER \"{}\"", name.replace('"', "\"\"")))?;
        }
        transaction.execute_batch(&format!(
            "ALTER TABLE {table} RENAME TO {table}{RETIRED}; ALTER TABLE {table}{NEXT} RENAME TO {table}"
        ))?;
        for (_, sql) in &triggers {
            transaction.execute_batch(sql)?;
        }
    }
    Ok(())
}

/// Drops what an unfinished rebuild and a finished one left, a table in a transaction, and the
/// token first, so that whoever still fills them stops.
fn drop_leftovers(
    file: &DatabaseFile,
    connection: &mut Connection,
    doing: &'static str,
) -> Result<(), StoreError> {
    let suffixes = [NEXT, RETIRED];
    let tables =
        TABLES.iter().rev().flat_map(|table| suffixes.map(|suffix| format!("{table}{suffix}")));
    let drops = tables.map(|table| format!("DROP TABLE IF EXISTS {table}"));
    for sql in std::iter::once("DELETE FROM unfinished_rebuild".to_owned()).chain(drops) {
        let _turn = file.gate().enter();
        connection.execute_batch(&sql).doing(doing)?;
    }
    Ok(())
}
