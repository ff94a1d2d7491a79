//! Stored rows as entries. Someone else may have written them, so nothing about them is certain.

use std::io;
use std::sync::Arc;

use futures::TryStreamExt;
use guildhall_core::store::{BadRow, LeafRecord, Mark, Seen};
use guildhall_core::{
    DecodedEntry, Entry, EventId, Fault, Head, LeafHash, LogFault, Metadata, Origin, Position,
    ReadLimit, StoreError, StreamId, Timestamp, Unchecked, Version,
};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Decode, Postgres, Row, SqlStr, Type, ValueRef};

use crate::database::Database;
use crate::error::{fault, has_sqlstate};
use crate::holder::LockedByOther;
use crate::standbys::NoStandby;

/// The server is a standby that has not yet received what was acknowledged or read elsewhere.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the server is in recovery and lags: position {seen} was acknowledged or read, it has got to {head}"
)]
pub(crate) struct Lags {
    seen: Position,
    head: Position,
}

/// Why a statement on the Chronicle failed. It can be reported to several callers.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Postgres(Arc<sqlx::Error>),
    BadRow(BadRow),
    /// Another session has kept the log locked.
    Locked(LockedByOther),
    /// The log is not what it was, or not what it says of itself.
    Log(LogFault),
    /// The log may still become what it was.
    Lags(Lags),
    /// What is appended would be on one server alone.
    NoStandby(NoStandby),
}

impl Failure {
    /// The error, for one of those callers.
    pub(crate) fn to_error(&self, doing: &'static str) -> StoreError {
        match self {
            Self::Postgres(error) => {
                StoreError { doing, fault: fault(error), source: Arc::clone(error).into() }
            }
            Self::BadRow(bad) => StoreError::permanent(doing, bad.clone()),
            Self::Locked(locked) => StoreError::transient(doing, locked.clone()),
            Self::Log(fault) => StoreError::log(doing, fault.clone()),
            Self::Lags(lags) => StoreError::transient(doing, lags.clone()),
            Self::NoStandby(missing) => StoreError::transient(doing, missing.clone()),
        }
    }

