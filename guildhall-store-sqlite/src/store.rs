//! The handle of an open store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use guildhall_core::store::Family;

use crate::chronicle::SqliteChronicle;
use crate::connection::{DatabaseFile, Role};
use crate::crew::Crew;
use crate::error::{CloseError, Doing, OpenError};
use crate::open::{find_file, open_file};
use crate::options::SqliteOptions;
use crate::reader::Reader;
use crate::workers::{Workers, run_blocking};

/// An open store: its Chronicle and its Ops DB, in one file or in two. Clones are cheap and share
/// everything.
///
/// SQLite keeps the newest entries in a log beside the file (`-wal`) and folds them in from time to
/// time, and when the store is [closed](Self::close). Until then the file alone is incomplete: to
/// copy a live one, use `VACUUM INTO`, SQLite's backup API or the shell's `.backup`.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: SqliteOptions,
    chronicle: SqliteChronicle,
    ops_file: DatabaseFile,
    ops_readers: Workers<Reader>,
}

impl SqliteStore {
    /// Opens the store in one file with the default [`SqliteOptions`], and creates what is missing.
    ///
    /// # Errors
    /// [`OpenError`]; the file is unchanged.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_with(SqliteOptions::at(path)).await
    }

    /// Opens the store as `options` say, and creates what is missing.
    ///
    /// # Errors
    /// [`OpenError`]; the file that it names is unchanged.
    pub async fn open_with(options: SqliteOptions) -> Result<Self, OpenError> {
        Self::open_by(options, open_file).await
    }

    /// Opens the store in one file for reading: for pages, reports and auditors, even on a read-only
    /// medium or in a folder where nothing can be written.
    ///
    /// Nothing is created or migrated, and nothing is left behind except the `-shm` that goes with
    /// a log. A log that a killed writer left is read, not folded in: it and the file stay byte for
    /// byte as they were. Appending and projecting are errors.
    ///
    /// Where the file or its folder cannot be written and there is no log beside the file, it is
    /// read as if nobody wrote it. A change by another process is noticed and read from the next
    /// query on; a query that it interrupts fails with a transient error.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("guildhall.db");
    /// # guildhall_store_sqlite::SqliteStore::open(&path).await?.close().await?;
    /// use guildhall_core::OpsDb;
    /// use guildhall_store_sqlite::SqliteStore;
    ///
    /// let store = SqliteStore::open_read_only(path).await?;
    /// assert_eq!(store.ops_db().overview().await?.artifacts(), 0);
    /// assert!(store.projector().start().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpenError`], such as [`OlderSchema`](OpenError::OlderSchema) and
    /// [`LogUnreadable`](OpenError::LogUnreadable).
    pub async fn open_read_only(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_read_only_with(SqliteOptions::at(path)).await
    }

    /// Opens the store for reading as `options` say; see [`open_read_only`](Self::open_read_only).
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_read_only_with(options: SqliteOptions) -> Result<Self, OpenError> {
        Self::open_by(options, find_file).await
    }

    async fn open_by(options: SqliteOptions, open: OpenFile) -> Result<Self, OpenError> {
        let path = options.chronicle_path.clone();
        let opened =
            run_blocking("opening the database", move || Self::open_blocking(options, open)).await;
        opened.map_err(|source| OpenError::Store { path, source })?
    }

    fn open_blocking(options: SqliteOptions, open: OpenFile) -> Result<Self, OpenError> {
        let (chronicle_file, ops_file) = match &options.ops_path {
            None => {
                let families = [Family::Chronicle, Family::Ops];
                let file = open(&options.chronicle_path, &families, &options)?;
                (file.clone(), file)
            }
            Some(ops_path) => (
                open(&options.chronicle_path, &[Family::Chronicle], &options)?,
                open(ops_path, &[Family::Ops], &options)?,
            ),
        };
        let at = |file: &DatabaseFile| {
            let path = file.path().to_owned();
            move |source| OpenError::Store { path, source }
        };
        let crew = Arc::new(Crew::default());
        let readers = spawn_readers(&chronicle_file, &crew, &options)?;
        let ops_readers = if options.ops_path.is_none() {
            readers.clone()
        } else {
            spawn_readers(&ops_file, &crew, &options)?
        };
        let (chronicle_file, ops_file) = if chronicle_file.is_read_only() {
            (chronicle_file, ops_file)
        } else {
            (
                chronicle_file.clone().with_log().map_err(at(&chronicle_file))?,
                ops_file.clone().with_log().map_err(at(&ops_file))?,
            )
        };
        let other_file = options.ops_path.is_some().then_some(&ops_file);
        let chronicle = SqliteChronicle::start(&chronicle_file, other_file, readers, &options)
            .map_err(at(&chronicle_file))?;
        Ok(Self { shared: Arc::new(Shared { options, chronicle, ops_file, ops_readers }) })
    }

    /// Closes the store for every handle, including its projectors and rebuilds: finishes the work
    /// already submitted, folds the log into the file, and thereby removes `-wal` and `-shm`, unless
    /// another store or process has the file open. Using a handle afterwards is an error. Closing
    /// again, say after an error, is fine.
    ///
    /// If the file was removed or replaced in the meantime, closing fails with
    /// [`LogFault::FileReplaced`](guildhall_core::LogFault::FileReplaced) and touches nothing: remove
    /// the `-wal` and `-shm` that the old file left behind, which do not belong to the new one, before
    /// you open the new one.
    ///
    /// Dropping the last handle does the same, silently, and blocks while it does: for milliseconds
    /// after an append, for up to 5 s while a thread is still at work; work that takes longer goes on
    /// by itself. In async code, call this instead: it never blocks.
    ///
    /// # Errors
    /// [`CloseError`]; the threads have ended nevertheless.
    ///
    /// # Cancel safety
    /// If dropped, closing goes on until the threads have ended.
    pub async fn close(&self) -> Result<(), CloseError> {
        let chronicle_file = self.shared.chronicle.file().clone();
        let path = chronicle_file.path().to_owned();
        let failed = |source| CloseError::Store { path, source };
        self.shared.ops_readers.crew().close().await.map_err(failed.clone())?;
        let mut files = vec![chronicle_file];
        if self.shared.options.ops_path.is_some() {
            files.push(self.shared.ops_file.clone());
        }
        if files[0].is_read_only() {
            return Ok(());
        }
        let fold = move || {
            let outcomes: Vec<_> = files.iter().map(fold_in).collect();
            outcomes.into_iter().collect::<Result<(), _>>()
        };
        run_blocking("closing the database", fold).await.map_err(failed)?
    }

    /// The Chronicle.
    pub fn chronicle(&self) -> SqliteChronicle {
        self.shared.chronicle.clone()
    }

    /// What the store was opened with.
    pub fn options(&self) -> &SqliteOptions {
        &self.shared.options
    }

    /// The file of the Ops DB.
    pub(crate) fn ops_file(&self) -> &DatabaseFile {
        &self.shared.ops_file
    }

    /// Connections that read the Ops DB.
    pub(crate) fn ops_readers(&self) -> &Workers<Reader> {
        &self.shared.ops_readers
    }
}

