//! Connections that read, and what is checked before and after they do.

use std::path::Path;

use guildhall_core::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use crate::connection::{DatabaseFile, Role};
use crate::error::{Changed, Doing, OpenError, open_error};
use crate::place::{Place, Stamp};
use crate::untouched::{is_there, open_untouched};

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    file: DatabaseFile,
    connection: Connection,
    standing: Standing,
}

/// What a connection relies on.
#[derive(Debug)]
enum Standing {
    /// It takes part in SQLite's locking: its file is to be the one at its path.
    Live(Place),
    /// It reads the file as if nobody wrote it, since nothing can be written beside it.
    Still(Stamp),
}

impl Reader {
    /// Opens a connection. Blocks.
    pub(crate) fn connect(file: &DatabaseFile) -> Result<Self, OpenError> {
        let path = file.path();
        let (connection, is_still) = if file.is_read_only() {
            connect_read_only(file)?
        } else {
            let failed = |source| OpenError::Store { path: path.to_owned(), source };
            (file.connect(Role::Read).map_err(failed)?, false)
        };
        let standing = if is_still {
            Stamp::of(path).map(Standing::Still)
        } else {
            Place::of(path).map(Standing::Live)
        };
        let standing =
            standing.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { file: file.clone(), connection, standing })
    }

    /// The connection, for a check of what it opened.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Reads, unless the file is not the one that was opened.
    pub(crate) fn read<T, E: From<StoreError>>(
        &mut self,
        doing: &'static str,
        load: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let stamp =
            |path: &Path| Stamp::of(path).map_err(|error| StoreError::permanent(doing, error));
        if let Standing::Still(before) = self.standing
            && stamp(self.file.path())? != before
        {
            // Somebody can write there after all, or could for a while.
            *self = Self::connect(&self.file).doing(doing)?;
        }
        match &self.standing {
            Standing::Live(place) => {
                place.check().doing(doing)?;
                load(&mut self.connection)
            }
            Standing::Still(before) => {
                let loaded = load(&mut self.connection);
                if stamp(self.file.path())? == *before {
                    loaded
                } else {
                    Err(StoreError::transient(doing, Changed).into())
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The last connection folds the log in. One that a killed writer left is evidence: it
        // stays for a store that was opened for writing.
        if self.file.is_read_only() && is_there(self.file.path(), "-wal") {
            let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            if let Err(error) = self.connection.set_db_config(keep, true) {
                tracing::warn!(%error, "a log may be folded in by a store that only reads");
            }
        }
    }
}

/// Opens a connection that leaves nothing behind, and returns whether it reads the file as if nobody
/// wrote it.
///
/// Readers of a write-ahead log write beside the file: one that may, takes part, and SQLite removes
/// what it made. One that may not reads the log where its writers have left what that takes, and
/// the file alone where there is no log.
fn connect_read_only(file: &DatabaseFile) -> Result<(Connection, bool), OpenError> {
    let path = file.path();
    let failed = |error| open_error(path, error);
    // Falls back to reading where the file cannot be written. Nothing is read yet.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let may_write = !connection.is_readonly(MAIN_DB).map_err(failed)?;
    if may_write || (exists(path, "-wal") && exists(path, "-shm")) {
        match file.configure(&connection, Role::Read) {
            Ok(()) => return Ok((connection, false)),
            Err(error) if is_unwritable(&error) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    drop(connection);
    if is_there(path, "-wal") {
        return Err(OpenError::LogUnreadable { path: path.to_owned() });
    }
    let connection = open_untouched(path).map_err(failed)?;
    file.configure(&connection, Role::Read).map_err(failed)?;
    Ok((connection, true))
}

/// Whether something could not be made beside the file.
fn is_unwritable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn exists(path: &Path, suffix: &str) -> bool {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    Path::new(&beside).exists()
}
