//! SQLite: Guildhall's ways of filling the Ops DB, and what they are held against.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use guildhall_core::Chronicle;
use guildhall_projector::{Settings, catch_up, rebuild};
use guildhall_store_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use sha2::{Digest, Sha256};

use crate::machine::peak_bytes;
use crate::recorded::record;
use crate::rounds::Turn;

/// Guildhall's projector, from nothing.
pub const CATCH_UP: &str = "catch-up";
/// Guildhall's rebuild, beside an empty live generation: the same work as the others do.
pub const REBUILD: &str = "rebuild";
/// Guildhall's rebuild, beside a live generation that holds all of it, and is dropped in the end.
pub const REBUILD_OVER: &str = "rebuild over a full one";
/// Floor (a): the finished rows, in memory as SQLite takes them, by cached prepared statements in
/// one transaction into the indexed tables.
pub const FINISHED_ROWS: &str = "finished rows";
/// Floor (b): `INSERT … SELECT` over the Chronicle in one transaction into the indexed tables.
pub const SET_BASED: &str = "set-based SQL";

/// All of them, in the order in which they are shown.
pub const WAYS: [&str; 5] = [CATCH_UP, REBUILD, REBUILD_OVER, FINISHED_ROWS, SET_BASED];

/// The tables that all of them fill, referenced ones first. Guildhall fills those of history as well,
/// which no floor does.
const TABLES: [&str; 5] = [
    "accord_bindings",
    "governed_artifacts",
    "custody_transitions",
    "deployment_states",
    "verification_results",
];

/// The files of a run: the Chronicle, and an Ops DB that was filled from it.
#[derive(Debug)]
pub struct Files {
    chronicle: PathBuf,
    filled: PathBuf,
    /// The Ops DB of the turn under way.
    ops: PathBuf,
}

impl Files {
    /// In this folder.
    pub fn within(folder: &Path) -> Self {
        Self {
            chronicle: folder.join("chronicle.db"),
            filled: folder.join("filled.db"),
            ops: folder.join("ops.db"),
        }
    }

    /// Records so many entries and fills an Ops DB from them.
    ///
    /// # Errors
    /// The store's.
    pub async fn make(&self, entries: usize) -> anyhow::Result<()> {
        let store = self.open(&self.filled).await?;
        let chronicle = store.chronicle();
        record(&chronicle, entries).await?;
        project(&store).await?;
        drop(store);
        fold_in_log(&self.chronicle)?;
        fold_in_log(&self.filled)
    }

    async fn open(&self, ops: &Path) -> anyhow::Result<SqliteStore> {
        let mut options = SqliteOptions::at(&self.chronicle);
        options.ops_path = Some(ops.to_owned());
        Ok(SqliteStore::open_with(options).await?)
    }

    /// Takes one turn: fills an Ops DB in this way. The time ends when all of it is committed and
    /// the write-ahead log is folded into the file.
    ///
    /// # Errors
    /// Where the way is none of [`WAYS`], and the store's.
    pub async fn turn(&self, way: &str) -> anyhow::Result<Turn> {
        remove(&self.ops)?;
        if way == REBUILD_OVER {
            std::fs::copy(&self.filled, &self.ops)?;
        }
        // The tables are there, and so are their keys, indexes and triggers.
        let store = self.open(&self.ops).await?;
        let entries = store.chronicle().head().await?.position.get();
        let seconds = match way {
            CATCH_UP => {
                let began = Instant::now();
                project(&store).await?;
                fold_in_log(&self.ops)?;
                began.elapsed()
            }
            REBUILD | REBUILD_OVER => {
                let (chronicle, projector) = (Arc::new(store.chronicle()), store.projector());
                let projector = projector.start()?;
                let began = Instant::now();
                rebuild(chronicle, &projector, &Settings::default(), |_| {}).await?;
                fold_in_log(&self.ops)?;
                began.elapsed()
            }
            FINISHED_ROWS => {
                drop(store);
                let rows = FinishedRows::read(&self.filled)?;
                let mut connection = connect(&self.ops)?;
                let began = Instant::now();
                rows.insert(&mut connection)?;
                fold_in_log(&self.ops)?;
                began.elapsed()
            }
            SET_BASED => {
                drop(store);
                let mut connection = connect(&self.ops)?;
                connection.execute("ATTACH ?1 AS log", [self.chronicle.to_str()])?;
                let began = Instant::now();
                let transaction = connection.transaction()?;
                transaction.execute_batch(include_str!("sqlite/set_based.sql"))?;
                transaction.commit()?;
                fold_in_log(&self.ops)?;
                began.elapsed()
            }
            other => bail!("{other:?} is not a way to fill the Ops DB"),
        };
        let peak_bytes = peak_bytes();
        let digest = digest(&self.ops)?;
        #[expect(clippy::cast_precision_loss, reason = "a log has fewer than 2^53 entries")]
        let rate = entries as f64 / seconds.as_secs_f64();
        Ok(Turn { rate, peak_bytes, digest: Some(digest), latency: None })
    }
}

