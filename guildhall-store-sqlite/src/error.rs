//! Why a file does not open, and which of SQLite's errors may pass.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use guildhall_core::store::Family;
use guildhall_core::{ApplyError, Disagreement, Fault, LogFault, Position, StoreError};
use rusqlite::{ErrorCode, ffi};

use crate::schema::SchemaFault;

/// Why a database file was not opened. In every case the file is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is not a SQLite database: choose another path.
    #[error("{} is not a SQLite database", .path.display())]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database that Guildhall did not make: choose another path.
    #[error("{} belongs to another program (application id {application_id:#010x})", .path.display())]
    OtherProgram {
        /// The file.
        path: PathBuf,
        /// The `application_id` in its header; 0 where its program sets none.
        application_id: u32,
    },
    /// A newer Guildhall made the tables: use that version.
    #[error("{} has migration {found} of the {family} tables, this version knows {known}", .path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Which tables.
        family: Family,
        /// The newest migration that the file has.
        found: u32,
        /// The newest migration that this version knows.
        known: u32,
    },
    /// An older Guildhall made the tables, and a store opened for reading does not migrate them: open
    /// it for writing once.
    #[error(
        "{} has migration {found} of the {family} tables, reading needs {known}: open it once for writing", .path.display()
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Which tables.
        family: Family,
        /// The newest migration that the file has; 0 where it has none of them.
        found: u32,
        /// The newest migration that this version knows.
        known: u32,
    },
    /// Somebody changed the tables, their keys or their triggers: drop what is foreign, and recreate
    /// what is missing or altered as the files in this crate's `migrations/` do.
    #[error("{} is not as its migrations made it: {}", .path.display(), join(.faults))]
    AlteredSchema {
        /// The file.
        path: PathBuf,
        /// Each difference.
        faults: Vec<SchemaFault>,
    },
    /// The path is not the name of a file: in-memory databases and SQLite's URIs are not supported. To
    /// open a file with such a name, put `./` before it.
    #[error("{:?} is not the path of a database file", .path)]
    NotAPath {
        /// The path.
        path: PathBuf,
    },
    /// The newest entries are in the log beside the file, which cannot be read in place because
    /// nothing can be written there: copy the file and its log (`-wal`) to a writable folder, or let
    /// a store that can write close the file first.
    #[error("the log beside {} cannot be read without writing beside it", .path.display())]
    LogUnreadable {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged: restore it.
    #[error("{} is corrupt", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file system, say a network one, does not support SQLite's write-ahead log: choose a local
    /// one.
    #[error("{} cannot use a write-ahead log: its journal mode stays {found:?}", .path.display())]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
        /// The journal mode that SQLite offers there.
        found: String,
    },
    /// The file could not be found, read or created.
    #[error("{} cannot be opened", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// SQLite failed otherwise; a transient fault is worth another try.
    #[error("{} cannot be opened", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: StoreError,
    },
}

impl OpenError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store { source, .. } if source.is_transient())
    }
}

fn join(faults: &[SchemaFault]) -> String {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.join(", ")
}

/// The error of SQLite's as that of opening a file.
pub(crate) fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Corrupt { path, source: error.into() }
        }
        _ => {
            let source = StoreError {
                doing: "opening the database",
                fault: fault(&error),
                source: error.into(),
            };
            OpenError::Store { path, source }
        }
    }
}

/// Why a store did not close cleanly. Its threads have ended all the same; what was acknowledged is
/// in the file and the log beside it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// Another handle or process is using the file, so its log could not be folded in: keep the file
    /// and the one beside it whose name ends in `-wal` together, or close the other one first and
    /// then this store again.
    #[error("{} is in use elsewhere: its newest entries stay in the file beside it that ends in -wal", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed otherwise; a transient fault is worth another try. Where it carries
    /// [`LogFault::FileReplaced`](guildhall_core::LogFault::FileReplaced), the file was removed or
    /// replaced and nothing was touched: remove the old `-wal` and `-shm` before you open the file
    /// that is there now.
    #[error("{} cannot be closed", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: StoreError,
    },
}

impl CloseError {
    /// Whether closing again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::InUse { .. } => true,
            Self::Store { source, .. } => source.is_transient(),
        }
    }
}

/// Says what the store was doing when SQLite failed.
pub(crate) trait Doing<T> {
    /// The error as a [`StoreError`] of the right fault.
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, LogFault> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|fault| StoreError::log(doing, fault))
    }
}

impl<T> Doing<T> for Result<T, OpenError> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError {
            doing,
            fault: if error.is_transient() { Fault::Transient } else { Fault::Permanent },
            source: error.into(),
        })
    }
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError { doing, fault: fault(&error), source: error.into() })
    }
}

/// Whether trying again can help against an error of SQLite.
pub(crate) fn fault(error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        // Another connection holds a lock, a read or write may succeed next time, memory may be
        // freed, and an interrupted statement was stopped by someone.
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::SchemaChanged,
        ) => Fault::Transient,
        _ => Fault::Permanent,
    }
}

/// Why rows were not written to the tables of a projector whose checkpoint is `checkpoint`: a row that
/// exists already, or one that is missing, shows that the tables are not what the log makes.
pub(crate) fn disagreement(
    doing: &'static str,
    error: rusqlite::Error,
    checkpoint: Position,
) -> ApplyError {
    let found = match &error {
        rusqlite::Error::SqliteFailure(failure, Some(message)) => {
            let constraint = message.clone();
            match failure.extended_code {
                ffi::SQLITE_CONSTRAINT_UNIQUE
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID
                | ffi::SQLITE_CONSTRAINT_TRIGGER => Some(Disagreement::RowExists { constraint }),
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Disagreement::RowMissing { constraint }),
                _ => None,
            }
        }
        // Of the statements, those that change an artifact count what they changed.
        rusqlite::Error::StatementChangedRows(_) => {
            Some(Disagreement::RowMissing { constraint: "governed_artifacts.id".to_owned() })
        }
        _ => None,
    };
    match found {
        Some(found) => ApplyError::Disagrees { checkpoint, found },
        None => StoreError { doing, fault: fault(&error), source: error.into() }.into(),
    }
}

/// The thread that owns a connection is gone: it panicked, or the process is shutting down.
#[derive(Debug, thiserror::Error)]
#[error("the thread that owns the connection gave no answer")]
pub(crate) struct NoAnswer;

/// The store was closed.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
pub(crate) struct Closed;

/// The store was opened for reading.
#[derive(Debug, thiserror::Error)]
#[error("the store was opened for reading only")]
pub(crate) struct ReadOnly;

/// Another process changed a file that was read as if nobody could write it.
#[derive(Debug, thiserror::Error)]
#[error("the file changed while it was read")]
pub(crate) struct Changed;
