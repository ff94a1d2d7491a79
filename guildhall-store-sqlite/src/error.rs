//! Why a file does not open, and which of SQLite's errors may pass.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use guildhall_core::{Fault, StoreError};
use rusqlite::ErrorCode;

use crate::migrate::Family;

/// Why a database file was not opened. Whichever it is, the file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is no SQLite database: choose another path.
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
    /// The file is damaged: restore it.
    #[error("{} is corrupt", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file system does not carry SQLite's write-ahead log, as network ones do not: choose a
    /// local one.
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
        /// What the operating system said.
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

/// Why a store did not close as it should. Its threads have ended all the same; what was
/// acknowledged is in the file and in the log beside it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// Another handle or process reads or writes the file just now, so that its log could not be
    /// folded in: keep the file and the one beside it whose name ends in `-wal` together, or close
    /// the other and then this store again.
    #[error("{} is in use elsewhere: its newest entries stay in the file beside it that ends in -wal", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed otherwise; a transient fault is worth another try.
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

/// A thread that answers for a connection is gone: it panicked, or the process is shutting down.
#[derive(Debug, thiserror::Error)]
#[error("the thread that owns the connection gave no answer")]
pub(crate) struct NoAnswer;

/// The store was closed.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
pub(crate) struct Closed;
