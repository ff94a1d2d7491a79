//! Digests: one hash of a table's rows, and one of all tables, the same on every backend (DESIGN
//! section 9).

use std::collections::BTreeMap;
use std::io;

use guildhall_core::{Position, Table, TableRow};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::data_hash::DataHash;

/// The digest of one table in the making: its rows are pushed in the order of their keys.
///
/// It is the SHA-256 of a text that has a line for each row: the row's canonical JSON (RFC 8785) and
/// a line feed. So it can be compared with what `sha256sum` prints for an export.
///
/// ```
/// use guildhall_core::{Code, EventId, EventType, Position, QuarantinedEntry, StreamId, TableRow};
/// use guildhall_proof::{DataHash, digest::TableDigest};
///
/// let event_id: EventId = "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b".parse()?;
/// let stream_id: StreamId = "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c".parse()?;
/// let row = TableRow::of(&QuarantinedEntry {
///     position: Position::FIRST,
///     event_id,
///     stream_id,
///     event_type: EventType::new("a.b.v1"),
///     code: Code::CC06,
///     reason: "é".into(),
/// });
/// let mut digest = TableDigest::of(*row.table());
/// digest.push(row)?;
/// let digested = digest.finish();
///
/// let export = r#"{"code":"CC06","event_id":"0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b","#.to_owned()
///     + r#""event_type":"a.b.v1","position":1,"reason":"é","#
///     + r#""stream_id":"0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c"}"# + "\n";
/// assert_eq!(digested.sha256, DataHash::of(export.as_bytes()));
/// assert_eq!(digested.rows, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TableDigest {
    table: Table,
    hashing: Hashing,
    rows: u64,
    last: Option<TableRow>,
}

/// The digest of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Digested {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// Their digest.
    pub sha256: DataHash,
}

/// Why a row is not part of a digest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// It is of another table.
    #[error("a row of {found} is none of {expected}")]
    Table {
        /// Its table.
        found: &'static str,
        /// The one that is digested.
        expected: &'static str,
    },
    /// Its key does not come after that of the row before: the rows were not read in order, or one
    /// is there twice.
    #[error("row {row} of {table} does not come after the one before it in the order of the key")]
    Order {
        /// The table.
        table: &'static str,
        /// The row, from 0.
        row: u64,
    },
    /// A column holds something else than Guildhall writes, which has no form that is the same on
    /// every backend.
    #[error("{table}.{column} of the row that position {} wrote: {reason}",
        .position.map_or_else(|| "?".to_owned(), |position| position.to_string()))]
    Misread {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The entry that wrote the row, as it says.
        position: Option<Position>,
        /// What the store says.
        reason: String,
    },
}

impl TableDigest {
    /// The digest of this table, which has no row so far.
    pub fn of(table: Table) -> Self {
        Self { table, hashing: Hashing(Sha256::new()), rows: 0, last: None }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`DigestError`]; then the row is not in it.
    pub fn push(&mut self, row: TableRow) -> Result<(), DigestError> {
        let table = self.table.name;
        if row.table().name != table {
            return Err(DigestError::Table { found: row.table().name, expected: table });
        }
        if let Some((column, reason)) = row.misread() {
            let (position, reason) = (row.position(), reason.to_owned());
            return Err(DigestError::Misread { table, column, position, reason });
        }
        if self.last.as_ref().is_some_and(|last| last.cmp_key(&row).is_ge()) {
            return Err(DigestError::Order { table, row: self.rows });
        }
        // Writing into a hasher cannot fail, and every column was read.
        let written = serde_json::to_writer(&mut self.hashing, &row);
        debug_assert!(written.is_ok(), "{written:?}");
        self.hashing.0.update(b"\n");
        self.rows += 1;
        self.last = Some(row);
        Ok(())
    }

    /// The digest, and how many rows it covers.
    pub fn finish(self) -> Digested {
        let sha256 = DataHash::from_bytes(self.hashing.0.finalize().into());
        Digested { table: self.table.name, rows: self.rows, sha256 }
    }
}

/// The digests of all tables in the making: rows are pushed as a
/// [`Scan`](guildhall_core::Scan) gives them.
#[derive(Debug, Clone)]
pub struct Digesting(Vec<TableDigest>);

/// The digests of all tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Digests {
    /// Of each table, those first that others refer to.
    pub tables: Vec<Digested>,
    /// Of all of them ([`of_tables`]).
    pub sha256: DataHash,
}

impl Default for Digesting {
    /// Of tables without rows.
    fn default() -> Self {
        Self(Table::ALL.map(TableDigest::of).into())
    }
}

impl Digesting {
    /// Adds a row of whichever table.
    ///
    /// # Errors
    /// [`DigestError`].
    pub fn push(&mut self, row: TableRow) -> Result<(), DigestError> {
        let table = row.table().name;
        match self.0.iter_mut().find(|digest| digest.table.name == table) {
            Some(digest) => digest.push(row),
            None => Err(DigestError::Table { found: table, expected: "a table of the Ops DB" }),
        }
    }

    /// The digests.
    pub fn finish(self) -> Digests {
        let tables: Vec<_> = self.0.into_iter().map(TableDigest::finish).collect();
        let sha256 = of_tables(tables.iter().map(|it| (it.table, it.sha256)));
        Digests { tables, sha256 }
    }
}

/// The digest of several tables: the SHA-256 of a text that has a line for each, in the order of
/// their names: the table's digest in hex, two spaces, its name and a line feed. It is what
/// `sha256sum` prints for the tables' exports.
pub fn of_tables<'t>(tables: impl IntoIterator<Item = (&'t str, DataHash)>) -> DataHash {
    let tables: BTreeMap<_, _> = tables.into_iter().collect();
    let lines: String = tables.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    DataHash::of(lines.as_bytes())
}

/// Writes into a hasher.
#[derive(Debug, Clone)]
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
