//! What an audit found.

use std::collections::BTreeMap;
use std::fmt;

use guildhall_core::custody::chain::BrokenChain;
use guildhall_core::{
    ArtifactId, Checkpoint, ContinuityError, Origin, Position, TableRow, ops::Cell,
};
use serde::{Serialize, Serializer};

/// What the audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditReport {
    /// Whether the tables are what the log says.
    pub holds: bool,
    /// The Chronicle; none while it has no entry.
    pub origin: Option<Origin>,
    /// How far the tables were.
    pub checkpoint: Checkpoint,
    /// How many entries were folded: all up to the checkpoint.
    pub entries: u64,
    /// How many of them have a type that this version does not know.
    pub skipped: u64,
    /// From which position on the tables that say what was, `artifact_revisions` and
    /// `deployment_changes`, were compared; none where that is the log's beginning. Of the first, how rows
    /// are numbered was not compared then, and of the counts, `row_counts`, nothing.
    pub history_from: Option<Position>,
    /// How many of their rows are of entries up to there, and were not compared.
    pub uncompared: u64,
    /// Each table.
    pub tables: Vec<TableReport>,
    /// How many custody chains the tables have, and were judged anew.
    pub chains: u64,
    /// How many links they have.
    pub links: u64,
    /// How many things are wrong, of which `findings` names the first of each kind.
    pub wrong: u64,
    /// What is wrong.
    pub findings: Vec<AuditFinding>,
    /// How many rows of the quarantine say in other words why an entry is there, as another version
    /// may.
    pub reworded: u64,
}

impl Default for AuditReport {
    /// Of an empty log and empty tables.
    fn default() -> Self {
        Self {
            holds: true,
            origin: None,
            checkpoint: Checkpoint::ZERO,
            entries: 0,
            skipped: 0,
            history_from: None,
            uncompared: 0,
            tables: Vec::new(),
            chains: 0,
            links: 0,
            wrong: 0,
            findings: Vec::new(),
            reworded: 0,
        }
    }
}

impl AuditReport {
    /// Puts something else that is wrong before the rest.
    pub fn add(&mut self, finding: AuditFinding) {
        self.holds = false;
        self.wrong += 1;
        self.findings.insert(0, finding);
    }
}

/// How a table compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// How many rows it has, without those that were not compared.
    pub rows: u64,
    /// How many the log makes.
    pub expected: u64,
    /// How many rows are there and other than the log makes them.
    pub changed: u64,
    /// How many rows that the log makes are not there.
    pub missing: u64,
    /// How many rows are there and the log makes none such.
    pub added: u64,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditFinding {
    /// The log itself was changed, so that nothing can be said of the tables beyond the entry before.
    Log {
        /// What was found.
        reason: String,
    },
    /// The log does not go on from the tables' checkpoint.
    Checkpoint {
        /// The checkpoint.
        position: Position,
        /// What does not fit.
        #[serde(serialize_with = "as_text")]
        reason: ContinuityError,
    },
    /// A row is other than the log makes it.
    Changed {
        /// The table.
        table: &'static str,
        /// What names the row.
        key: RowKey,
        /// The columns that differ.
        columns: Vec<ColumnDifference>,
        /// The entry that should have written it last.
        position: Option<Position>,
    },
    /// A row that the log makes is not there.
    Missing {
        /// The table.
        table: &'static str,
        /// What names the row.
        key: RowKey,
        /// The entry that should have written it last.
        position: Option<Position>,
    },
    /// A row is there that the log does not make, or is there twice.
    Added {
        /// The table.
        table: &'static str,
        /// What names the row.
        key: RowKey,
        /// The entry that wrote it, as the row says.
        position: Option<Position>,
    },
    /// A custody chain in the tables does not hold.
    Chain {
        /// The artifact.
        artifact_id: ArtifactId,
        /// What does not.
        #[serde(serialize_with = "as_text")]
        reason: BrokenChain,
    },
}

/// A column that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ColumnDifference {
    /// The column.
    pub column: &'static str,
    /// What it should hold: JSON, cut to 256 characters.
    pub expected: String,
    /// What it holds, likewise.
    pub found: String,
}

/// What names a row: each column of its key, and the JSON of what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RowKey(pub BTreeMap<&'static str, String>);

impl RowKey {
    pub(super) fn of(row: &TableRow) -> Self {
        let plain = |cell: &Cell| match cell {
            Cell::Text(text) => text.to_string(),
            cell => cell.to_string().trim_matches('"').to_owned(),
        };
        Self(row.key().map(|(name, cell)| (name, plain(cell))).collect())
    }
}

impl ColumnDifference {
    pub(super) fn of(column: &'static str, expected: &Cell, found: &Cell) -> Self {
        let shown = |cell: &Cell| cell.to_string().chars().take(256).collect();
        Self { column, expected: shown(expected), found: shown(found) }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (column, value)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(formatter, "{comma}{column} {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |position: &Option<Position>| {
            position.map_or_else(|| "?".to_owned(), |position| position.to_string())
        };
        match self {
            Self::Log { reason } => write!(formatter, "the log: {reason}"),
            Self::Checkpoint { position, reason } => {
                write!(formatter, "the checkpoint {position}: {reason}")
            }
            Self::Changed { table, key, columns, position } => {
                write!(formatter, "{table}, {key}, of position {}: ", at(position))?;
                for (nth, ColumnDifference { column, expected, found }) in
                    columns.iter().enumerate()
                {
                    let comma = if nth == 0 { "" } else { "; " };
                    write!(formatter, "{comma}{column} is {found}, expected {expected}")?;
                }
                Ok(())
            }
            Self::Missing { table, key, position } => {
                write!(formatter, "{table}, {key}: the row of position {} is missing", at(position))
            }
            Self::Added { table, key, position } => write!(
                formatter,
                "{table}, {key}: no entry makes this row, which says position {}",
                at(position)
            ),
            Self::Chain { artifact_id, reason } => {
                write!(formatter, "the custody chain of artifact {artifact_id}: {reason}")
            }
        }
    }
}

fn as_text<S: Serializer>(reason: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(reason)
}