    /// Whether the connection is lost, and with it perhaps the answer to what was committed.
    pub(crate) fn is_broken_connection(&self) -> bool {
        match self {
            Self::Postgres(error) => match &**error {
                sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                    code.starts_with("08") || code.starts_with("57P") || code == "25P03"
                }),
                error => fault(error) == Fault::Transient,
            },
            Self::BadRow(_)
            | Self::Locked(_)
            | Self::Log(_)
            | Self::Lags(_)
            | Self::NoStandby(_) => false,
        }
    }

    /// Whether it was waited for in vain: for a lock, or for any answer.
    pub(crate) fn has_waited(&self) -> bool {
        match self {
            Self::Postgres(error) => match &**error {
                sqlx::Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
                error => has_sqlstate(error, "55P03"),
            },
            Self::BadRow(_)
            | Self::Locked(_)
            | Self::Log(_)
            | Self::Lags(_)
            | Self::NoStandby(_) => false,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(Arc::new(error))
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
    row: &'r PgRow,
    position: Position,
}

impl<'r> Stored<'r> {
    /// The row, whose first column is the position.
    pub(crate) fn of(row: &'r PgRow) -> Result<Self, BadRow> {
        let stored = row.try_get(0).unwrap_or(-1);
        Ok(Self { row, position: BadRow::check_position(stored)? })
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    fn get<T: Decode<'r, Postgres> + Type<Postgres>>(
        &self,
        column: usize,
        name: &'static str,
    ) -> Result<T, BadRow> {
        let position = self.position.as_i64();
        self.row.try_get(column).map_err(|_| BadRow::Column { position, column: name })
    }

    pub(crate) fn text(&self, column: usize, name: &'static str) -> Result<&'r str, BadRow> {
        self.get(column, name)
    }

    pub(crate) fn uuid(&self, column: usize, name: &'static str) -> Result<uuid::Uuid, BadRow> {
        self.get(column, name)
    }

    pub(crate) fn version(&self, column: usize) -> Result<Version, BadRow> {
        let version = Version::from_i64(self.get(column, "version")?);
        version.ok_or(BadRow::Column { position: self.position.as_i64(), column: "version" })
    }

    pub(crate) fn leaf_hash(&self, column: usize) -> Result<LeafHash, BadRow> {
        let bytes: &[u8] = self.get(column, "leaf_hash")?;
        let bytes = bytes.try_into().map_err(|_| BadRow::Column {
            position: self.position.as_i64(),
            column: "leaf_hash",
        })?;
        Ok(LeafHash::from_bytes(bytes))
    }

    pub(crate) fn metadata(&self, column: usize) -> Result<Metadata, BadRow> {
        BadRow::check_metadata(self.position, self.text(column, "metadata")?)
    }

    pub(crate) fn recorded_at(&self) -> Result<Timestamp, BadRow> {
        timestamp(self.row, 7)
            .ok_or(BadRow::Column { position: self.position.as_i64(), column: "recorded_at" })
    }

    /// A value that comes with the first row alone.
    fn told<T: Decode<'r, Postgres> + Type<Postgres>>(&self, column: usize) -> Option<T> {
        self.row.try_get::<Option<T>, _>(column).ok().flatten()
    }

    /// What its leaf hash commits to, from the columns in the order of the table.
    fn record(&self) -> Result<LeafRecord<'r>, BadRow> {
        Ok(LeafRecord {
            position: self.position,
            event_id: EventId::from_uuid(self.uuid(1, "event_id")?),
            stream_id: StreamId::from_uuid(self.uuid(2, "stream_id")?),
            version: self.version(3)?,
            event_type: self.get(4, "event_type")?,
            payload: self.get(5, "payload")?,
            recorded_at: self.recorded_at()?,
        })
    }

    /// Checks that the entry is what its leaf hash says.
    fn check(&self, origin: &Origin) -> Result<(), Failure> {
        Ok(self.record()?.check(origin, self.leaf_hash(8)?)?)
    }

    /// The entry, decoded, from the columns in the order of the table. Its payload is not copied.
    pub(crate) fn decoded(&self) -> Result<DecodedEntry, BadRow> {
        Ok(self.record()?.to_decoded(self.leaf_hash(8)?))
    }

    /// The whole entry, from the columns in the order of the table.
    pub(crate) fn entry(&self) -> Result<Entry, BadRow> {
        Ok(self.record()?.to_entry(self.metadata(6)?, self.leaf_hash(8)?))
    }

    /// The row as it is, unchecked.
    fn unchecked(&self) -> Unchecked {
        let leaf = self.record().and_then(|record| Ok((record, self.leaf_hash(8)?)));
        match leaf {
            Ok((record, leaf_hash)) => {
                Unchecked::Entry(record.to_entry(Metadata::default(), leaf_hash))
            }
            Err(bad) => Unchecked::Unreadable { position: self.position, reason: bad.to_string() },
        }
    }
}

/// Where the microseconds of a `timestamptz` begin, in those since 1970.
pub(crate) const YEAR_2000: i64 = 946_684_800_000_000;

/// The moment that a `timestamptz` holds; none where it is null, infinite or outside the years 1
/// to 9999. Read from its bytes, microseconds since 2000, because the driver's own reading panics
/// on an infinity.
pub(crate) fn timestamp(row: &PgRow, column: usize) -> Option<Timestamp> {
    let value = row.try_get_raw(column).ok()?;
    if value.is_null() {
        return None;
    }
    let bytes: [u8; 8] = value.as_bytes().ok()?.try_into().ok()?;
    let micros = i64::from_be_bytes(bytes).checked_add(YEAR_2000)?;
    Timestamp::from_micros(micros).ok()
}

/// Which entries to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Range {
    /// All after a position.
    After(Position),
    /// Those of a stream after a version.
    Stream(StreamId, Version),
}

/// What to read of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything.
    Whole,
    /// Everything but the metadata.
    Data,
}

impl Part {
    fn select(self, template: &str) -> String {
        let metadata = match self {
            Self::Whole => "metadata::text",
            Self::Data => "NULL::text",
        };
        template.replace("{metadata}", metadata)
    }
}