/// Opens a file with the tables of these families.
type OpenFile = fn(&Path, &[Family], &SqliteOptions) -> Result<DatabaseFile, OpenError>;

fn spawn_readers(
    file: &DatabaseFile,
    crew: &Arc<Crew>,
    options: &SqliteOptions,
) -> Result<Workers<Reader>, OpenError> {
    let readers = (0..options.readers.max(1)).map(|_| Reader::connect(file));
    Workers::spawn(crew, "guildhall-read", readers.collect::<Result<_, _>>()?)
        .map_err(|source| OpenError::Store { path: file.path().to_owned(), source })
}

/// Folds the log into the file, after every thread of the store has closed its connection; SQLite
/// removes the log with the last connection.
fn fold_in(file: &DatabaseFile) -> Result<(), CloseError> {
    const DOING: &str = "folding the log into the file";
    let failed = |source| CloseError::Store { path: file.path().to_owned(), source };
    // The log beside a file that replaced this one does not belong to that file.
    let connection = file.connect_alone(Role::Append).map_err(failed)?;
    let is_busy: bool = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .doing(DOING)
        .map_err(failed)?;
    if is_busy {
        return Err(CloseError::InUse { path: file.path().to_owned() });
    }
    connection.close().map_err(|(_, error)| error).doing(DOING).map_err(failed)
}
