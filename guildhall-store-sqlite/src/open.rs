//! Opening a file: is it ours, does this version know its tables, are they as the migrations made
//! them, and which ones are missing?
//!
//! A refused file is left unchanged: everything is checked, through connections that cannot write,
//! before anything is written.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use guildhall_core::store::Family;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::connection::{DatabaseFile, Role, retry_busy};
use crate::error::{OpenError, open_error};
use crate::family::{self, CREATE_MIGRATIONS};
use crate::migrate::{APPLICATION_ID, check, pending, run};
use crate::options::SqliteOptions;
use crate::reader::Reader;
use crate::schema::definition;
use crate::untouched::{is_there, open_untouched, open_with_log};

/// Opens a file, or creates it, with the tables of these families in their newest form. Blocks.
pub(crate) fn open_file(
    path: &Path,
    families: &[Family],
    options: &SqliteOptions,
) -> Result<DatabaseFile, OpenError> {
    check_path(path)?;
    create(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let (path, bytes) = locate(path)?;
    if bytes > 0 {
        check_settled(&path, families)?;
    }
    let file = DatabaseFile::new(path.clone(), options)
        .map_err(|source| OpenError::Io { path, source })?;
    prepare(&file, families, options)?;
    Ok(file)
}

/// Finds a file to read, with the tables of these families in their newest form. Blocks.
pub(crate) fn find_file(
    path: &Path,
    families: &[Family],
    options: &SqliteOptions,
) -> Result<DatabaseFile, OpenError> {
    check_path(path)?;
    let (path, bytes) = locate(path)?;
    if bytes == 0 {
        return Err(OpenError::NotSqlite { path });
    }
    // The main file alone says whose file it is, and another program's file is not touched. Where it
    // is torn, because another process is folding the log in, the reader looks again.
    let untouched = open_untouched(&path).and_then(|connection| Owner::load(&connection));
    match untouched {
        Ok(owner) => owner.check(&path)?,
        Err(error) if is_corrupt(&error) => {}
        Err(error) => return Err(foreign_error(&path, error)),
    }
    let file = DatabaseFile::read_only(path.clone(), options)
        .map_err(|source| OpenError::Io { path: path.clone(), source })?;
    let reader = Reader::connect(&file)?;
    let owner = Owner::load(reader.connection()).map_err(|error| foreign_error(&path, error))?;
    owner.check(&path)?;
    for (family, found) in check(reader.connection(), &path, families)? {
        let known = family::newest(family);
        if found < known {
            return Err(OpenError::OlderSchema { path, family, found, known });
        }
    }
    Ok(file)
}

/// Refuses what SQLite would not treat as the name of a file. It interprets a URI whether asked to
/// or not, and a name such as `sqlite:guildhall.db` is a URL that nobody parsed.
fn check_path(path: &Path) -> Result<(), OpenError> {
    let text = path.as_os_str().as_encoded_bytes();
    let is_none = text.is_empty()
        || text == b":memory:"
        || [&b"file:"[..], b"sqlite:"].iter().any(|scheme| text.starts_with(scheme));
    if is_none { Err(OpenError::NotAPath { path: path.to_owned() }) } else { Ok(()) }
}

/// Creates the file if there is none, for its owner alone; SQLite gives the log beside it the same
/// mode.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // A folder that nothing can be created in, or something that is not a file.
        Err(error) => {
            if path.try_exists()? {
                Ok(())
            } else {
                Err(error)
            }
        }
        Ok(_) => Ok(()),
    }
}

/// Its canonical path and its length in bytes.
fn locate(path: &Path) -> Result<(PathBuf, u64), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let path = path.canonicalize().map_err(io)?;
    let metadata = path.metadata().map_err(io)?;
    if metadata.is_file() { Ok((path, metadata.len())) } else { Err(OpenError::NotSqlite { path }) }
}

