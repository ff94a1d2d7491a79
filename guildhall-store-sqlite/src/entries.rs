//! Stored rows as entries. Someone else may have written them, so nothing about them is certain.

use std::sync::Arc;

use guildhall_core::store::{BadRow, LeafRecord, Mark, Seen};
use guildhall_core::{
    DecodedEntry, Entry, EventId, Head, LeafHash, LogFault, Metadata, Origin, Position, ReadLimit,
    StoreError, StreamId, Timestamp, Unchecked, Version,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

use crate::error::fault;

/// Why a statement on the Chronicle failed. It can be reported to several callers.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Sqlite(Arc<rusqlite::Error>),
    BadRow(BadRow),
    Log(LogFault),
}

impl Failure {
    /// The error, for one of those callers.
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
    /// The row, whose position is in this column.
    pub(crate) fn at(row: &'r Row<'r>, column: usize) -> Result<Self, BadRow> {
        let stored = row.get_ref(column).ok().and_then(|value| value.as_i64().ok()).unwrap_or(-1);
        Ok(Self { row, position: BadRow::check_position(stored)? })
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
        BadRow::check_metadata(self.position, self.text(column, "metadata")?)
    }

    fn payload_bytes(&self) -> usize {
        match self.value(5) {
            ValueRef::Text(text) => text.len(),
            _ => 0,
        }
    }

    pub(crate) fn leaf_hash(&self, column: usize) -> Result<LeafHash, BadRow> {
        self.bytes(column, "leaf_hash").map(LeafHash::from_bytes)
    }

    pub(crate) fn recorded_at(&self) -> Result<Timestamp, BadRow> {
        let recorded_at = Timestamp::from_canonical(self.text(7, "recorded_at")?);
        recorded_at.map_err(|_| self.bad("recorded_at"))
    }

    /// What its leaf hash commits to, and the leaf hash, from the columns in the order of the table.
    fn leaf(&self) -> Result<(LeafRecord<'r>, LeafHash), BadRow> {
        let record = LeafRecord {
            position: self.position,
            event_id: EventId::from_uuid(self.uuid(1, "event_id")?),
            stream_id: StreamId::from_uuid(self.uuid(2, "stream_id")?),
            version: self.version(3)?,
            event_type: self.text(4, "event_type")?,
            payload: self.text(5, "payload")?,
            recorded_at: self.recorded_at()?,
        };
        Ok((record, self.leaf_hash(8)?))
    }

    /// The same, checked.
    fn checked_leaf(&self, origin: &Origin) -> Result<(LeafRecord<'r>, LeafHash), Failure> {
        let (record, leaf_hash) = self.leaf()?;
        record.check(origin, leaf_hash)?;
        Ok((record, leaf_hash))
    }

    /// The entry, checked and decoded, from the columns in the order of the table. Its payload is
    /// not copied.
    pub(crate) fn decoded(&self, origin: &Origin) -> Result<DecodedEntry, Failure> {
        let (record, leaf_hash) = self.checked_leaf(origin)?;
        Ok(record.to_decoded(leaf_hash))
    }

    /// The whole entry, checked, from the columns in the order of the table.
    pub(crate) fn entry(&self, origin: &Origin) -> Result<Entry, Failure> {
        // First what the leaf hash does not cover.
        let metadata = self.metadata(6)?;
        let (record, leaf_hash) = self.checked_leaf(origin)?;
        Ok(record.to_entry(metadata, leaf_hash))
    }

    /// The row as it is, unchecked.
    fn unchecked(&self) -> Unchecked {
        match self.leaf() {
            Ok((record, leaf_hash)) => {
                Unchecked::Entry(record.to_entry(Metadata::default(), leaf_hash))
            }
            Err(bad) => Unchecked::Unreadable { position: self.position, reason: bad.to_string() },
        }
    }
}