/// The entries of a range, up to the limit, as `read` makes them of their rows.
///
/// The server counts the bytes, so that it sends nothing in vain, and it does so a page at a time:
/// a limit of few bytes and many entries does not make it walk through the whole log. Pages fit
/// together without a transaction, as nothing between them can change.
pub(crate) async fn load_entries<T>(
    connection: &mut PgConnection,
    database: &Database,
    seen: &Seen,
    range: Range,
    limit: ReadLimit,
    part: Part,
    read: impl FnMut(&Stored<'_>) -> Result<T, BadRow>,
) -> Result<Vec<T>, Failure> {
    const PAGE_ENTRIES: usize = 16_384;
    let template = match range {
        Range::After(_) => include_str!("sql/read_entries.sql"),
        Range::Stream(..) => include_str!("sql/read_stream.sql"),
    };
    let sql = database.sql(&part.select(template));
    let if_all_fit = database.sql(&part.select(include_str!("sql/read_range.sql")));
    let after = match range {
        Range::After(position) => position.as_i64(),
        Range::Stream(_, version) => version.as_i64(),
    };
    let mark = seen.mark();
    let at_mark = mark.map_or(0, |mark| mark.position.as_i64());
    let mut reading = Reading {
        range,
        seen,
        after,
        bytes: 0,
        origin: None,
        at_mark: None,
        last: None,
        entries: Vec::new(),
        read,
    };
    loop {
        let before = reading.entries.len();
        let page = (limit.entries.max(1) - before).min(PAGE_ENTRIES);
        let bytes = limit.bytes.saturating_sub(reading.bytes);
        // Not kept: a plan that was made while the log was short would scan it for ever.
        let query = |sql: &SqlStr| {
            sqlx::query(sql.clone())
                .persistent(false)
                .bind(reading.after)
                .bind(i64::try_from(page).unwrap_or(i64::MAX))
                .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        };
        let (fast, mut slow) = (query(&if_all_fit), query(&sql).bind(before == 0));
        if let Range::Stream(stream, _) = range {
            slow = slow.bind(*stream.as_uuid());
        } else {
            database.answered(reading.take(connection, fast.bind(at_mark))).await?;
        }
        if reading.entries.len() == before {
            database.answered(reading.take(connection, slow.bind(at_mark))).await?;
        }
        let count = reading.entries.len();
        if count - before < page || count >= limit.entries {
            break;
        }
    }
    // What was seen before was not returned, or is no longer there.
    if mark.is_some_and(|mark| reading.at_mark != Some(mark.leaf_hash)) {
        database.answered(load_head(connection, database, seen)).await?;
    }
    if let Some((position, leaf_hash)) = reading.last {
        seen.note(position, leaf_hash);
    }
    // A projector keeps several of these.
    reading.entries.shrink_to_fit();
    Ok(reading.entries)
}

/// The rows after a position, up to the limit, unchecked and without its metadata.
pub(crate) async fn load_unchecked(
    connection: &mut PgConnection,
    database: &Database,
    after: Position,
    limit: ReadLimit,
) -> Result<Vec<Unchecked>, Failure> {
    let entries = i64::try_from(limit.entries.max(1)).unwrap_or(i64::MAX);
    let bytes = i64::try_from(limit.bytes).unwrap_or(i64::MAX);
    let query = |template| {
        let query = sqlx::query(database.sql(&Part::Data.select(template)));
        query.bind(after.as_i64()).bind(entries).bind(bytes)
    };
    // As for checked entries: first as if all fit, then those that do.
    let if_all_fit = query(include_str!("sql/read_range.sql")).bind(0_i64);
    let mut rows = if_all_fit.fetch_all(&mut *connection).await?;
    if rows.is_empty() {
        let first_fits = query(include_str!("sql/read_entries.sql")).bind(true).bind(0_i64);
        rows = first_fits.fetch_all(connection).await?;
    }
    rows.iter().map(|row| Ok(Stored::of(row)?.unchecked())).collect()
}

/// What was read of a range.
struct Reading<'s, T, R> {
    range: Range,
    /// What was seen before.
    seen: &'s Seen,
    /// The position or version of the last.
    after: i64,
    bytes: usize,
    /// The Chronicle's name.
    origin: Option<Origin>,
    /// The leaf hash at the mark of what was seen before.
    at_mark: Option<LeafHash>,
    /// The last entry.
    last: Option<(Position, LeafHash)>,
    entries: Vec<T>,
    read: R,
}

