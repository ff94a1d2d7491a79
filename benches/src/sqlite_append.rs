//! Durable appends on SQLite: Guildhall's group commit, and what it is held against.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use guildhall_core::{Append, Chronicle, NewEntry};
use guildhall_store_sqlite::{SqliteChronicle, SqliteOptions, SqliteStore};
use guildhall_workload::{Mix, Workload};
use rusqlite::{Connection, params};

use crate::rounds::Turn;
use crate::tasks::{Appender, Appending, TURN, append, turn};

/// How an append becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Guildhall as it is.
    GroupCommit,
    /// Guildhall, with groups of one: each append has a transaction, and an fsync, of its own.
    OneEach,
    /// One prepared `INSERT` in a transaction of its own, on one connection that the tasks share,
    /// into a table with the Chronicle's columns and keys. Nothing is hashed, looked up or refused.
    BareInserts,
}

impl Way {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::GroupCommit, Self::OneEach, Self::BareInserts];
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GroupCommit => "group commit",
            Self::OneEach => "one transaction an append",
            Self::BareInserts => "bare inserts",
        })
    }
}

impl Appending<Way> {
    /// Appends for a while to a new Chronicle in a folder of its own within this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn turn(self, folder: &Path) -> anyhow::Result<Turn> {
        self.turn_of(folder, TURN).await
    }

    async fn turn_of(self, folder: &Path, time: Duration) -> anyhow::Result<Turn> {
        let folder = tempfile::tempdir_in(folder)?;
        let path = folder.path().join("chronicle.db");
        match self.way {
            Way::GroupCommit => self.append(SqliteOptions::at(path), time).await,
            Way::OneEach => {
                let mut options = SqliteOptions::at(path);
                options.group_entries = 1;
                self.append(options, time).await
            }
            Way::BareInserts => self.insert(&path, time),
        }
    }

    async fn append(self, options: SqliteOptions, time: Duration) -> anyhow::Result<Turn> {
        let chronicle = SqliteStore::open_with(options).await?.chronicle();
        append(self.logs().map(|log| (Guildhall(chronicle.clone()), log)), time).await
    }

    fn insert(self, path: &Path, time: Duration) -> anyhow::Result<Turn> {
        let connection = Connection::open(path)?;
        make_entries(&connection)?;
        let connection = Arc::new(Mutex::new((connection, 0)));
        let logs: Vec<_> = self.logs().collect();
        let began = Instant::now();
        let threads: Vec<_> = logs
            .into_iter()
            .map(|log| {
                let connection = Arc::clone(&connection);
                std::thread::spawn(move || {
                    let mut appended = 0_u32;
                    for entry in log {
                        let mut shared = connection.lock().unwrap_or_else(PoisonError::into_inner);
                        let (connection, version) = &mut *shared;
                        *version += 1;
                        insert(connection, &entry, *version)?;
                        drop(shared);
                        appended += 1;
                        if began.elapsed() >= time {
                            break;
                        }
                    }
                    anyhow::Ok(appended)
                })
            })
            .collect();
        let mut appended = 0;
        for thread in threads {
            appended += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(turn(appended, began.elapsed()))
    }

    /// A log for each task; none of their streams meet.
    fn logs(self) -> impl Iterator<Item = Workload> {
        (0..self.tasks as u64).map(|seed| Workload::new(seed, Mix::CUSTODY))
    }
}

struct Guildhall(SqliteChronicle);

impl Appender for Guildhall {
    type Event = NewEntry;

    async fn append(&mut self, entry: NewEntry) -> anyhow::Result<()> {
        self.0.append(Append::of([entry])).await?;
        Ok(())
    }
}

/// A table with the Chronicle's columns and keys, on a connection that syncs each commit as Guildhall's
/// appending one does.
pub(crate) fn make_entries(connection: &Connection) -> anyhow::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        bail!("the journal's mode is {mode}");
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    connection.pragma_update(None, "cache_size", -(64 << 10))?;
    connection.execute_batch(
        "CREATE TABLE entries (
            position INTEGER PRIMARY KEY, event_id BLOB NOT NULL UNIQUE, stream_id BLOB NOT NULL,
            version INTEGER NOT NULL, event_type TEXT NOT NULL, payload TEXT NOT NULL,
            metadata TEXT NOT NULL, recorded_at TEXT NOT NULL, leaf_hash BLOB NOT NULL,
            UNIQUE (stream_id, version)
        ) STRICT",
    )?;
    Ok(())
}

/// One transaction.
fn insert(connection: &Connection, entry: &NewEntry, version: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO entries (event_id, stream_id, version, event_type, payload, metadata, \
             recorded_at, leaf_hash) VALUES (?1, ?2, ?3, ?4, ?5, '{}', ?6, ?7)",
        )?
        .execute(params![
            entry.event_id.as_uuid().as_bytes(),
            entry.stream_id.as_uuid().as_bytes(),
            version,
            entry.event_type.as_str(),
            entry.payload.as_str(),
            "2026-01-01T00:00:00.000000Z",
            [7_u8; 32],
        ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_appends_from_every_task() {
        let folder = tempfile::tempdir().unwrap();
        for appending in Appending::all(&Way::ALL) {
            let turn = appending.turn_of(folder.path(), Duration::ZERO).await.unwrap();
            assert!(turn.rate > 0.0, "{appending}");
        }
    }
}