/// The rows after a position, up to the limit, unchecked and without its metadata.
pub(crate) fn load_unchecked(
    connection: &Connection,
    after: Position,
    limit: ReadLimit,
) -> Result<Vec<Unchecked>, Failure> {
    let mut statement = connection.prepare_cached(include_str!("sql/read_entries.sql"))?;
    let most = i64::try_from(limit.entries.max(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query((after.as_i64(), most))?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let stored = Stored::at(row, 0)?;
        let next_bytes = stored.payload_bytes();
        if limit.is_reached(found.len(), bytes, next_bytes) {
            break;
        }
        bytes += next_bytes;
        found.push(stored.unchecked());
    }
    Ok(found)
}

/// The log in a transaction, which has what was seen of it before.
pub(crate) struct View<'c> {
    connection: &'c Connection,
    seen: &'c Seen,
    origin: Option<Origin>,
}

impl<'c> View<'c> {
    /// Checks that the log has what was seen of it. The transaction has read nothing yet.
    pub(crate) fn of(connection: &'c Connection, seen: &'c Seen) -> Result<Self, Failure> {
        let mark = seen.mark();
        let origin = load_origin(connection)?;
        if let Some(origin) = &origin {
            seen.check_origin(origin)?;
        }
        if let Some(mark) = mark {
            check_mark(connection, mark)?;
        }
        Ok(Self { connection, seen, origin })
    }

    /// The connection, for what the view has no words for.
    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Notes an entry that was read.
    pub(crate) fn note(&self, position: Position, leaf_hash: LeafHash) {
        self.seen.note(position, leaf_hash);
    }

    /// The origin; none where none is fixed.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Where the log ends.
    pub(crate) fn head(&self) -> Result<Head, Failure> {
        let head = load_head(self.connection)?;
        match head.leaf_hash {
            Some(_) if self.origin.is_none() => {
                Err(LogFault::NoOrigin { head: head.position }.into())
            }
            Some(leaf_hash) => {
                self.seen.note(head.position, leaf_hash);
                Ok(head)
            }
            None => Ok(head),
        }
    }

    /// The entries that a statement returns, up to the limit, as `read` makes them of their rows.
    pub(crate) fn entries<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        limit: ReadLimit,
        mut read: impl FnMut(&Stored<'_>, &Origin) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let (mut entries, mut bytes, mut last) = (Vec::new(), 0, None);
        while let Some(row) = rows.next()? {
            let stored = Stored::at(row, 0)?;
            let next_bytes = stored.payload_bytes();
            if limit.is_reached(entries.len(), bytes, next_bytes) {
                break;
            }
            bytes += next_bytes;
            let Some(origin) = &self.origin else {
                let head = load_head(self.connection)?.position;
                return Err(LogFault::NoOrigin { head }.into());
            };
            entries.push(read(&stored, origin)?);
            last = Some((stored.position(), stored.leaf_hash(8)?));
        }
        if let Some((position, leaf_hash)) = last {
            self.seen.note(position, leaf_hash);
        }
        // A projector keeps several of these.
        entries.shrink_to_fit();
        Ok(entries)
    }
}

/// Checks that the log has this entry.
pub(crate) fn check_mark(connection: &Connection, mark: Mark) -> Result<(), Failure> {
    let mut statement = connection
        .prepare_cached("SELECT position, leaf_hash FROM chronicle_entries WHERE position = ?1")?;
    let mut rows = statement.query([mark.position.as_i64()])?;
    match rows.next()? {
        Some(row) => {
            let found = Stored::at(row, 0)?.leaf_hash(1)?;
            mark.check(Some(found), mark.position)?;
        }
        None => mark.check(None, load_head(connection)?.position)?,
    }
    Ok(())
}

/// Where the log ends.
fn load_head(connection: &Connection) -> Result<Head, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT position, leaf_hash FROM chronicle_entries ORDER BY position DESC LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(Head { position: Position::ZERO, leaf_hash: None });
    };
    let stored = Stored::at(row, 0)?;
    let leaf_hash = stored.leaf_hash(1)?;
    Ok(Head { position: stored.position(), leaf_hash: Some(leaf_hash) })
}

/// The origin; none where none is fixed.
fn load_origin(connection: &Connection) -> Result<Option<Origin>, Failure> {
    let mut statement = connection.prepare_cached("SELECT origin FROM chronicle_origin")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(BadRow::check_origin(row.get(0)?)?))
}
