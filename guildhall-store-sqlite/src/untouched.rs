//! Looking at a file without writing a byte to it or beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Whether there is something in the file beside this one.
pub(crate) fn is_there(path: &Path, suffix: &str) -> bool {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    fs::metadata(PathBuf::from(beside)).is_ok_and(|metadata| metadata.len() > 0)
}

/// A connection that reads the main file alone: `immutable` keeps SQLite from taking locks and
/// from making a write-ahead log.
pub(crate) fn open_untouched(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)
}

/// A connection that reads the main file and its write-ahead log, and writes neither.
pub(crate) fn open_with_log(path: &Path) -> rusqlite::Result<Connection> {
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
