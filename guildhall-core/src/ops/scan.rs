//! Every table of the Ops DB, row by row: what digests hash and audits compare.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::fmt;

use async_trait::async_trait;
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::checkpoint::Checkpoint;
use crate::cid::{Cid, LeafHash};
use crate::error::StoreError;
use crate::ids::Position;
use crate::json::Json;
use crate::ops::{Column, Kind, Table};
use crate::store::{ColumnReader, ColumnWriter, Misread, Row};
use crate::time::Timestamp;

/// All tables as they are at one moment ([`OpsDb::scan`](crate::OpsDb::scan)): in the order of
/// [`Table::ALL`], each in the order of its key. Memory is bounded by the rows of one call.
///
/// Other programs may have written a row, so a column's value is returned as it is ([`Cell::Misread`] if
/// it is of no use); the reader judges what it means.
///
/// A database that keeps an old moment cannot fold in or clean up what is newer: read on to the end, or
/// drop it. It may hold a connection of a pool.
#[async_trait]
pub trait Scan: Send {
    /// How far the Ops DB was at that moment; none where it was never projected.
    fn checkpoint(&self) -> Option<&Checkpoint>;

    /// From which position on the tables that say what was ([`Table::is_history`]) had all that the log
    /// makes; [`Position::ZERO`] where they had all of it.
    fn history_from(&self) -> Position;

    /// The next rows, all of one table; none at the end.
    ///
    /// # Errors
    /// The store's own; the scan is of no more use then.
    ///
    /// # Cancel safety
    /// Dropped, rows may be lost: begin another scan.
    async fn next_rows(&mut self) -> Result<Option<Vec<TableRow>>, StoreError>;
}

/// How many rows a store reads at a time.
pub const SCANNED_ROWS: usize = 1_000;

/// What stands in one column of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cell {
    /// Nothing.
    Null,
    /// An id.
    Uuid(Uuid),
    /// A text, a word or a CID.
    Text(Box<str>),
    /// JSON.
    Json(Json),
    /// A time.
    Time(Timestamp),
    /// A hash.
    Hash([u8; 32]),
    /// A number.
    Integer(i64),
    /// Something that Guildhall does not write there, and what the store says of it.
    Misread(Box<str>),
}

/// A row of any table, by its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    table: Table,
    /// As many as the table has columns, in their order.
    cells: Vec<Cell>,
}

impl TableRow {
    /// The same as a row of its type.
    pub fn of<R: Row>(row: &R) -> Self {
        let mut cells = Cells(Vec::with_capacity(R::TABLE.columns.len()));
        let Ok(()) = row.write(&mut cells);
        Self { table: R::TABLE, cells: cells.0 }
    }

    /// Reads the columns of `table`, in order, whatever stands in them.
    pub fn read<R: ColumnReader<Error: fmt::Display>>(table: Table, from: &mut R) -> Self {
        let read = |column: &Column| {
            Cell::read(column.kind, from)
                .unwrap_or_else(|error| Cell::Misread(error.to_string().into()))
        };
        Self { table, cells: table.columns.iter().map(read).collect() }
    }

    /// Its table.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Each column's name and what stands in it, in the order of the table.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &Cell)> {
        self.table.columns.iter().map(|column| column.name).zip(&self.cells)
    }

    /// What stands in a column; none where the table has none of that name.
    pub fn get(&self, column: &str) -> Option<&Cell> {
        self.columns().find(|(name, _)| *name == column).map(|(_, cell)| cell)
    }

    /// What names the row: the columns of its key, and what stands in them.
    pub fn key(&self) -> impl Iterator<Item = (&'static str, &Cell)> {
        self.table.key.iter().filter_map(|name| Some((*name, self.get(name)?)))
    }

    /// Where it stands beside a row of the same table, in the order of the key.
    pub fn cmp_key(&self, other: &Self) -> Ordering {
        let pairs = self.key().zip(other.key());
        let mut orders = pairs.map(|((_, here), (_, there))| here.order(there));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The entry that last wrote it, as the row says; none where it does not say.
    pub fn position(&self) -> Option<Position> {
        match self.get("position")? {
            Cell::Integer(position) => Position::from_i64(*position),
            _ => None,
        }
    }

    /// The first column that holds something else than Guildhall writes, and what the store says.
    pub fn misread(&self) -> Option<(&'static str, &str)> {
        self.columns().find_map(|(name, cell)| match cell {
            Cell::Misread(reason) => Some((name, &**reason)),
            _ => None,
        })
    }

    /// The row as its type.
    ///
    /// # Errors
    /// A column does not hold what belongs there, or the row is of another table.
    pub fn to<R: Row>(&self) -> Result<R, Misread> {
        if R::TABLE.name != self.table.name {
            return Err(format!("a row of {} is none of {}", self.table.name, R::TABLE.name).into());
        }
        R::read(&mut Reading { cells: &self.cells, next: 0 })
    }

    /// Writes every column, in order. What is [misread](Self::misread) is written as a text.
    ///
    /// # Errors
    /// The writer's own.
    pub fn write<'r, W: ColumnWriter<'r>>(&'r self, to: &mut W) -> Result<(), W::Error> {
        self.cells.iter().try_for_each(|cell| cell.write(to))
    }
}

