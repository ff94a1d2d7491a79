//! Stored rows as entries. Someone else may have written them, so nothing about them is certain.

use std::sync::Arc;

use guildhall_core::{
    DecodedEntry, Entry, EventId, EventType, Head, LeafHash, LogFault, Metadata, Origin, Position,
    ReadLimit, StoreError, StreamId, Timestamp, Version, event,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

use crate::error::fault;

/// A stored row that does not hold what its column is for: the file was damaged, or something
/// other than Guildhall wrote it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BadRow {
    /// A column of an entry holds something else.
    #[error("the entry at position {position} holds no {column}")]
    Column {
        /// The entry's position, as stored.
        position: i64,
        /// The column.
        column: &'static str,
    },
    /// An entry is missing.
    #[error("no entry stands at position {expected}; the next is at {found}")]
    Gap {
        /// The position without an entry.
        expected: Position,
        /// The position of the entry after it.
        found: Position,
    },
    /// The stored origin is none.
    #[error("the stored origin {found:?} cannot name a Chronicle")]
    Origin {
        /// What is stored.
        found: String,
    },
}

/// Why a statement on the Chronicle failed. It can be told to several callers.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Sqlite(Arc<rusqlite::Error>),
    BadRow(BadRow),
    Log(LogFault),
}

impl Failure {
    /// The error, for one of those whom it concerns.
    pub(crate) fn to_error(&self, doing: &'static str) -> StoreError {
        match self {
            Self::Sqlite(error) => {
                StoreError { doing, fault: fault(error), source: Arc::clone(error).into() }
            }
            Self::BadRow(bad) => StoreError::permanent(doing, bad.clone()),
            Self::Log(fault) => StoreError::log(doing, fault.clone()),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

impl From<BadRow> for Failure {
    fn from(bad: BadRow) -> Self {
        Self::BadRow(bad)
    }
}

impl From<LogFault> for Failure {
    fn from(fault: LogFault) -> Self {
        Self::Log(fault)
    }
}

/// A row of `chronicle_entries`, read column by column without a copy.
pub(crate) struct Stored<'r> {
    row: &'r Row<'r>,
    position: Position,
}

impl<'r> Stored<'r> {
    /// The row, whose position stands in this column.
    pub(crate) fn at(row: &'r Row<'r>, column: usize) -> Result<Self, BadRow> {
        let stored = row.get_ref(column).ok().and_then(|value| value.as_i64().ok()).unwrap_or(-1);
        let position = Position::from_i64(stored)
            .ok_or(BadRow::Column { position: stored, column: "position" })?;
        Ok(Self { row, position })
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    fn value(&self, column: usize) -> ValueRef<'r> {
        self.row.get_ref(column).unwrap_or(ValueRef::Null)
    }

    fn bad(&self, column: &'static str) -> BadRow {
        BadRow::Column { position: self.position.as_i64(), column }
    }

    pub(crate) fn text(&self, column: usize, name: &'static str) -> Result<&'r str, BadRow> {
        self.value(column).as_str().map_err(|_| self.bad(name))
    }

    fn bytes<const N: usize>(&self, column: usize, name: &'static str) -> Result<[u8; N], BadRow> {
        let bytes = self.value(column).as_blob().ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| self.bad(name))
    }

    pub(crate) fn uuid(&self, column: usize, name: &'static str) -> Result<uuid::Uuid, BadRow> {
        self.bytes(column, name).map(uuid::Uuid::from_bytes)
    }

    pub(crate) fn version(&self, column: usize) -> Result<Version, BadRow> {
        let version = self.value(column).as_i64().ok().and_then(Version::from_i64);
        version.ok_or_else(|| self.bad("version"))
    }

    pub(crate) fn metadata(&self, column: usize) -> Result<Metadata, BadRow> {
        match self.text(column, "metadata")? {
            "{}" => Ok(Metadata::default()),
            text => serde_json::from_str(text).map_err(|_| self.bad("metadata")),
        }
    }

    fn payload_bytes(&self) -> usize {
        match self.value(5) {
            ValueRef::Text(text) => text.len(),
            _ => 0,
        }
    }

    pub(crate) fn recorded_at(&self) -> Result<Timestamp, BadRow> {
        let recorded_at = self.text(7, "recorded_at")?.parse();
        recorded_at.map_err(|_| self.bad("recorded_at"))
    }

    /// The entry, decoded, from the columns in the order of the table. Its payload is not copied.
    pub(crate) fn decoded(&self) -> Result<DecodedEntry, BadRow> {
        let stream_id = StreamId::from_uuid(self.uuid(2, "stream_id")?);
        let event_type = EventType::new(self.text(4, "event_type")?);
        Ok(DecodedEntry {
            position: self.position,
            event_id: EventId::from_uuid(self.uuid(1, "event_id")?),
            stream_id,
            recorded_at: self.recorded_at()?,
            leaf_hash: LeafHash::from_bytes(self.bytes(8, "leaf_hash")?),
            decoded: event::decode(&event_type, stream_id, self.text(5, "payload")?),
            event_type,
        })
    }

    /// The whole entry, from the columns in the order of the table.
    pub(crate) fn entry(&self) -> Result<Entry, BadRow> {
        Ok(Entry {
            position: self.position,
            event_id: EventId::from_uuid(self.uuid(1, "event_id")?),
            stream_id: StreamId::from_uuid(self.uuid(2, "stream_id")?),
            version: self.version(3)?,
            event_type: EventType::new(self.text(4, "event_type")?),
            payload: self.text(5, "payload")?.into(),
            metadata: self.metadata(6)?,
            recorded_at: self.recorded_at()?,
            leaf_hash: LeafHash::from_bytes(self.bytes(8, "leaf_hash")?),
        })
    }
}

/// The entries that a statement answers, up to the limit, as `read` makes them of their rows.
pub(crate) fn load_entries<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    limit: ReadLimit,
    mut read: impl FnMut(&Stored<'_>) -> Result<T, BadRow>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let stored = Stored::at(row, 0)?;
        let next_bytes = stored.payload_bytes();
        if limit.is_reached(entries.len(), bytes, next_bytes) {
            break;
        }
        bytes += next_bytes;
        entries.push(read(&stored)?);
    }
    // A projector keeps several of these.
    entries.shrink_to_fit();
    Ok(entries)
}

/// Where the log ends.
pub(crate) fn load_head(connection: &Connection) -> Result<Head, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT position, leaf_hash FROM chronicle_entries ORDER BY position DESC LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(Head { position: Position::ZERO, leaf_hash: None });
    };
    let stored = Stored::at(row, 0)?;
    let leaf_hash = LeafHash::from_bytes(stored.bytes(1, "leaf_hash")?);
    Ok(Head { position: stored.position(), leaf_hash: Some(leaf_hash) })
}

/// The origin; none where none is fixed.
pub(crate) fn load_origin(connection: &Connection) -> Result<Option<Origin>, Failure> {
    let mut statement = connection.prepare_cached("SELECT origin FROM chronicle_origin")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let found: String = row.get(0)?;
    match found.parse() {
        Ok(origin) => Ok(Some(origin)),
        Err(_) => Err(BadRow::Origin { found }.into()),
    }
}