impl<T, R: FnMut(&Stored<'_>) -> Result<T, BadRow>> Reading<'_, T, R> {
    async fn take(
        &mut self,
        connection: &mut PgConnection,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<(), Failure> {
        let mut rows = query.fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let stored = Stored::of(&row)?;
            self.after = match self.range {
                Range::After(_) => {
                    BadRow::check_follows(BadRow::check_position(self.after)?, stored.position())?;
                    stored.position().as_i64()
                }
                Range::Stream(..) => stored.version(3)?.as_i64(),
            };
            if let Some(origin) = stored.told::<String>(9) {
                let origin = BadRow::check_origin(origin)?;
                self.seen.check_origin(&origin)?;
                self.origin = Some(origin);
                self.at_mark = stored.told::<&[u8]>(10).and_then(leaf_hash_of);
            }
            let Some(origin) = &self.origin else {
                return Err(LogFault::NoOrigin { head: stored.position() }.into());
            };
            stored.check(origin)?;
            self.last = Some((stored.position(), stored.leaf_hash(8)?));
            self.bytes += stored.text(5, "payload")?.len();
            self.entries.push((self.read)(&stored)?);
        }
        Ok(())
    }
}

/// Where the log ends, after checking that it has what was seen of it.
pub(crate) async fn load_head(
    connection: &mut PgConnection,
    database: &Database,
    seen: &Seen,
) -> Result<Head, Failure> {
    let mark = seen.mark();
    let row = sqlx::query(database.sql(include_str!("sql/load_head.sql")))
        .bind(mark.map_or(0, |mark| mark.position.as_i64()))
        .fetch_one(connection)
        .await?;
    let stored = Stored::of(&row)?;
    let position = stored.position();
    check_mark(mark, stored.told::<&[u8]>(2), position, row.try_get(3)?)?;
    if position == Position::ZERO {
        return Ok(Head { position, leaf_hash: None });
    }
    let leaf_hash = stored.leaf_hash(1)?;
    seen.note(position, leaf_hash);
    Ok(Head { position, leaf_hash: Some(leaf_hash) })
}

/// Compares what was seen with what the log has there. A standby that lacks it may still get it.
pub(crate) fn check_mark(
    mark: Option<Mark>,
    found: Option<&[u8]>,
    head: Position,
    is_standby: bool,
) -> Result<(), Failure> {
    let Some(mark) = mark else { return Ok(()) };
    match mark.check(found.and_then(leaf_hash_of), head) {
        Err(LogFault::WentBack { seen, head }) if is_standby => {
            Err(Failure::Lags(Lags { seen, head }))
        }
        outcome => Ok(outcome?),
    }
}

/// The leaf hash that these bytes are.
pub(crate) fn leaf_hash_of(bytes: &[u8]) -> Option<LeafHash> {
    bytes.try_into().ok().map(LeafHash::from_bytes)
}

/// The leaf hash of the entry at a position; none where there is no entry.
pub(crate) async fn load_leaf_hash(
    connection: &mut PgConnection,
    database: &Database,
    position: Position,
) -> Result<Option<LeafHash>, Failure> {
    let sql = database
        .sql("SELECT position, leaf_hash FROM {schema}.chronicle_entries WHERE position = $1");
    let row = sqlx::query(sql).bind(position.as_i64()).fetch_optional(connection).await?;
    row.map(|row| Ok(Stored::of(&row)?.leaf_hash(1)?)).transpose()
}

/// The origin; none where none is fixed.
pub(crate) async fn load_origin(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<Option<Origin>, Failure> {
    let sql = database.sql("SELECT origin FROM {schema}.chronicle_origin");
    let found: Option<String> = sqlx::query_scalar(sql).fetch_optional(connection).await?;
    found.map(|found| BadRow::check_origin(found).map_err(Failure::from)).transpose()
}

/// The binary form of entries, a column at a time, bound to `append_entries.sql` after its first
/// parameter.
pub(crate) fn bind_entries<'q>(
    query: Query<'q, Postgres, PgArguments>,
    entries: &'q [Entry],
) -> Query<'q, Postgres, PgArguments> {
    fn column<'q, T>(entries: &'q [Entry], of: impl Fn(&'q Entry) -> T) -> Vec<T> {
        entries.iter().map(of).collect()
    }
    query
        .bind(column(entries, |entry| *entry.event_id.as_uuid()))
        .bind(column(entries, |entry| *entry.stream_id.as_uuid()))
        .bind(column(entries, |entry| entry.version.as_i64()))
        .bind(column(entries, |entry| entry.event_type.as_str()))
        .bind(column(entries, |entry| &*entry.payload))
        .bind(column(entries, |entry| entry.metadata.to_json()))
        .bind(column(entries, |entry| chrono::DateTime::<chrono::Utc>::from(entry.recorded_at)))
        .bind(column(entries, |entry| entry.leaf_hash.as_bytes().as_slice()))
}
