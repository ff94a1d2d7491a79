//! Import and export of JSONL, and what they are held against.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use futures::TryStreamExt;
use guildhall_core::Chronicle;
use guildhall_core::jsonl::{self, ImportOptions, Imported, Work};
use guildhall_store_postgres::PostgresStore;
use guildhall_store_sqlite::SqliteStore;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::cluster::{Cluster, Database};
use crate::machine::peak_bytes;
use crate::recorded::record;
use crate::rounds::Turn;

/// Guildhall's import into an empty Chronicle on SQLite.
pub const SQLITE_IMPORT: &str = "import (SQLite)";
/// The same once more: every entry was recorded before.
pub const SQLITE_AGAIN: &str = "import again (SQLite)";
/// The floor of both: the finished rows, in memory as SQLite takes them, by one prepared `INSERT`, in
/// transactions as long as an import's, into a table with the Chronicle's columns and keys.
pub const SQLITE_INSERTS: &str = "prepared inserts (SQLite)";
/// Guildhall's export from SQLite.
pub const SQLITE_EXPORT: &str = "export (SQLite)";
/// The floor of an export: the same bytes, read from one file and written to another.
pub const COPY_BYTES: &str = "read and write";
/// Guildhall's import into an empty Chronicle on PostgreSQL.
pub const POSTGRES_IMPORT: &str = "import (PostgreSQL)";
/// The same once more.
pub const POSTGRES_AGAIN: &str = "import again (PostgreSQL)";
/// The floor of both: binary COPY of the finished rows, in memory as PostgreSQL takes them, into a
/// table with the Chronicle's columns, checks and keys.
pub const POSTGRES_COPY: &str = "COPY (PostgreSQL)";
/// Guildhall's export from PostgreSQL.
pub const POSTGRES_EXPORT: &str = "export (PostgreSQL)";

/// All of them, in the order in which they are shown.
pub const WAYS: [&str; 9] = [
    SQLITE_IMPORT,
    SQLITE_AGAIN,
    SQLITE_INSERTS,
    SQLITE_EXPORT,
    COPY_BYTES,
    POSTGRES_IMPORT,
    POSTGRES_AGAIN,
    POSTGRES_COPY,
    POSTGRES_EXPORT,
];

/// A log as a file, and the Chronicles that it makes.
#[derive(Debug)]
pub struct Logs {
    place: Place,
    /// Dropped with this.
    _filled: Database,
}

/// Where they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    folder: PathBuf,
    entries: usize,
    admin_url: String,
    filled: String,
}

impl Logs {
    /// Makes them, of so many entries.
    ///
    /// # Errors
    /// The stores'.
    pub async fn make(folder: &Path, cluster: &Cluster, entries: usize) -> anyhow::Result<Self> {
        let filled = Database::create_on(cluster.url());
        let (admin_url, name) = (filled.admin_url().to_owned(), filled.name().to_owned());
        let place = Place { folder: folder.to_owned(), entries, admin_url, filled: name };
        let store = SqliteStore::open(place.filled()).await?;
        let chronicle = store.chronicle();
        record(&chronicle, entries).await?;
        export(&chronicle, &place.log()).await?;
        store.close().await?;
        let store = PostgresStore::open(filled.url()).await?;
        import(&store.chronicle(), &place.log()).await?;
        Ok(Self { place, _filled: filled })
    }

    /// What a turn needs to know of them.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl Place {
    fn log(&self) -> PathBuf {
        self.folder.join("log.jsonl")
    }

    fn filled(&self) -> PathBuf {
        self.folder.join("filled.db")
    }

