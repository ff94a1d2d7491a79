//! The Chronicle's handle: appends go to the one task that commits, reads to any connection.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::store::{BadRow, Seen};
use guildhall_core::{
    Append, AppendError, Appended, Chronicle, DecodedEntry, Entry, Head, Origin, Position,
    ReadLimit, StoreError, StreamId, Unchecked, Version,
};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};

use crate::append::Appender;
use crate::database::Database;
use crate::entries::{
    Failure, Part, Range, Stored, load_entries, load_head, load_origin, load_unchecked,
};
use crate::error::{Doing, ReadOnly};
use crate::options::PostgresOptions;
use crate::watch::Signal;

const DOING: &str = "reading the Chronicle";

/// The Chronicle in a schema (see [`Chronicle`] for what it promises). Clones are cheap and share
/// everything.
///
/// Appends that wait at the same time are committed together and share one sync, even those of
/// unrelated callers; a refused one does not affect the others. If the transaction fails, it fails
/// for all of them. Other processes may append too: they take turns on one row.
#[derive(Debug, Clone)]
pub struct PostgresChronicle {
    database: Database,
    /// Absent where nothing may be written.
    appender: Option<Appender>,
    signal: Arc<Signal>,
    seen: Arc<Seen>,
    poll_interval: Duration,
}

impl PostgresChronicle {
    /// Starts the appending task.
    pub(crate) fn start(
        database: &Database,
        signal: &Arc<Signal>,
        options: &PostgresOptions,
    ) -> Self {
        let seen = Arc::new(Seen::default());
        Self {
            database: database.clone(),
            appender: (!database.is_read_only())
                .then(|| Appender::start(database, signal, &seen, options)),
            signal: Arc::clone(signal),
            seen,
            poll_interval: options.poll_interval,
        }
    }

    fn appender(&self) -> Result<&Appender, StoreError> {
        let read_only = || StoreError::permanent("appending to the Chronicle", ReadOnly);
        self.appender.as_ref().ok_or_else(read_only)
    }

    /// The database.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// What was acknowledged and read.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The outcome of a conversation over a connection of the pool, which is closed if it is lost.
    pub(crate) async fn converse<T>(
        &self,
        doing: &'static str,
        conversation: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut connection = self.database.acquire().await.doing(doing)?;
        let answer = self.database.answered(conversation(&mut connection)).await;
        if answer.as_ref().is_err_and(Failure::is_broken_connection) {
            connection.close_on_drop();
        }
        answer.map_err(|failure| failure.to_error(doing))
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.database.acquire().await.doing(DOING)
    }

    /// What an answer says. Its connection is closed if it is lost.
    fn answer<T>(
        mut connection: PoolConnection<Postgres>,
        answer: Result<T, Failure>,
    ) -> Result<T, StoreError> {
        if answer.as_ref().is_err_and(Failure::is_broken_connection) {
            connection.close_on_drop();
        }
        answer.map_err(|failure| failure.to_error(DOING))
    }

    async fn load<T>(
        &self,
        range: Range,
        limit: ReadLimit,
        part: Part,
        read: impl FnMut(&Stored<'_>) -> Result<T, BadRow>,
    ) -> Result<Vec<T>, StoreError> {
        let mut connection = self.acquire().await?;
        let (database, seen) = (&self.database, &self.seen);
        let loaded = load_entries(&mut connection, database, seen, range, limit, part, read).await;
        Self::answer(connection, loaded)
    }
}

#[async_trait]
impl Chronicle for PostgresChronicle {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        let mut connection = self.acquire().await?;
        let asking = load_origin(&mut connection, &self.database);
        let origin = self.database.answered(asking).await.and_then(|origin| {
            origin.as_ref().map_or(Ok(()), |origin| self.seen.check_origin(origin))?;
            Ok(origin)
        });
        Self::answer(connection, origin)
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.appender()?.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.appender()?.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.load(Range::After(after), limit, Part::Whole, |stored| stored.entry()).await
    }

    async fn read_decoded(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<DecodedEntry>, StoreError> {
        self.load(Range::After(after), limit, Part::Data, |stored| stored.decoded()).await
    }

    async fn read_unchecked(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<Unchecked>, StoreError> {
        let mut connection = self.acquire().await?;
        let reading = load_unchecked(&mut connection, &self.database, after, limit);
        let read = self.database.answered(reading).await;
        Self::answer(connection, read)
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.load(Range::Stream(stream, after), limit, Part::Whole, |stored| stored.entry()).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let mut connection = self.acquire().await?;
        let asking = load_head(&mut connection, &self.database, &self.seen);
        let head = self.database.answered(asking).await;
        Self::answer(connection, head)
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.signal.listen(&self.database);
        let look = || async { Ok(self.head().await?.position) };
        self.signal.wait_beyond(position, patience, self.poll_interval, look).await
    }
}
