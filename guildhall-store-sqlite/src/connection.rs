//! Connections: their settings, and the gate that writers of one process pass.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use guildhall_core::{LogFault, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Doing, ReadOnly};
use crate::options::SqliteOptions;
use crate::place::Place;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Appends: a commit survives a power cut (`synchronous=FULL`).
    Append,
    /// Projects: what a power cut takes is replayed from the checkpoint (`synchronous=NORMAL`).
    Project,
    /// Reads, and cannot write.
    Read,
}

/// One database file of a store, opened, checked and migrated.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseFile {
    path: Arc<Path>,
    /// The file that was opened; no other one is.
    place: Place,
    gate: Gate,
    busy_timeout: Duration,
    cache_bytes: usize,
    is_read_only: bool,
}

impl DatabaseFile {
    /// The file at a canonical path.
    pub(crate) fn new(path: PathBuf, options: &SqliteOptions) -> io::Result<Self> {
        Ok(Self {
            gate: Gate::of(&path),
            // Whatever log is there now goes with the last connection; see `with_log`.
            place: Place::without_log(&path)?,
            path: path.into(),
            busy_timeout: options.busy_timeout,
            cache_bytes: options.cache_bytes,
            is_read_only: false,
        })
    }

    /// The file at a canonical path, which nobody here writes.
    pub(crate) fn read_only(path: PathBuf, options: &SqliteOptions) -> io::Result<Self> {
        Ok(Self { is_read_only: true, ..Self::new(path, options)? })
    }

    /// The same file with the log beside it, which stays there as long as one of the store's
    /// connections does: once there is one.
    pub(crate) fn with_log(self) -> Result<Self, StoreError> {
        Ok(Self { place: self.place()?, ..self })
    }

    /// Whether nobody here writes it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Its canonical path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The gate that every writer of this process passes before it begins a transaction.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// A new connection. Blocks.
    pub(crate) fn connect(&self, role: Role) -> Result<Connection, StoreError> {
        const DOING: &str = "opening the database";
        if self.is_read_only && role != Role::Read {
            return Err(StoreError::permanent(DOING, ReadOnly));
        }
        self.connect_checked(role, Place::check)
    }

    /// A new connection to a file whose log may have gone with the others. Blocks.
    pub(crate) fn connect_alone(&self, role: Role) -> Result<Connection, StoreError> {
        self.connect_checked(role, Place::check_main)
    }

    /// Where the files of a new connection stand.
    pub(crate) fn place(&self) -> Result<Place, StoreError> {
        self.place.again().doing("opening the database")
    }

    /// Opens the file, if it is the one that was opened first. The log beside another would be
    /// folded into it, which it does not belong to.
    fn connect_checked(
        &self,
        role: Role,
        check: fn(&Place) -> Result<(), LogFault>,
    ) -> Result<Connection, StoreError> {
        const DOING: &str = "opening the database";
        check(&self.place).doing(DOING)?;
        let connection = self.try_connect(role).doing(DOING)?;
        // Replaced meanwhile, the file is closed as it is.
        check(&self.place).doing(DOING)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).doing(DOING)?;
        Ok(connection)
    }

    fn try_connect(&self, role: Role) -> rusqlite::Result<Connection> {
        // Not CREATE: the file is there, and one that was removed meanwhile must not come back
        // empty. NO_MUTEX: a connection has one thread at a time.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        self.configure(&connection, role)?;
        Ok(connection)
    }

    /// Gives a connection its settings, for which SQLite reads the file.
    pub(crate) fn configure(&self, connection: &Connection, role: Role) -> rusqlite::Result<()> {
        connection.busy_timeout(self.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "recursive_triggers", true)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        // A checkpointed log is cut back to this, in bytes.
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        // In pages, 64 MiB: entries of many streams dirty the same index pages again and again, and
        // folding them in four times less often than at 16 MiB appends 10 to 20% more.
        connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
        let cache_bytes = match role {
            Role::Append => {
                connection.pragma_update(None, "synchronous", "full")?;
                // macOS keeps what `fsync` wrote in the drive's cache.
                connection.pragma_update(None, "fullfsync", true)?;
                connection.pragma_update(None, "checkpoint_fullfsync", true)?;
                self.cache_bytes
            }
            Role::Project => {
                connection.pragma_update(None, "synchronous", "normal")?;
                connection.pragma_update(None, "checkpoint_fullfsync", true)?;
                self.cache_bytes
            }
            Role::Read => {
                connection.pragma_update(None, "query_only", true)?;
                self.cache_bytes / 8
            }
        };
        // Negative: in KiB rather than pages.
        let cache_kib = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
        connection.pragma_update(None, "cache_size", -cache_kib)
    }
}

