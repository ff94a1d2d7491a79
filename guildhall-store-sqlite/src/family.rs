//! The numbered steps that make the tables, by the family of tables that they belong to.

use guildhall_core::store::{Family, Migration};

/// Makes the table of what was done to the others.
pub(crate) const CREATE_MIGRATIONS: &str = include_str!("sql/create_migrations.sql");

/// A family's steps, in order.
pub(crate) fn migrations(family: Family) -> &'static [Migration] {
    match family {
        Family::Chronicle => CHRONICLE,
        Family::Ops => OPS,
    }
}

/// The number of a family's last step.
pub(crate) fn newest(family: Family) -> u32 {
    migrations(family).last().map_or(0, |migration| migration.number)
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
        number: 9,
        name: "seals",
        sql: include_str!("../migrations/chronicle/0009_seals.sql"),
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
    Migration {
        number: 10,
        name: "history",
        sql: include_str!("../migrations/ops/0010_history.sql"),
    },
    Migration {
        number: 11,
        name: "history_look_ups",
        sql: include_str!("../migrations/ops/0011_history_look_ups.sql"),
    },
    Migration {
        number: 12,
        name: "standing_verdicts",
        sql: include_str!("../migrations/ops/0012_standing_verdicts.sql"),
    },
    Migration {
        number: 13,
        name: "history_by_time",
        sql: include_str!("../migrations/ops/0013_history_by_time.sql"),
    },
    Migration {
        number: 14,
        name: "orders",
        sql: include_str!("../migrations/ops/0014_orders.sql"),
    },
    Migration { number: 15, name: "since", sql: include_str!("../migrations/ops/0015_since.sql") },
    Migration {
        number: 17,
        name: "row_counts",
        sql: include_str!("../migrations/ops/0017_row_counts.sql"),
    },
];
