//! The tables of the Ops DB whole, in one read transaction.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_core::ops::SCANNED_ROWS;
use guildhall_core::{
    Checkpoint, OPS_DB, Position, Scan, SnapshotEnded, StoreError, Table, TableRow,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::connection::DatabaseFile;
use crate::crew::Crew;
use crate::error::Doing;
use crate::lease::find_row;
use crate::ops_rows::Columns;
use crate::reader::Reader;
use crate::workers::{Workers, run_blocking};

const DOING: &str = "reading the tables of the Ops DB";

/// A connection of its own, in a transaction that lasts as long as this.
#[derive(Debug)]
pub(crate) struct SqliteScan {
    checkpoint: Option<Checkpoint>,
    history_from: Position,
    readers: Workers<Scanning>,
}

impl SqliteScan {
    pub(crate) async fn begin(file: DatabaseFile, crew: Arc<Crew>) -> Result<Self, StoreError> {
        crew.check_open(DOING)?;
        let opened = run_blocking(DOING, move || {
            let mut reader = Reader::connect(&file).doing(DOING)?;
            let row = reader.read(DOING, |connection| {
                connection.execute_batch("BEGIN").doing(DOING)?;
                find_row(connection, OPS_DB).doing(DOING)
            })?;
            let scanning = Scanning { reader, table: 0, after: None };
            let readers = Workers::spawn(&crew, "guildhall-scan", vec![scanning])?;
            let history_from = row.as_ref().map_or(Position::ZERO, |row| row.history_from);
            let checkpoint = row.map(|row| row.checkpoint);
            Ok::<_, StoreError>(Self { checkpoint, history_from, readers })
        });
        opened.await?
    }
}

#[async_trait]
impl Scan for SqliteScan {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn history_from(&self) -> Position {
        self.history_from
    }

    async fn next_rows(&mut self) -> Result<Option<Vec<TableRow>>, StoreError> {
        self.readers.run(DOING, Scanning::next_rows).await
    }
}

/// How far the tables are read.
struct Scanning {
    reader: Reader,
    /// Which of [`Table::ALL`].
    table: usize,
    /// The key of the last row of it, as SQLite has it; none before the first.
    after: Option<Vec<Value>>,
}

impl Scanning {
    fn next_rows(&mut self) -> Result<Option<Vec<TableRow>>, StoreError> {
        let Self { reader, table, after } = self;
        reader.read(DOING, |connection| {
            // The reader had to begin anew, or SQLite gave the transaction up.
            if connection.is_autocommit() {
                return Err(StoreError::transient(DOING, SnapshotEnded));
            }
            while let Some(next) = Table::ALL.get(*table) {
                let rows;
                (rows, *after) = load(connection, next, after.as_deref()).doing(DOING)?;
                *table += usize::from(after.is_none());
                if !rows.is_empty() {
                    return Ok(Some(rows));
                }
            }
            Ok(None)
        })
    }
}

/// The rows of a table after a key, and the key of the last where others may follow.
fn load(
    connection: &Connection,
    table: &Table,
    after: Option<&[Value]>,
) -> rusqlite::Result<(Vec<TableRow>, Option<Vec<Value>>)> {
    let mut statement = connection.prepare_cached(&select(table, after.is_some()))?;
    let mut found = statement.query(params_from_iter(after.unwrap_or_default()))?;
    let mut rows = Vec::with_capacity(SCANNED_ROWS);
    while let Some(row) = found.next()? {
        rows.push(TableRow::read(*table, &mut Columns::of_table(row, table.name)));
        if rows.len() == SCANNED_ROWS {
            // As it stands there, so that the next rows come after it whatever it is.
            let key = table.key.iter().map(|name| row.get(*name)).collect::<Result<_, _>>()?;
            return Ok((rows, Some(key)));
        }
    }
    Ok((rows, None))
}

fn select(table: &Table, goes_on: bool) -> String {
    let (columns, name, key) = (table.list(), table.name, table.key.join(", "));
    let after = if goes_on {
        format!("WHERE ({key}) > ({}) ", vec!["?"; table.key.len()].join(", "))
    } else {
        String::new()
    };
    format!("SELECT {columns} FROM {name} {after}ORDER BY {key} LIMIT {SCANNED_ROWS}")
}
