//! Opening a file: is it ours, does this version know its tables, and which ones are missing?
//!
//! Migrations are numbered, go forward only, and are recorded in `guildhall_migrations`. A file
//! that is refused is left as it is: everything is checked, through connections that cannot write,
//! before anything is written.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guildhall_core::{StoreError, Timestamp};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::connection::{DatabaseFile, Role, retry_busy};
use crate::error::{OpenError, fault};
use crate::options::Options;

/// The `application_id` in the header of a file of Guildhall's: "GHLD".
pub const APPLICATION_ID: u32 = 0x4748_4c44;

/// One step of a family's tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// 1, 2, 3 …
    pub(crate) number: u32,
    /// What it does, in the words of its file's name.
    pub(crate) name: &'static str,
    /// Its statements.
    pub(crate) sql: &'static str,
}

/// Which tables: a file holds one family or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The Chronicle's.
    Chronicle,
    /// The Ops DB's.
    Ops,
}

impl Family {
    /// The name in `guildhall_migrations`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chronicle => "chronicle",
            Self::Ops => "ops",
        }
    }

    fn migrations(self) -> &'static [Migration] {
        match self {
            Self::Chronicle => CHRONICLE,
            Self::Ops => OPS,
        }
    }

    fn newest(self) -> u32 {
        self.migrations().last().map_or(0, |migration| migration.number)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

const CHRONICLE: &[Migration] = &[
    Migration {
        number: 1,
        name: "entries",
        sql: include_str!("../migrations/chronicle/0001_entries.sql"),
    },
    Migration {
        number: 2,
        name: "append_only",
        sql: include_str!("../migrations/chronicle/0002_append_only.sql"),
    },
];

const OPS: &[Migration] = &[
    Migration { number: 1, name: "tables", sql: include_str!("../migrations/ops/0001_tables.sql") },
    Migration {
        number: 2,
        name: "indexes",
        sql: include_str!("../migrations/ops/0002_indexes.sql"),
    },
    Migration {
        number: 3,
        name: "append_only",
        sql: include_str!("../migrations/ops/0003_append_only.sql"),
    },
    Migration {
        number: 4,
        name: "closed_ceremonies",
        sql: include_str!("../migrations/ops/0004_closed_ceremonies.sql"),
    },
];

/// Opens a file, or creates it, with the tables of these families in their newest form. Blocks.
pub(crate) fn open_file(
    path: &Path,
    families: &[Family],
    options: &Options,
) -> Result<DatabaseFile, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if !path.try_exists().map_err(io)? {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Connection::open_with_flags(path, flags).map_err(|error| open_error(path, error))?;
    }
    let path = path.canonicalize().map_err(io)?;
    let metadata = path.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(OpenError::NotSqlite { path });
    }
    if metadata.len() > 0 {
        check_settled(&path, families)?;
    }
    let file = DatabaseFile::new(path, options);
    prepare(&file, families, options)?;
    Ok(file)
}

/// As [`check_untouched`], of a file that another connection may be closing just now: it folds its
/// log in and removes it, and the main file alone looks torn meanwhile. What is corrupt stays so.
fn check_settled(path: &Path, families: &[Family]) -> Result<(), OpenError> {
    const ATTEMPTS: u32 = 20;
    for _ in 1..ATTEMPTS {
        match check_untouched(path, families) {
            Err(OpenError::Corrupt { .. } | OpenError::Store { .. }) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
    check_untouched(path, families)
}

/// Checks that a file is ours and known, without writing a byte to it or beside it.
fn check_untouched(path: &Path, families: &[Family]) -> Result<(), OpenError> {
    // The main file alone says whose it is, in every state: the application id is committed before
    // the file is switched to its write-ahead log. It is read through SQLite, because closing a
    // file of one's own would drop the locks that this process holds on it.
    let untouched = open_untouched(path).map_err(|error| open_error(path, error))?;
    let application_id = match read_application_id(&untouched) {
        // Cut off while its log was folded in, the main file alone is torn; with its log it is
        // whole.
        Err(error) if is_corrupt(&error) && is_there(path, "-wal") => {
            open_with_log(path).and_then(|connection| read_application_id(&connection))
        }
        outcome => outcome,
    }
    .map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotSqlite { path: path.to_owned() },
        _ => open_error(path, error),
    })?;
    if application_id != APPLICATION_ID {
        return Err(OpenError::OtherProgram { path: path.to_owned(), application_id });
    }
    if is_there(path, "-journal") {
        // It was cut off while it was created. Only a connection that writes can undo that.
        return Ok(());
    }
    let outcome = if is_there(path, "-wal") {
        let connection = open_with_log(path).map_err(|error| open_error(path, error))?;
        pending(&connection, path, families)
    } else {
        match pending(&untouched, path, families) {
            // Another process began to write meanwhile, so what was read may be torn.
            Err(_) if is_there(path, "-wal") => return Ok(()),
            outcome => outcome,
        }
    };
    outcome.map(drop)
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

fn read_application_id(connection: &Connection) -> rusqlite::Result<u32> {
    // A signed number in SQL, whose bits are meant.
    connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map(i32::cast_unsigned)
}

/// Whether there is something in the file beside this one.
fn is_there(path: &Path, suffix: &str) -> bool {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    fs::metadata(PathBuf::from(beside)).is_ok_and(|metadata| metadata.len() > 0)
}

/// A connection that reads the main file alone: `immutable` keeps SQLite from taking locks and
/// from making a write-ahead log.
fn open_untouched(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)
}