    /// Takes one turn. What it counts are entries.
    ///
    /// # Errors
    /// Where the way is none of [`WAYS`], and the stores'.
    pub async fn turn(&self, way: &str) -> anyhow::Result<Turn> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let (database, out) = (folder.path().join("turn.db"), folder.path().join("out.jsonl"));
        let took = match way {
            SQLITE_IMPORT => {
                let store = SqliteStore::open(&database).await?;
                self.import_new(&store.chronicle()).await?
            }
            SQLITE_AGAIN => {
                std::fs::copy(self.filled(), &database)?;
                let store = SqliteStore::open(&database).await?;
                self.import_again(&store.chronicle()).await?
            }
            SQLITE_INSERTS => insert(&self.filled(), &database)?,
            SQLITE_EXPORT => {
                let store = SqliteStore::open(self.filled()).await?;
                let took = export(&store.chronicle(), &out).await?;
                self.check(&out)?;
                took
            }
            COPY_BYTES => copy_bytes(&self.log(), &out)?,
            POSTGRES_IMPORT => {
                let database = Database::create_on(&self.admin_url);
                let store = PostgresStore::open(database.url()).await?;
                self.import_new(&store.chronicle()).await?
            }
            POSTGRES_AGAIN => {
                let database = Database::copy_on(&self.admin_url, &self.filled);
                let store = PostgresStore::open(database.url()).await?;
                self.import_again(&store.chronicle()).await?
            }
            POSTGRES_COPY => copy_rows(&Database::copy_on(&self.admin_url, &self.filled)).await?,
            POSTGRES_EXPORT => {
                let database = Database::copy_on(&self.admin_url, &self.filled);
                let store = PostgresStore::open(database.url()).await?;
                let took = export(&store.chronicle(), &out).await?;
                self.check(&out)?;
                took
            }
            other => bail!("{other:?} is not a way to import or export"),
        };
        #[expect(clippy::cast_precision_loss, reason = "a log has fewer than 2^53 entries")]
        let rate = self.entries as f64 / took.as_secs_f64();
        Ok(Turn { rate, peak_bytes: peak_bytes(), digest: None, latency: None })
    }

    async fn import_new(&self, chronicle: &dyn Chronicle) -> anyhow::Result<Duration> {
        let (took, imported) = import(chronicle, &self.log()).await?;
        ensure!(imported.appended == self.entries as u64, "{imported:?}");
        Ok(took)
    }

    async fn import_again(&self, chronicle: &dyn Chronicle) -> anyhow::Result<Duration> {
        let (took, imported) = import(chronicle, &self.log()).await?;
        ensure!(imported.recorded_before == self.entries as u64, "{imported:?}");
        Ok(took)
    }

    /// Whether an export is the log.
    fn check(&self, out: &Path) -> anyhow::Result<()> {
        let (found, expected) = (out.metadata()?.len(), self.log().metadata()?.len());
        ensure!(found == expected, "an export of {found} bytes instead of {expected}");
        Ok(())
    }
}

/// As the program does.
fn on_a_thread(work: Work) {
    drop(tokio::task::spawn_blocking(work));
}

/// How much of a file is read or written at a time.
const BUFFER_BYTES: usize = 1 << 20;

async fn import(chronicle: &dyn Chronicle, log: &Path) -> anyhow::Result<(Duration, Imported)> {
    let file = tokio::fs::File::open(log).await?;
    let reader = tokio::io::BufReader::with_capacity(BUFFER_BYTES, file);
    let began = Instant::now();
    let options = ImportOptions::default();
    let imported = jsonl::import_on(chronicle, reader, &options, on_a_thread, |_| {}).await?;
    Ok((began.elapsed(), imported))
}

async fn export(chronicle: &dyn Chronicle, out: &Path) -> anyhow::Result<Duration> {
    let file = tokio::fs::File::create(out).await?;
    let began = Instant::now();
    jsonl::export_on(chronicle, file, on_a_thread, |_| {}).await?;
    Ok(began.elapsed())
}

fn copy_bytes(from: &Path, to: &Path) -> anyhow::Result<Duration> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut buffer = vec![0; BUFFER_BYTES];
    let began = Instant::now();
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(began.elapsed()),
            read => to.write_all(&buffer[..read])?,
        }
    }
}

/// Inserts the rows of a Chronicle into a table of its columns and keys, as durably as an import does.
fn insert(from: &Path, to: &Path) -> anyhow::Result<Duration> {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    {
        let from = Connection::open(from)?;
        let mut select = from.prepare("SELECT * FROM chronicle_entries ORDER BY position")?;
        let mut found = select.query([])?;
        while let Some(row) = found.next()? {
            rows.push((0..9).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?);
        }
    }
    let mut to = Connection::open(to)?;
    crate::sqlite_append::make_entries(&to)?;
    let began = Instant::now();
    for batch in rows.chunks(ImportOptions::default().batch_entries) {
        let transaction = to.transaction()?;
        {
            let insert = "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            let mut insert = transaction.prepare_cached(insert)?;
            for row in batch {
                insert.execute(params_from_iter(row))?;
            }
        }
        transaction.commit()?;
    }
    Ok(began.elapsed())
}

/// Copies the rows of a Chronicle into a table of its columns, checks and keys, in one transaction.
async fn copy_rows(database: &Database) -> anyhow::Result<Duration> {
    use sqlx::Connection as _;

    let mut connection = PgConnection::connect(database.url()).await?;
    let mut rows = Vec::new();
    let mut chunks = connection
        .copy_out_raw("COPY guildhall.chronicle_entries TO STDOUT (FORMAT binary)")
        .await?;
    while let Some(chunk) = chunks.try_next().await? {
        rows.push(chunk);
    }
    drop(chunks);
    let table = "CREATE TABLE entries (LIKE guildhall.chronicle_entries INCLUDING ALL)";
    sqlx::raw_sql(table).execute(&mut connection).await?;
    let began = Instant::now();
    let mut copy = connection.copy_in_raw("COPY entries FROM STDIN (FORMAT binary)").await?;
    for chunk in rows {
        copy.send(chunk).await?;
    }
    copy.finish().await?;
    let took = began.elapsed();
    connection.close().await?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_takes_the_whole_log() {
        let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::start());
        let logs = Logs::make(folder.path(), &cluster, 2_500).await.unwrap();
        for way in WAYS {
            assert!(logs.place().turn(way).await.unwrap().rate > 0.0, "{way}");
        }
    }
}
