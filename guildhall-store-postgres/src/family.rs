//! The numbered steps that make the tables, by the family of tables that they belong to.

use std::fmt;

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

/// Which tables of a schema.
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
    Migration {
        number: 3,
        name: "pin_search_path",
        sql: include_str!("../migrations/chronicle/0003_pin_search_path.sql"),
    },
    Migration {
        number: 4,
        name: "replicated_log",
        sql: include_str!("../migrations/chronicle/0004_replicated_log.sql"),
    },
    Migration {
        number: 5,
        name: "comments",
        sql: include_str!("../migrations/chronicle/0005_comments.sql"),
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
        name: "partitions",
        sql: include_str!("../migrations/ops/0004_partitions.sql"),
    },
    Migration {
        number: 5,
        name: "bound_partitions",
        sql: include_str!("../migrations/ops/0005_bound_partitions.sql"),
    },
    Migration {
        number: 6,
        name: "pin_settings",
        sql: include_str!("../migrations/ops/0006_pin_settings.sql"),
    },
    Migration {
        number: 7,
        name: "artifact_drift",
        sql: include_str!("../migrations/ops/0007_artifact_drift.sql"),
    },
    Migration {
        number: 8,
        name: "comments",
        sql: include_str!("../migrations/ops/0008_comments.sql"),
    },
    Migration {
        number: 9,
        name: "look_ups",
        sql: include_str!("../migrations/ops/0009_look_ups.sql"),
    },
];

/// The statements of all migrations, in order.
pub(crate) fn all_migrations() -> impl Iterator<Item = &'static str> {
    CHRONICLE.iter().chain(OPS).map(|step| step.sql)
}
