//! Whether the tables are as the migrations made them: their columns and checks, keys, indexes and
//! triggers. What the migrations make is found out by running them, in memory.
//!
//! An embedder may add tables, views and indexes, and triggers on the Ops DB's tables, such as an
//! outbox. A trigger on the log's tables could write what nobody appended, or suppress what somebody
//! did.

use std::fmt;

use guildhall_core::store::Family;
use rusqlite::Connection;

use crate::family::{self, CREATE_MIGRATIONS};

/// How a file's schema differs from what the migrations made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaFault {
    /// Somebody dropped it: recreate it as the migrations do.
    Missing {
        /// `table`, `index` or `trigger`.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Somebody replaced it with another.
    Altered {
        /// `table`, `index` or `trigger`.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A trigger that is not Guildhall's is on a table of the log or on the table of migrations: drop
    /// it.
    Foreign {
        /// Its name.
        name: String,
        /// The table.
        table: String,
    },
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { kind, name } => write!(formatter, "{kind} {name} is missing"),
            Self::Altered { kind, name } => write!(formatter, "{kind} {name} is altered"),
            Self::Foreign { name, table } => {
                write!(formatter, "trigger {name} on {table} is not Guildhall's")
            }
        }
    }
}

/// What the name of an index ends with in every other generation of the Ops DB.
pub(crate) const SECOND: &str = "_2";

/// A row of `sqlite_schema`, as far as it does not depend on the generation of the tables.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    kind: String,
    name: String,
    table: String,
    definition: String,
}

/// How the schema differs from that of these migrations, of each family up to a number.
pub(crate) fn compare(
    connection: &Connection,
    made: &[(Family, u32)],
) -> rusqlite::Result<Vec<SchemaFault>> {
    let (expected, found) = (load_parts(&make(made)?)?, load_parts(connection)?);
    let mut faults = Vec::new();
    for part in &expected {
        let namesakes = || found.iter().filter(|f| (&f.kind, &f.name) == (&part.kind, &part.name));
        let (kind, name) = (part.kind.clone(), part.name.clone());
        if namesakes().next().is_none() {
            faults.push(SchemaFault::Missing { kind, name });
        } else if !namesakes().any(|found| found == part) {
            faults.push(SchemaFault::Altered { kind, name });
        }
    }
    let is_guarded = |part: &Part| {
        let tables = expected.iter().filter(|part| part.kind == "table");
        let mut guarded = tables.filter(|table| {
            table.name == "guildhall_migrations" || table.name.starts_with("chronicle_")
        });
        guarded.any(|table| table.name.eq_ignore_ascii_case(&part.table))
    };
    for trigger in found.iter().filter(|part| part.kind == "trigger" && is_guarded(part)) {
        if !expected.iter().any(|part| part.kind == "trigger" && part.name == trigger.name) {
            let (name, table) = (trigger.name.clone(), trigger.table.clone());
            faults.push(SchemaFault::Foreign { name, table });
        }
    }
    Ok(faults)
}

/// What the migrations make.
fn make(made: &[(Family, u32)]) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(CREATE_MIGRATIONS)?;
    for &(family, newest) in made {
        for migration in family::migrations(family).iter().filter(|one| one.number <= newest) {
            connection.execute_batch(migration.sql)?;
        }
    }
    Ok(connection)
}

fn load_parts(connection: &Connection) -> rusqlite::Result<Vec<Part>> {
    let mut load = connection
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let parts = load.query_map([], |row| {
        let (kind, mut name, table, sql): (String, String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let definition = match kind.as_str() {
            // A rebuild makes them again, under other names at first.
            "index" => {
                name.truncate(name.strip_suffix(SECOND).unwrap_or(&name).len());
                let unique = if is_unique(&sql) { "UNIQUE " } else { "" };
                format!("{unique}{}", definition(&sql))
            }
            "table" => definition(&sql).to_owned(),
            _ => sql,
        };
        Ok(Part { kind, name, table, definition })
    })?;
    parts.collect()
}

/// What a statement that makes a table or an index says after the name of the table, such as
/// `(id BLOB NOT NULL, …) STRICT`.
pub(crate) fn definition(sql: &str) -> &str {
    // SQLite keeps the statement as it was written, but for the name.
    sql.find('(').map_or("", |start| &sql[start..])
}

/// Whether a statement makes a unique index.
pub(crate) fn is_unique(sql: &str) -> bool {
    sql.starts_with("CREATE UNIQUE")
}
