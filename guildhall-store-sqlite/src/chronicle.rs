//! The Chronicle's handle: appends go to the one thread that commits, reads to any that reads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::{
    Append, AppendError, Appended, Chronicle, DecodedEntry, Entry, Head, Origin, Position,
    ReadLimit, StoreError, StreamId, Version,
};
use rusqlite::Connection;

use crate::append::Appender;
use crate::connection::DatabaseFile;
use crate::error::ReadOnly;
use crate::options::Options;
use crate::reader::Reader;
use crate::row::{BadRow, Failure, Stored, load_entries, load_head, load_origin};
use crate::watch::Signal;
use crate::workers::Workers;

/// The Chronicle in a SQLite file (see [`Chronicle`] for what it promises). Clones are cheap and
/// share everything.
///
/// Appends that wait at the same time are committed together and share one sync, also those of
/// callers that know nothing of each other; one that is refused does not touch the others. A
/// transaction that fails, fails for all who share it.
#[derive(Debug, Clone)]
pub struct SqliteChronicle {
    file: DatabaseFile,
    /// None where the store was opened for reading.
    appender: Option<Appender>,
    readers: Workers<Reader>,
    signal: Arc<Signal>,
    poll_interval: Duration,
}

impl SqliteChronicle {
    /// Starts the appending thread. Blocks for a moment.
    pub(crate) fn start(
        file: &DatabaseFile,
        readers: Workers<Reader>,
        options: &Options,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            file: file.clone(),
            appender: if file.is_read_only() {
                None
            } else {
                Some(Appender::start(file, readers.crew(), options)?)
            },
            readers,
            signal: Signal::of(file.path()),
            poll_interval: options.poll_interval,
        })
    }

    fn appender(&self) -> Result<&Appender, StoreError> {
        let read_only = || StoreError::permanent("appending to the Chronicle", ReadOnly);
        self.appender.as_ref().ok_or_else(read_only)
    }

    /// Its file.
    pub(crate) fn file(&self) -> &DatabaseFile {
        &self.file
    }

    async fn load<T: Send + 'static>(
        &self,
        load: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        const DOING: &str = "reading the Chronicle";
        self.readers
            .run(DOING, move |reader| {
                reader.read(DOING, |connection| {
                    load(connection).map_err(|failure| failure.to_error(DOING))
                })
            })
            .await
    }
}

#[async_trait]
impl Chronicle for SqliteChronicle {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.load(load_origin).await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.appender()?.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.appender()?.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.load(move |connection| load_after(connection, after, limit, |stored| stored.entry()))
            .await
    }

    async fn read_decoded(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<DecodedEntry>, StoreError> {
        self.load(move |connection| load_after(connection, after, limit, |stored| stored.decoded()))
            .await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.load(move |connection| {
            let sql = include_str!("sql/read_stream.sql");
            let parameters = (stream.as_uuid().as_bytes(), after.as_i64(), most(limit));
            load_entries(connection, sql, parameters, limit, |stored| stored.entry())
        })
        .await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.load(load_head).await
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        let look = || {
            let (chronicle, signal) = (self.clone(), Arc::clone(&self.signal));
            async move {
                let file = chronicle.file.clone();
                let load = move |connection: &Connection| {
                    signal.watch(file.path());
                    load_head(connection).map(|head| head.position)
                };
                chronicle.load(load).await
            }
        };
        self.signal.wait_beyond(position, patience, self.poll_interval, look).await
    }
}

/// The entries after a position, as `read` makes them of their rows, without a gap.
fn load_after<T>(
    connection: &Connection,
    after: Position,
    limit: ReadLimit,
    read: impl Fn(&Stored<'_>) -> Result<T, BadRow>,
) -> Result<Vec<T>, Failure> {
    let mut expected = after;
    let parameters = (after.as_i64(), most(limit));
    load_entries(connection, include_str!("sql/read_entries.sql"), parameters, limit, |stored| {
        expected = expected.next();
        match stored.position() {
            found if found == expected => read(stored),
            found => Err(BadRow::Gap { expected, found }),
        }
    })
}

/// How many rows a read can need: at least one.
fn most(limit: ReadLimit) -> i64 {
    i64::try_from(limit.entries.max(1)).unwrap_or(i64::MAX)
}