/// A connection that reads the main file and its write-ahead log, and writes neither.
fn open_with_log(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from(if cfg!(windows) { "file:/" } else { "file:" });
    for &byte in path.as_os_str().as_encoded_bytes() {
        match char::from(byte) {
            '\\' if cfg!(windows) => uri.push('/'),
            plain @ ('/' | '.' | '-' | '_' | '0'..='9' | 'A'..='Z' | 'a'..='z') => uri.push(plain),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Creates what is missing.
fn prepare(file: &DatabaseFile, families: &[Family], options: &Options) -> Result<(), OpenError> {
    let path = file.path();
    let sqlite = |error| open_error(path, error);
    let mut connection = file
        .connect(Role::Append)
        .map_err(|source| OpenError::Store { path: path.to_owned(), source })?;
    let is_ours = retry_busy(options.busy_timeout, || read_application_id(&connection))
        .map_err(sqlite)?
        == APPLICATION_ID;
    if !is_ours || !pending(&connection, path, families)?.is_empty() {
        let _turn = file.gate().enter();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        claim(&transaction, path)?;
        for (family, migration) in pending(&transaction, path, families)? {
            run(&transaction, family, migration).map_err(sqlite)?;
        }
        transaction.commit().map_err(sqlite)?;
    }
    use_write_ahead_log(&connection, path, options)
}

/// Makes an empty file ours; one that became another program's meanwhile is refused.
fn claim(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |error| open_error(path, error);
    let application_id = read_application_id(connection).map_err(sqlite)?;
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    match (application_id, tables) {
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) => connection
            .execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION_ID}; {}",
                include_str!("sql/create_migrations.sql")
            ))
            .map_err(sqlite),
        _ => Err(OpenError::OtherProgram { path: path.to_owned(), application_id }),
    }
}

/// What a file of ours does not have yet.
fn pending(
    connection: &Connection,
    path: &Path,
    families: &[Family],
) -> Result<Vec<(Family, &'static Migration)>, OpenError> {
    let mut pending = Vec::new();
    for &family in families {
        let found: u32 = connection
            .query_row(
                "SELECT coalesce(max(number), 0) FROM guildhall_migrations WHERE family = ?1",
                [family.as_str()],
                |row| row.get(0),
            )
            .map_err(|error| open_error(path, error))?;
        if found > family.newest() {
            let (path, known) = (path.to_owned(), family.newest());
            return Err(OpenError::NewerSchema { path, family, found, known });
        }
        let missing = family.migrations().iter().filter(|migration| migration.number > found);
        pending.extend(missing.map(|migration| (family, migration)));
    }
    Ok(pending)
}

fn run(connection: &Connection, family: Family, migration: &Migration) -> rusqlite::Result<()> {
    connection.execute_batch(migration.sql)?;
    connection.execute(
        "INSERT INTO guildhall_migrations (family, number, name, applied_at) VALUES (?1, ?2, ?3, ?4)",
        (family.as_str(), migration.number, migration.name, now().to_string()),
    )?;
    Ok(())
}

fn use_write_ahead_log(
    connection: &Connection,
    path: &Path,
    options: &Options,
) -> Result<(), OpenError> {
    // Switching over needs the file for itself and does not call the busy handler.
    let mode: String = retry_busy(options.busy_timeout, || {
        connection.query_row("PRAGMA journal_mode = wal", [], |row| row.get(0))
    })
    .map_err(|error| open_error(path, error))?;
    if mode == "wal" {
        Ok(())
    } else {
        Err(OpenError::NoWriteAheadLog { path: path.to_owned(), found: mode })
    }
}

fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
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

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    // A clock beyond the year 9999 is not worth an error path through every append.
    Timestamp::try_from(chrono::Utc::now()).unwrap_or(Timestamp::MAX)
}
