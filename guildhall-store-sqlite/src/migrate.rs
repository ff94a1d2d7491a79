//! The tables: numbered migrations that go forward only and are recorded in `guildhall_migrations`.

use std::fmt;
use std::path::Path;

use guildhall_core::Timestamp;
use rusqlite::Connection;

use crate::error::{OpenError, open_error};
use crate::schema;

/// The `application_id` in the header of a file of Guildhall's: "GHLD".
pub const APPLICATION_ID: u32 = 0x4748_4c44;

/// Makes the table of what was done to the others.
pub(crate) const CREATE_MIGRATIONS: &str = include_str!("sql/create_migrations.sql");

/// One step of a family's tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// 1, 2, 3 …
    pub(crate) number: u32,
    /// What it does, in the words of its file's name.
    pub(crate) name: &'static str,
    /// Its statements.
    pub(crate) sql: &'static str,
}

/// Which tables: a file holds one family or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The Chronicle's.
    Chronicle,
    /// The Ops DB's.
    Ops,
}

impl Family {
    /// The name in `guildhall_migrations`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chronicle => "chronicle",
            Self::Ops => "ops",
        }
    }

    /// Its steps, in order.
    pub(crate) fn migrations(self) -> &'static [Migration] {
        match self {
            Self::Chronicle => CHRONICLE,
            Self::Ops => OPS,
        }
    }

    /// The number of its last step.
    pub(crate) fn newest(self) -> u32 {
        self.migrations().last().map_or(0, |migration| migration.number)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

const CHRONICLE: &[Migration] = &[
    Migration {
        number: 1,
        name: "entries",
        sql: include_str!("../migrations/chronicle/0001_entries.sql"),
    },
    Migration {
        number: 2,
        name: "append_only",
        sql: include_str!("../migrations/chronicle/0002_append_only.sql"),
    },
];

const OPS: &[Migration] = &[
    Migration { number: 1, name: "tables", sql: include_str!("../migrations/ops/0001_tables.sql") },
    Migration {
        number: 2,
        name: "indexes",
        sql: include_str!("../migrations/ops/0002_indexes.sql"),
    },
    Migration {
        number: 3,
        name: "append_only",
        sql: include_str!("../migrations/ops/0003_append_only.sql"),
    },
    Migration {
        number: 4,
        name: "closed_ceremonies",
        sql: include_str!("../migrations/ops/0004_closed_ceremonies.sql"),
    },
];

/// The newest migration that a file of ours has of each family, 0 for none, after checking that
/// this version knows them and that the tables are as they made them.
pub(crate) fn check(
    connection: &Connection,
    path: &Path,
    families: &[Family],
) -> Result<Vec<(Family, u32)>, OpenError> {
    let mut made = Vec::new();
    for &family in families {
        let found: u32 = connection
            .query_row(
                "SELECT coalesce(max(number), 0) FROM guildhall_migrations WHERE family = ?1",
                [family.as_str()],
                |row| row.get(0),
            )
            .map_err(|error| open_error(path, error))?;
        if found > family.newest() {
            let (path, known) = (path.to_owned(), family.newest());
            return Err(OpenError::NewerSchema { path, family, found, known });
        }
        made.push((family, found));
    }
    let faults = schema::compare(connection, &made).map_err(|error| open_error(path, error))?;
    if faults.is_empty() {
        Ok(made)
    } else {
        Err(OpenError::AlteredSchema { path: path.to_owned(), faults })
    }
}

/// What is to be done yet.
pub(crate) fn pending(made: &[(Family, u32)]) -> Vec<(Family, &'static Migration)> {
    let pending = made.iter().flat_map(|&(family, found)| {
        let missing = family.migrations().iter().filter(move |one| one.number > found);
        missing.map(move |migration| (family, migration))
    });
    pending.collect()
}

/// Takes a step and records it.
pub(crate) fn run(
    connection: &Connection,
    family: Family,
    migration: &Migration,
) -> rusqlite::Result<()> {
    connection.execute_batch(migration.sql)?;
    connection.execute(
        "INSERT INTO guildhall_migrations (family, number, name, applied_at) VALUES (?1, ?2, ?3, ?4)",
        (family.as_str(), migration.number, migration.name, Timestamp::now().to_string()),
    )?;
    Ok(())
}