async fn project(store: &SqliteStore) -> anyhow::Result<()> {
    let (chronicle, projector) = (Arc::new(store.chronicle()), store.projector().start()?);
    catch_up(chronicle, Arc::new(projector), &Settings::default(), |_| {}).await?;
    Ok(())
}

/// A connection like the projector's own.
fn connect(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    connection.pragma_update(None, "cache_size", -(64 << 10))?;
    Ok(connection)
}

fn fold_in_log(path: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(path)?;
    let is_busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        bail!("somebody still uses {}", path.display());
    }
    Ok(())
}

fn remove(database: &Path) -> anyhow::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Rows as SQLite takes them.
struct FinishedRows(Vec<(String, Vec<Vec<Value>>)>);

impl FinishedRows {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        let read = |table: &&str| {
            let mut select = connection.prepare(&format!("SELECT * FROM {table}"))?;
            let columns = select.column_count();
            let rows = select.query_map([], |row| (0..columns).map(|at| row.get(at)).collect())?;
            let rows: Vec<Vec<Value>> = rows.collect::<rusqlite::Result<_>>()?;
            let places = vec!["?"; columns].join(", ");
            Ok((format!("INSERT INTO {table} VALUES ({places})"), rows))
        };
        TABLES.iter().map(read).collect::<anyhow::Result<_>>().map(Self)
    }

    fn insert(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let transaction = connection.transaction()?;
        for (insert, rows) in &self.0 {
            let mut insert = transaction.prepare_cached(insert)?;
            for row in rows {
                insert.execute(params_from_iter(row))?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// A digest of every row of every table, whatever the order in which they were written.
fn digest(path: &Path) -> anyhow::Result<String> {
    const KEYS: [&str; 5] = ["id", "id", "artifact_id, seq", "artifact_id, target", "id"];
    let connection = Connection::open(path)?;
    let mut digest = Sha256::new();
    for (table, key) in TABLES.iter().zip(KEYS) {
        let mut select = connection.prepare(&format!("SELECT * FROM {table} ORDER BY {key}"))?;
        let columns = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            for at in 0..columns {
                digest.update(format!("{:?}", row.get_ref(at)?));
            }
        }
    }
    Ok(format!("{:?}", digest.finalize()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_fills_the_tables_alike() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::within(folder.path());
        files.make(5_000).await.unwrap();
        let expected = digest(&files.filled).unwrap();
        for way in WAYS {
            let turn = files.turn(way).await.unwrap();
            assert_eq!(turn.digest.as_ref(), Some(&expected), "{way}");
        }
    }

    #[tokio::test]
    async fn tables_that_differ_have_other_digests() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::within(folder.path());
        files.make(300).await.unwrap();
        let before = digest(&files.filled).unwrap();
        let connection = Connection::open(&files.filled).unwrap();
        connection
            .execute("UPDATE deployment_states SET detail = '1' WHERE rowid = 1", [])
            .unwrap();
        assert_ne!(digest(&files.filled).unwrap(), before);
    }
}