impl Serialize for TableRow {
    /// An object of the columns in the order of their names, so that compact JSON is canonical
    /// (RFC 8785).
    ///
    /// # Errors
    /// A column is misread.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut columns: Vec<_> = self.columns().collect();
        columns.sort_unstable_by_key(|(name, _)| *name);
        let mut object = serializer.serialize_map(Some(columns.len()))?;
        for (name, cell) in columns {
            object.serialize_entry(name, cell)?;
        }
        object.end()
    }
}

impl Cell {
    fn read<R: ColumnReader>(kind: Kind, from: &mut R) -> Result<Self, R::Error> {
        if from.skips_null()? {
            return Ok(Self::Null);
        }
        match kind {
            Kind::Uuid => from.uuid().map(Self::Uuid),
            Kind::Text => from.text(|text| Ok(Self::Text(text.into()))),
            Kind::Json => from.json().map(Self::Json),
            Kind::Time => from.time().map(Self::Time),
            Kind::Hash => from.hash().map(Self::Hash),
            Kind::Integer => from.integer(|number| Some(Self::Integer(number))),
            Kind::Small => from.small(|number| Some(Self::Integer(number.into()))),
        }
    }

    fn write<'r, W: ColumnWriter<'r>>(&'r self, to: &mut W) -> Result<(), W::Error> {
        match self {
            Self::Null => to.null(),
            Self::Uuid(id) => to.uuid(*id),
            Self::Text(text) | Self::Misread(text) => to.text(text),
            Self::Json(json) => to.json(json),
            Self::Time(at) => to.time(*at),
            Self::Hash(hash) => to.hash(hash),
            Self::Integer(number) => to.integer(*number),
        }
    }

    /// As a database orders what a key can hold: ids and texts by their bytes.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Uuid(here), Self::Uuid(there)) => here.cmp(there),
            (Self::Text(here), Self::Text(there)) => here.cmp(there),
            (Self::Time(here), Self::Time(there)) => here.cmp(there),
            (Self::Integer(here), Self::Integer(there)) => here.cmp(there),
            (here, there) => here.to_string().cmp(&there.to_string()),
        }
    }
}

impl fmt::Display for Cell {
    /// The JSON of the value; of what is misread, what the store says.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, serde_json::to_string(self)) {
            (Self::Misread(reason), _) => formatter.write_str(reason),
            (_, Ok(json)) => formatter.write_str(&json),
            (_, Err(error)) => write!(formatter, "{error}"),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Uuid(id) => serializer.collect_str(id),
            Self::Text(text) => text.serialize(serializer),
            Self::Json(json) => json.serialize(serializer),
            Self::Time(at) => at.serialize(serializer),
            Self::Hash(hash) => LeafHash::from_bytes(*hash).serialize(serializer),
            Self::Integer(number) => number.serialize(serializer),
            Self::Misread(reason) => Err(S::Error::custom(reason)),
        }
    }
}

struct Cells(Vec<Cell>);

impl Cells {
    fn push(&mut self, cell: Cell) -> Result<(), Infallible> {
        self.0.push(cell);
        Ok(())
    }
}

impl<'r> ColumnWriter<'r> for Cells {
    type Error = Infallible;

    fn null(&mut self) -> Result<(), Infallible> {
        self.push(Cell::Null)
    }

    fn uuid(&mut self, value: Uuid) -> Result<(), Infallible> {
        self.push(Cell::Uuid(value))
    }

    fn text(&mut self, value: &'r str) -> Result<(), Infallible> {
        self.push(Cell::Text(value.into()))
    }

    fn cid(&mut self, value: Cid) -> Result<(), Infallible> {
        self.push(Cell::Text(value.encode(&mut [0; 59]).into()))
    }

