//! What appends are judged against, and the statements that add to the log.

use std::collections::HashMap;

use guildhall_core::store::{AppendState, BadRow, Recorded, Seen};
use guildhall_core::{
    Append, Entry, EventId, EventType, LeafHash, LogFault, Origin, Position, StreamId, Version,
};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::database::Database;
use crate::entries::{Failure, Stored, bind_entries, check_mark, load_leaf_hash};

/// What this process knows of the log; valid as long as the log ends at its head.
#[derive(Debug, Clone)]
pub(crate) struct LogState {
    origin: Option<Origin>,
    head: Position,
    versions: HashMap<StreamId, Version>,
}

/// Entries that have event ids of appends already.
pub(crate) type Repeated = Vec<(EventId, Recorded)>;

impl LogState {
    /// How many versions are remembered; some 4 MiB.
    const MAX_STREAMS: usize = 1 << 16;

    /// Looks up what appends need, and keeps what was known before if the log has not moved.
    pub(crate) async fn load<'a>(
        connection: &mut PgConnection,
        database: &Database,
        seen: &Seen,
        before: Option<Self>,
        appends: impl Iterator<Item = &'a Append> + Clone,
    ) -> Result<(Self, Repeated), Failure> {
        let mut streams: Vec<Uuid> = appends
            .clone()
            .flat_map(AppendState::streams)
            .map(|stream| *stream.as_uuid())
            .collect();
        streams.sort_unstable();
        streams.dedup();
        let (ids, lengths): (Vec<Uuid>, Vec<i64>) = appends
            .flat_map(|append| &append.entries)
            .map(|new| (*new.event_id.as_uuid(), new.payload.as_str().len()))
            .map(|(id, length)| (id, i64::try_from(length).unwrap_or(i64::MAX)))
            .unzip();
        let mark = seen.mark();
        // Planned anew each time: a plan made for a small log would be kept while it grows.
        let row = sqlx::query(database.sql(include_str!("sql/load_log.sql")))
            .persistent(false)
            .bind(&streams)
            .bind(&ids)
            .bind(mark.map_or(0, |mark| mark.position.as_i64()))
            .fetch_one(&mut *connection)
            .await?;
        let head: i64 = row.try_get(0)?;
        let head = BadRow::check_position(head)?;
        let origin: Option<String> = row.try_get(1)?;
        let versions: Vec<i64> = row.try_get(2)?;
        let recorded: Vec<Uuid> = row.try_get(3)?;
        let origin = origin.map(BadRow::check_origin).transpose()?;
        check_mark(mark, row.try_get(4)?, head, row.try_get(5)?)?;
        match &origin {
            Some(origin) => seen.check_origin(origin)?,
            // It would be given another name than its leaf hashes have.
            None if head > Position::ZERO => return Err(LogFault::NoOrigin { head }.into()),
            None => {}
        }

        let mut known = match before {
            Some(before) if before.head == head => before,
            _ => Self { origin: None, head, versions: HashMap::new() },
        };
        known.origin = origin;
        known.make_room(streams.len());
        let versions = versions.into_iter().map(|it| Version::from_i64(it).unwrap_or(Version::MAX));
        known.versions.extend(streams.into_iter().map(StreamId::from_uuid).zip(versions));
        if recorded.is_empty() {
            return Ok((known, Vec::new()));
        }
        Ok((known, load_recorded(connection, database, ids, lengths).await?))
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Where the log ends.
    pub(crate) fn head(&self) -> Position {
        self.head
    }

    /// Whether the streams of these appends are known.
    pub(crate) fn covers<'a>(&self, mut appends: impl Iterator<Item = &'a Append>) -> bool {
        appends.all(|append| {
            AppendState::streams(append).all(|stream| self.versions.contains_key(&stream))
        })
    }

    /// What these appends are judged against, in the Chronicle of this origin.
    pub(crate) fn state<'a>(
        &self,
        origin: Origin,
        repeated: Repeated,
        appends: impl Iterator<Item = &'a Append>,
        payload_limit_bytes: usize,
    ) -> AppendState {
        let mut state = AppendState::new(origin, self.head, payload_limit_bytes);
        for stream in appends.flat_map(AppendState::streams) {
            if let Some(version) = self.versions.get(&stream) {
                state.know_version(stream, *version);
            }
        }
        for (event_id, recorded) in repeated {
            state.know_recorded(event_id, recorded);
        }
        state
    }

    /// Takes in the name that the log was given.
    pub(crate) fn name(&mut self, origin: Origin) {
        self.origin = Some(origin);
    }

    /// Takes in what was appended.
    pub(crate) fn extend(&mut self, entries: &[Entry]) {
        self.make_room(entries.len());
        for entry in entries {
            self.head = entry.position;
            self.versions.insert(entry.stream_id, entry.version);
        }
    }

    fn make_room(&mut self, streams: usize) {
        if self.versions.len() + streams > Self::MAX_STREAMS {
            self.versions.clear();
        }
    }
}

async fn load_recorded(
    connection: &mut PgConnection,
    database: &Database,
    ids: Vec<Uuid>,
    lengths: Vec<i64>,
) -> Result<Repeated, Failure> {
    let rows = sqlx::query(database.sql(include_str!("sql/load_recorded.sql")))
        .persistent(false)
        .bind(ids)
        .bind(lengths)
        .fetch_all(connection)
        .await?;
    let mut repeated = Vec::with_capacity(rows.len());
    for row in &rows {
        let stored = Stored::of(row)?;
        let recorded = Recorded {
            position: stored.position(),
            version: stored.version(3)?,
            event_type: EventType::new(stored.text(4, "event_type")?),
            stream_id: StreamId::from_uuid(stored.uuid(2, "stream_id")?),
            payload: stored.text(5, "payload")?.into(),
            metadata: stored.metadata(6)?,
            recorded_at: stored.recorded_at()?,
        };
        repeated.push((EventId::from_uuid(stored.uuid(1, "event_id")?), recorded));
    }
    // An id may come twice, with payloads of two lengths: the last one counts.
    repeated.sort_by_key(|(_, recorded)| recorded.payload.len());
    Ok(repeated)
}

/// Keeps everybody else from appending until the transaction ends, which then waits for everything
/// that was committed before it to be durable.
pub(crate) async fn lock_head(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<(), sqlx::Error> {
    let sql = database.sql(include_str!("sql/lock_head.sql"));
    sqlx::query(sql).execute(connection).await.map(drop)
}

/// Gives the Chronicle its permanent name.
pub(crate) async fn insert_origin(
    connection: &mut PgConnection,
    database: &Database,
    origin: &Origin,
) -> Result<(), sqlx::Error> {
    let sql = database.sql("INSERT INTO {schema}.chronicle_origin (id, origin) VALUES (1, $1)");
    sqlx::query(sql).bind(origin.as_str()).execute(connection).await.map(drop)
}

/// Appends entries to a log that ends at `head`; false where it no longer does, and then nothing is
/// written.
pub(crate) async fn append_entries(
    connection: &mut PgConnection,
    database: &Database,
    head: Position,
    entries: &[Entry],
) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(database.sql(include_str!("sql/append_entries.sql")));
    let appended = bind_entries(query.bind(head.as_i64()), entries).execute(connection).await?;
    Ok(appended.rows_affected() > 0)
}

/// Whether an entry with this leaf hash stands at a position.
pub(crate) async fn is_recorded(
    connection: &mut PgConnection,
    database: &Database,
    (position, leaf_hash): (Position, LeafHash),
) -> Result<bool, Failure> {
    Ok(load_leaf_hash(connection, database, position).await? == Some(leaf_hash))
}