/// What the handles of one process share about a file, for as long as one of them is there.
pub(crate) struct PerFile<T>(LazyLock<Mutex<HashMap<PathBuf, Weak<T>>>>);

impl<T: Default> PerFile<T> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// What belongs to the file at a canonical path.
    pub(crate) fn of(&self, path: &Path) -> Arc<T> {
        let mut files = lock(&self.0);
        files.retain(|_, shared| shared.strong_count() > 0);
        files.get(path).and_then(Weak::upgrade).unwrap_or_else(|| {
            let shared = Arc::default();
            files.insert(path.to_owned(), Arc::downgrade(&shared));
            shared
        })
    }
}

/// Lets the writers of one process into a database file one at a time, in order of arrival. SQLite
/// alone would let them poll, and could starve any of them.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Queue>);

#[derive(Default)]
struct Queue {
    tickets: Mutex<Tickets>,
    moved: Condvar,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    serving: u64,
}

/// A writer's turn; it ends when this is dropped.
#[must_use]
pub(crate) struct Turn<'a>(&'a Queue);

impl Gate {
    /// The gate of the file at a canonical path: the same one for every handle of this process.
    pub(crate) fn of(path: &Path) -> Self {
        static GATES: PerFile<Queue> = PerFile::new();
        Self(GATES.of(path))
    }

    /// Waits for its turn. Blocks; not from a runtime's thread.
    pub(crate) fn enter(&self) -> Turn<'_> {
        let mut tickets = lock(&self.0.tickets);
        let mine = tickets.next;
        tickets.next += 1;
        while tickets.serving != mine {
            tickets = self.0.moved.wait(tickets).unwrap_or_else(PoisonError::into_inner);
        }
        Turn(&self.0)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.0.tickets).serving += 1;
        self.0.moved.notify_all();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// Locks a mutex, poisoned or not: what it guards (counters and maps) is valid even after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Retries while another connection is in the way, until `patience` runs out: for the few statements
/// that do not call SQLite's busy handler.
pub(crate) fn retry_busy<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::sync::mpsc as std_mpsc;

    use super::*;

    fn file() -> (tempfile::TempDir, DatabaseFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.db");
        Connection::open(&path).unwrap();
        let options = SqliteOptions::at(&path);
        (folder, DatabaseFile::new(path, &options).unwrap())
    }

    #[test]
    fn appends_are_synced_and_readers_cannot_write() {
        let (_folder, file) = file();
        let number = |connection: &Connection, pragma: &str| -> i64 {
            connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap()
        };
        let append = file.connect(Role::Append).unwrap();
        assert_eq!(number(&append, "synchronous"), 2);
        assert_eq!(number(&append, "fullfsync"), 1);
        let project = file.connect(Role::Project).unwrap();
        assert_eq!(number(&project, "synchronous"), 1);
        for connection in [&append, &project] {
            assert_eq!(number(connection, "foreign_keys"), 1);
            assert_eq!(number(connection, "recursive_triggers"), 1);
            assert_eq!(number(connection, "cache_size"), -8192);
        }
        let read = file.connect(Role::Read).unwrap();
        let error = read.execute_batch("CREATE TABLE t (c)").unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    }

    #[test]
    fn a_removed_file_does_not_come_back_empty() {
        let (folder, file) = file();
        std::fs::remove_file(file.path()).unwrap();
        assert!(file.connect(Role::Append).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn writers_enter_in_the_order_in_which_they_come() {
        let gate = Gate::of(Path::new("/writers/enter/in/order"));
        let same = Gate::of(Path::new("/writers/enter/in/order"));
        let (entered, order) = std_mpsc::channel();
        let first = gate.enter();
        thread::scope(|scope| {
            for nth in 0..8u64 {
                let (same, entered) = (&same, entered.clone());
                scope.spawn(move || {
                    let _turn = same.enter();
                    entered.send(nth).unwrap();
                });
                // The next one comes once this one has drawn its ticket.
                while lock(&gate.0.tickets).next != nth + 2 {
                    thread::yield_now();
                }
            }
            assert!(order.try_recv().is_err());
            drop(first);
        });
        assert_eq!(order.try_iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }
}