    fn json(&mut self, value: &'r Json) -> Result<(), Infallible> {
        self.push(Cell::Json(value.clone()))
    }

    fn time(&mut self, value: Timestamp) -> Result<(), Infallible> {
        self.push(Cell::Time(value))
    }

    fn hash(&mut self, value: &'r [u8; 32]) -> Result<(), Infallible> {
        self.push(Cell::Hash(*value))
    }

    fn integer(&mut self, value: i64) -> Result<(), Infallible> {
        self.push(Cell::Integer(value))
    }

    fn small(&mut self, value: i16) -> Result<(), Infallible> {
        self.push(Cell::Integer(value.into()))
    }
}

/// The cells of a row as a store's columns.
struct Reading<'r> {
    cells: &'r [Cell],
    next: usize,
}

impl<'r> Reading<'r> {
    fn take<T>(
        &mut self,
        kind: &'static str,
        read: impl FnOnce(&'r Cell) -> Option<T>,
    ) -> Result<T, Misread> {
        let cell = self.cells.get(self.next).unwrap_or(&Cell::Null);
        self.next += 1;
        read(cell).ok_or_else(|| format!("{cell} is not a valid {kind}").into())
    }
}

impl ColumnReader for Reading<'_> {
    type Error = Misread;

    fn skips_null(&mut self) -> Result<bool, Misread> {
        let is_null = matches!(self.cells.get(self.next), Some(Cell::Null));
        self.next += usize::from(is_null);
        Ok(is_null)
    }

    fn uuid(&mut self) -> Result<Uuid, Misread> {
        self.take("id", |cell| if let Cell::Uuid(id) = cell { Some(*id) } else { None })
    }

    fn text<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Misread>) -> Result<T, Misread> {
        read(self.take("text", |cell| if let Cell::Text(it) = cell { Some(&**it) } else { None })?)
    }

    fn json(&mut self) -> Result<Json, Misread> {
        self.take("JSON", |cell| if let Cell::Json(it) = cell { Some(it.clone()) } else { None })
    }

    fn time(&mut self) -> Result<Timestamp, Misread> {
        self.take("time", |cell| if let Cell::Time(at) = cell { Some(*at) } else { None })
    }

    fn hash(&mut self) -> Result<[u8; 32], Misread> {
        self.take("hash", |cell| if let Cell::Hash(hash) = cell { Some(*hash) } else { None })
    }

    fn integer<T>(&mut self, read: impl FnOnce(i64) -> Option<T>) -> Result<T, Misread> {
        self.take("number that belongs there", |cell| match cell {
            Cell::Integer(number) => read(*number),
            _ => None,
        })
    }

    fn small<T>(&mut self, read: impl FnOnce(i16) -> Option<T>) -> Result<T, Misread> {
        self.integer(|number| i16::try_from(number).ok().and_then(read))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ops::QuarantinedEntry;
    use crate::{Code, EventId, EventType, StreamId};

    fn row() -> QuarantinedEntry {
        QuarantinedEntry {
            position: Position::FIRST,
            event_id: EventId::from_uuid(Uuid::from_u128(1)),
            stream_id: StreamId::from_uuid(Uuid::from_u128(2)),
            event_type: EventType::new("t"),
            code: Code::CC06,
            reason: "\u{1f}\"\u{e9}".to_owned(),
        }
    }

    #[test]
    fn a_row_serialises_as_its_type_does_with_its_columns_sorted() {
        let row = row();
        let columns: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_value(serde_json::to_value(&row).unwrap()).unwrap();
        let cells = TableRow::of(&row);
        assert_eq!(
            serde_json::to_string(&cells).unwrap(),
            serde_json::to_string(&columns).unwrap()
        );
        assert_eq!(cells.to::<QuarantinedEntry>().unwrap(), row);
        assert_eq!(cells.position(), Some(Position::FIRST));
        assert!(cells.to::<crate::AccordBinding>().is_err());
    }

    #[test]
    fn what_is_misread_is_no_value_and_says_so() {
        let mut cells = TableRow::of(&row());
        cells.cells[1] = Cell::Misread("3 bytes".into());
        assert_eq!(cells.misread(), Some(("event_id", "3 bytes")));
        assert!(serde_json::to_string(&cells).is_err());
        assert_eq!(
            cells.to::<QuarantinedEntry>().unwrap_err().to_string(),
            "3 bytes is not a valid id"
        );
    }
}
