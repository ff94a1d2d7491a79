//! The Chronicle's handle: appends go to the one thread that commits, reads to any that reads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::store::{BadRow, Seen};
use guildhall_core::{
    Append, AppendError, Appended, Chronicle, DecodedEntry, Entry, Head, Origin, Position,
    ReadLimit, StoreError, StreamId, Unchecked, Version,
};
use rusqlite::Connection;

use crate::append::Appender;
use crate::connection::DatabaseFile;
use crate::crew::Crew;
use crate::entries::{Failure, Stored, View, load_unchecked};
use crate::error::ReadOnly;
use crate::options::SqliteOptions;
use crate::reader::Reader;
use crate::seals::Sealing;
use crate::watch::Signal;
use crate::workers::Workers;

const DOING: &str = "reading the Chronicle";

/// The Chronicle in a SQLite file (see [`Chronicle`] for what it promises). Clones are cheap and
/// share everything.
///
/// Appends that wait at the same time are committed together and share one sync, even those of
/// unrelated callers; a refused one does not affect the others. If the transaction fails, it fails
/// for all of them.
///
/// Reading checks that an entry's leaf hash is that of its fields, and that what a handle of the store
/// once acknowledged or read is still where it was; anything else is a
/// [`LogFault`](guildhall_core::LogFault). A file that lost the end of its log (its `-wal` was left
/// behind) can be opened, read and rebuilt from; nothing is appended to it while the Ops DB's
/// checkpoint is beyond its end.
#[derive(Debug, Clone)]
pub struct SqliteChronicle {
    file: DatabaseFile,
    /// None where the store was opened for reading.
    appender: Option<Appender>,
    readers: Workers<Reader>,
    signal: Arc<Signal>,
    pub(crate) seen: Arc<Seen>,
    poll_interval: Duration,
    /// What seals, once something does.
    pub(crate) sealing: Arc<Mutex<Option<Workers<Sealing>>>>,
}

impl SqliteChronicle {
    /// Starts the appending thread. Blocks for a moment.
    pub(crate) fn start(
        file: &DatabaseFile,
        ops_file: Option<&DatabaseFile>,
        readers: Workers<Reader>,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let seen = Arc::default();
        let appender = if file.is_read_only() {
            None
        } else {
            Some(Appender::start(file, ops_file, Arc::clone(&seen), readers.crew(), options)?)
        };
        Ok(Self {
            file: file.clone(),
            appender,
            readers,
            signal: Signal::of(file.path()),
            seen,
            poll_interval: options.poll_interval,
            sealing: Arc::default(),
        })
    }

    /// The threads of its store.
    pub(crate) fn crew(&self) -> &Arc<Crew> {
        self.readers.crew()
    }

    fn appender(&self) -> Result<&Appender, StoreError> {
        let read_only = || StoreError::permanent("appending to the Chronicle", ReadOnly);
        self.appender.as_ref().ok_or_else(read_only)
    }

    /// Its file.
    pub(crate) fn file(&self) -> &DatabaseFile {
        &self.file
    }

    pub(crate) async fn load<T: Send + 'static>(
        &self,
        load: impl FnOnce(&View<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let seen = Arc::clone(&self.seen);
        let load = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            load(&View::of(&transaction, &seen)?)
        };
        let load = move |reader: &mut Reader| {
            reader.read(DOING, |connection| {
                load(connection).map_err(|failure: Failure| failure.to_error(DOING))
            })
        };
        self.readers.run(DOING, load).await
    }
}

#[async_trait]
impl Chronicle for SqliteChronicle {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.load(|view| Ok(view.origin().cloned())).await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.appender()?.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.appender()?.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.load(move |view| load_after(view, after, limit, |stored, origin| stored.entry(origin)))
            .await
    }

    async fn read_decoded(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<DecodedEntry>, StoreError> {
        self.load(move |view| {
            load_after(view, after, limit, |stored, origin| stored.decoded(origin))
        })
        .await
    }

    async fn read_unchecked(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<Unchecked>, StoreError> {
        let load = move |reader: &mut Reader| {
            reader.read(DOING, |connection| {
                load_unchecked(connection, after, limit).map_err(|failure| failure.to_error(DOING))
            })
        };
        self.readers.run(DOING, load).await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.load(move |view| {
            let sql = include_str!("sql/read_stream.sql");
            let parameters = (stream.as_uuid().as_bytes(), after.as_i64(), most(limit));
            view.entries(sql, parameters, limit, |stored, origin| stored.entry(origin))
        })
        .await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.load(|view| view.head()).await
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
                let load = move |view: &View<'_>| {
                    signal.watch(file.path());
                    view.head().map(|head| head.position)
                };
                chronicle.load(load).await
            }
        };
        self.signal.wait_beyond(position, patience, self.poll_interval, look).await
    }
}

/// The entries after a position, as `read` makes them of their rows, without a gap.
fn load_after<T>(
    view: &View<'_>,
    after: Position,
    limit: ReadLimit,
    read: impl Fn(&Stored<'_>, &Origin) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut last = after;
    let parameters = (after.as_i64(), most(limit));
    view.entries(include_str!("sql/read_entries.sql"), parameters, limit, |stored, origin| {
        BadRow::check_follows(last, stored.position())?;
        last = stored.position();
        read(stored, origin)
    })
}

/// How many rows a read can need: at least one.
fn most(limit: ReadLimit) -> i64 {
    i64::try_from(limit.entries.max(1)).unwrap_or(i64::MAX)
}