/// Like [`check_untouched`], for a file that another connection may be closing: it folds its log in
/// and removes it, and meanwhile the main file alone looks torn. A corrupt file stays corrupt.
fn check_settled(path: &Path, families: &[Family]) -> Result<(), OpenError> {
    const ATTEMPTS: u32 = 20;
    for _ in 1..ATTEMPTS {
        match check_untouched(path, families) {
            Err(
                OpenError::Corrupt { .. }
                | OpenError::Store { .. }
                | OpenError::AlteredSchema { .. },
            ) => {
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
    let owner = match Owner::load(&untouched) {
        // Cut off while its log was folded in, the main file alone is torn; with its log it is
        // whole.
        Err(error) if is_corrupt(&error) && is_there(path, "-wal") => {
            open_with_log(path).and_then(|connection| Owner::load(&connection))
        }
        outcome => outcome,
    }
    .map_err(|error| foreign_error(path, error))?;
    owner.check(path)?;
    if is_there(path, "-journal") {
        // It was cut off while it was created. Only a connection that writes can undo that.
        return Ok(());
    }
    let outcome = if is_there(path, "-wal") {
        let connection = open_with_log(path).map_err(|error| open_error(path, error))?;
        check(&connection, path, families)
    } else {
        match check(&untouched, path, families) {
            // Another process began to write meanwhile, so what was read may be torn.
            Err(_) if is_there(path, "-wal") => return Ok(()),
            outcome => outcome,
        }
    };
    outcome.map(drop)
}

/// The error of reading a file that may be anything.
fn foreign_error(path: &Path, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotSqlite { path: path.to_owned() },
        _ => open_error(path, error),
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Whose file it is.
#[derive(Debug, Clone, Copy)]
struct Owner {
    /// From its header.
    application_id: u32,
    /// Whether it has Guildhall's table of migrations. SQL text that was dumped from a file and read
    /// back brings the tables and not the header.
    has_migrations: bool,
    /// Whether it has any table.
    is_empty: bool,
}

impl Owner {
    fn load(connection: &Connection) -> rusqlite::Result<Self> {
        // A signed number in SQL, whose bits are meant.
        let application_id = connection
            .query_row("PRAGMA application_id", [], |row| row.get(0))
            .map(i32::cast_unsigned)?;
        let mut load = connection.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema")?;
        let mut rows = load.query([])?;
        let (mut has_migrations, mut is_empty) = (false, true);
        while let Some(row) = rows.next()? {
            let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
            has_migrations |= name == "guildhall_migrations"
                && definition(&sql)
                    == definition(CREATE_MIGRATIONS.trim_end().trim_end_matches(';'));
            is_empty = false;
        }
        Ok(Self { application_id, has_migrations, is_empty })
    }

    /// Refuses another program's file.
    fn check(self, path: &Path) -> Result<(), OpenError> {
        let Self { application_id, has_migrations, .. } = self;
        if application_id == APPLICATION_ID || (application_id == 0 && has_migrations) {
            Ok(())
        } else {
            Err(OpenError::OtherProgram { path: path.to_owned(), application_id })
        }
    }
}

/// Creates what is missing.
fn prepare(
    file: &DatabaseFile,
    families: &[Family],
    options: &SqliteOptions,
) -> Result<(), OpenError> {
    let path = file.path();
    let sqlite = |error| open_error(path, error);
    let mut connection = file
        .connect(Role::Append)
        .map_err(|source| OpenError::Store { path: path.to_owned(), source })?;
    let owner = retry_busy(options.busy_timeout, || Owner::load(&connection)).map_err(sqlite)?;
    // An empty file has no migrations to look at.
    if owner.application_id != APPLICATION_ID
        || !pending(&check(&connection, path, families)?).is_empty()
    {
        let _turn = file.gate().enter();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        claim(&transaction, path)?;
        for (family, migration) in pending(&check(&transaction, path, families)?) {
            run(&transaction, family, migration).map_err(sqlite)?;
        }
        transaction.commit().map_err(sqlite)?;
    }
    use_write_ahead_log(&connection, path, options)
}

/// Makes an empty file ours, and one that lost its header; one that became another program's
/// meanwhile is refused.
fn claim(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |error| open_error(path, error);
    let owner = Owner::load(connection).map_err(sqlite)?;
    let application_id = owner.application_id;
    if application_id == APPLICATION_ID {
        return Ok(());
    }
    if owner.is_empty && application_id == 0 {
        connection.execute_batch(CREATE_MIGRATIONS).map_err(sqlite)?;
    } else {
        owner.check(path)?;
    }
    connection.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}")).map_err(sqlite)
}

fn use_write_ahead_log(
    connection: &Connection,
    path: &Path,
    options: &SqliteOptions,
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
