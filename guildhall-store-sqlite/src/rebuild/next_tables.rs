//! The tables of the next generation, beside the live ones in the file.

use guildhall_core::store::{Deployments, Held};
use guildhall_core::{Difference, Position, StoreError, Table};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use uuid::Uuid;

use crate::changes::{NEXT, Statements, TABLES};
use crate::connection::{DatabaseFile, Role};
use crate::error::Doing;
use crate::lease::load_row;
use crate::ops_rows::Columns;
use crate::place::Place;
use crate::schema::{SECOND, definition, is_unique};

/// What the name of a table ends with once another has taken its place, until it is dropped.
const RETIRED: &str = "_retired";

/// How many of the rows held back are written in one transaction, so that appenders get their turn:
/// about 50 ms.
const HELD_ROWS: usize = 16_384;

/// A rebuild failed because of what it met, not because of SQLite.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("another rebuild was begun, or this one was discarded")]
    ThrownAway,
    #[error("this generation is the live one")]
    Swapped,
    #[error("{table} refers to rows of {parent} that do not exist")]
    ForeignKey { table: &'static str, parent: &'static str },
}

/// The foreign keys: a table, its column, and the table whose `id` that names.
const FOREIGN_KEYS: [(&str, &str, &str); 6] = [
    ("governed_artifacts", "accord_binding_id", "accord_bindings"),
    ("artifact_revisions", "artifact_id", "governed_artifacts"),
    ("custody_transitions", "artifact_id", "governed_artifacts"),
    ("deployment_states", "artifact_id", "governed_artifacts"),
    ("deployment_changes", "artifact_id", "governed_artifacts"),
    ("verification_results", "artifact_id", "governed_artifacts"),
];

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

/// The tables of the next generation.
pub(super) struct NextTables {
    file: DatabaseFile,
    pub(super) connection: Connection,
    place: Place,
    token: Uuid,
    pub(super) statements: Statements,
    stage: Stage,
}

impl NextTables {
    /// Throws away what an unfinished rebuild left, and makes them, empty and without keys.
    pub(super) fn make(file: DatabaseFile) -> Result<Self, StoreError> {
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
        let statements = Statements::next_generation();
        Ok(Self { file, connection, place, token, statements, stage: Stage::Bare })
    }

    /// Checks that they were not swapped in.
    pub(super) fn check_not_live(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.stage < Stage::Swapped {
            Ok(())
        } else {
            Err(StoreError::permanent(doing, RebuildError::Swapped))
        }
    }

    /// Does a part of the work in a transaction of its own, unless another rebuild was begun.
    pub(super) fn write<T>(
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

    /// Writes the rows that were held back, and makes the keys by which they are found from here on.
    pub(super) fn write_held(&mut self, held: Held<'_>) -> Result<(), StoreError> {
        const DOING: &str = "writing the rows held back";
        for rows in held.rows().artifacts.chunks(HELD_ROWS) {
            self.write(DOING, |transaction, statements| {
                statements.write_artifacts(transaction, rows).doing(DOING)
            })?;
        }
        for rows in held.rows().deployments.chunks(HELD_ROWS) {
            self.write(DOING, |transaction, statements| {
                statements.write_deployments(transaction, rows, Deployments::New).doing(DOING)
            })?;
        }
        self.write(DOING, |transaction, statements| {
            let counts = &held.rows().counts;
            statements.write_counts(transaction, counts, Deployments::New).doing(DOING)
        })?;
        self.make_indexes(Stage::Keyed)?;
        held.written();
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

    /// Checks the foreign keys and makes the other indexes. All rows are written, and have their keys.
    pub(super) fn seal(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "checking foreign keys";
        if self.stage >= Stage::Sealed {
            return Ok(());
        }
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

    /// How they differ from the live ones, which stand at `live`.
    pub(super) fn differences(
        &mut self,
        live: Position,
        projector: &str,
        rebuilt: Position,
    ) -> rusqlite::Result<Vec<Difference>> {
        // One state of the tables for all of it.
        let connection = self.connection.transaction()?;
        let mut greatest = Position::ZERO;
        for table in Table::ALL {
            let found: Option<Position> =
                connection
                    .query_row(&table.greatest(table.name), [], |row| Columns::of(row).value())?;
            greatest = greatest.max(found.unwrap_or(Position::ZERO));
        }
        let upto = Table::compared_up_to(live, greatest, rebuilt);
        let history_from = load_row(&connection, projector)?.history_from;
        let mut differences = Vec::new();
        for table in Table::compared(history_from) {
            let next = format!("{}{NEXT}", table.name);
            for (kind, sql) in table.comparisons(table.name, &next) {
                let found = connection.query_row(&sql, [upto.as_i64()], |row| {
                    let mut columns = Columns::of(row);
                    Ok((columns.count()?, columns.value()?))
                })?;
                if let (rows, Some(first)) = found {
                    differences.push(Difference { table: table.name, kind, rows, first });
                }
            }
        }
        Ok(differences)
    }

    /// Whether they are the live ones.
    pub(super) fn are_live(&self) -> bool {
        self.stage == Stage::Swapped
    }

    /// Puts them in the live ones' place, if `decide` finds that they may be, in the transaction of
    /// whatever it writes.
    pub(super) fn swap(
        &mut self,
        decide: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<bool>,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "swapping in a rebuild";
        let is_swapped = self.write(DOING, |transaction, _| {
            let may_swap = decide(transaction).doing(DOING)?;
            if may_swap {
                rename(transaction).doing(DOING)?;
            }
            Ok(may_swap)
        })?;
        if is_swapped {
            self.stage = Stage::Swapped;
            if let Err(error) = drop_leftovers(&self.file, &mut self.connection, DOING) {
                // It is swapped; what is left costs space only.
                tracing::warn!(%error, "the previous generation stays until the next rebuild");
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

impl Drop for NextTables {
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
/// token first, so that a rebuild that still fills them stops.
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
