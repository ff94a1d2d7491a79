//! The numbered steps that make the tables, by the family of tables that they belong to.

use std::fmt;

/// Makes the table of what was done to the others.
pub(crate) const CREATE_MIGRATIONS: &str = include_str!("sql/create_migrations.sql");

/// One step of a family's tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// Ascending; from 9 on that of the same step on the other stores.
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
    Migration {
        number: 5,
        name: "artifact_drift",
        sql: include_str!("../migrations/ops/0005_artifact_drift.sql"),
    },
    Migration {
        number: 9,
        name: "look_ups",
        sql: include_str!("../migrations/ops/0009_look_ups.sql"),
    },
];
