//! Proving: verifying a log and auditing its tables, and what they are held against.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use anyhow::{bail, ensure};
use futures::TryStreamExt;
use guildhall_core::{CustodyPolicy, OpsDb, Rebuild, Seals};
use guildhall_projector::{Settings, proof, rebuild};
use guildhall_proof::verify::{Known, Verdict};
use guildhall_store_postgres::PostgresStore;
use guildhall_store_sqlite::SqliteStore;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::cluster::Database;
use crate::machine::peak_bytes;
use crate::recorded::fill;
use crate::rounds::Turn;

/// The floor: the driver alone reads every entry in order, and two threads hash the payloads.
pub const FLOOR: &str = "read and hash";
/// `guildhall verify`.
pub const VERIFY: &str = "verify";
/// What the audit is held against: the tables are made anew.
pub const REBUILD: &str = "rebuild";
/// `guildhall audit`.
pub const AUDIT: &str = "audit";

/// All of them, in the order in which they are shown.
pub const WAYS: [&str; 4] = [FLOOR, VERIFY, REBUILD, AUDIT];

/// How many payloads are handed to a thread at a time.
const CHUNK: usize = 1_024;

/// A database whose tables are filled.
#[derive(Debug, Serialize, Deserialize)]
pub enum Place {
    /// On SQLite.
    File(PathBuf),
    /// On PostgreSQL.
    Server(String),
}

/// A database on a server, which is dropped with this.
#[derive(Debug)]
pub struct OnServer(Database);

impl OnServer {
    /// Makes one with so many entries.
    ///
    /// # Errors
    /// The store's.
    pub async fn make(url: &str, entries: usize) -> anyhow::Result<Self> {
        let database = Database::create_on(url);
        let store = PostgresStore::open(database.url()).await?;
        fill(Arc::new(store.chronicle()), Arc::new(store.projector().start()?), entries).await?;
        let mut connection = PgConnection::connect(database.url()).await?;
        sqlx::raw_sql("VACUUM (FREEZE, ANALYZE)").execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self(database))
    }

    /// What a turn needs to know of it.
    pub fn place(&self) -> Place {
        Place::Server(self.0.url().to_owned())
    }
}

/// An open store, as each of them is.
struct Store {
    log: Arc<dyn Seals>,
    ops_db: Arc<dyn OpsDb>,
    projector: Arc<dyn Rebuild>,
}

impl Place {
    /// Makes a file with so many entries.
    ///
    /// # Errors
    /// The store's.
    pub async fn in_file(path: &Path, entries: usize) -> anyhow::Result<Self> {
        let store = SqliteStore::open(path).await?;
        fill(Arc::new(store.chronicle()), Arc::new(store.projector().start()?), entries).await?;
        store.close().await?;
        Ok(Self::File(path.to_owned()))
    }

    /// Takes one turn. The time ends when there is a report, or the tables are made.
    ///
    /// # Errors
    /// Where the way is none of [`WAYS`], something does not hold, and the store's.
    pub async fn turn(&self, way: &str) -> anyhow::Result<Turn> {
        if way == FLOOR {
            let began = Instant::now();
            let entries = self.read_and_hash().await?;
            return Ok(turn(entries, began));
        }
        let store = self.open().await?;
        let began = Instant::now();
        let entries = match way {
            VERIFY => {
                let verified =
                    proof::verify(store.log, Known::default(), Vec::new(), |_| {}).await?;
                // Nobody sealed it: the seals of a log cost nothing beside its entries.
                ensure!(verified.verdict == Verdict::Unknown && verified.wrong == 0);
                verified.entries
            }
            REBUILD => {
                let settings = Settings::default();
                let rebuilt = rebuild(store.log, &*store.projector, &settings, |_| {}).await?;
                rebuilt.position.get()
            }
            AUDIT => {
                let (policy, settings) = (CustodyPolicy::standard(), Settings::default());
                let audited =
                    proof::audit(store.log, &*store.ops_db, &policy, &settings, |_| {}).await?;
                ensure!(audited.holds, "{audited:?}");
                audited.entries
            }
            other => bail!("{other:?} is not a way to prove anything"),
        };
        Ok(turn(entries, began))
    }

    async fn open(&self) -> anyhow::Result<Store> {
        Ok(match self {
            Self::File(path) => {
                let store = SqliteStore::open(path).await?;
                Store {
                    log: Arc::new(store.chronicle()),
                    ops_db: Arc::new(store.ops_db()),
                    projector: Arc::new(store.projector().start()?),
                }
            }
            Self::Server(url) => {
                let store = PostgresStore::open(url).await?;
                Store {
                    log: Arc::new(store.chronicle()),
                    ops_db: Arc::new(store.ops_db()),
                    projector: Arc::new(store.projector().start()?),
                }
            }
        })
    }

    /// Reads every column of every entry, as whoever wants to check it must.
    async fn read_and_hash(&self) -> anyhow::Result<u64> {
        const ALL: &str =
            "position, event_id, stream_id, version, event_type, payload, recorded_at, leaf_hash";
        let hashers = Hashers::start();
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut entries = 0;
        match self {
            Self::File(path) => {
                let connection =
                    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
                let sql = format!("SELECT {ALL} FROM chronicle_entries ORDER BY position");
                let mut select = connection.prepare(&sql)?;
                let mut rows = select.query([])?;
                while let Some(row) = rows.next()? {
                    chunk.push(row.get_ref(5)?.as_str()?.into());
                    entries += 1;
                    hashers.hash_full(&mut chunk)?;
                }
            }
            Self::Server(url) => {
                let mut connection = PgConnection::connect(url).await?;
                let sql =
                    format!("SELECT {ALL} FROM guildhall.chronicle_entries ORDER BY position");
                let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch(&mut connection);
                while let Some(row) = rows.try_next().await? {
                    chunk.push(row.try_get::<&str, _>(5)?.into());
                    entries += 1;
                    hashers.hash_full(&mut chunk)?;
                }
            }
        }
        hashers.finish(chunk)?;
        Ok(entries)
    }
}

fn turn(entries: u64, began: Instant) -> Turn {
    #[expect(clippy::cast_precision_loss, reason = "a log has fewer than 2^53 entries")]
    let rate = entries as f64 / began.elapsed().as_secs_f64();
    Turn { rate, peak_bytes: peak_bytes(), digest: None, latency: None }
}

/// Two threads that hash what they are sent, in turns.
struct Hashers {
    queues: Vec<mpsc::SyncSender<Vec<Box<str>>>>,
    threads: Vec<thread::JoinHandle<[u8; 32]>>,
    next: std::cell::Cell<usize>,
}

impl Hashers {
    fn start() -> Self {
        let hasher = |_| {
            let (queue, chunks) = mpsc::sync_channel::<Vec<Box<str>>>(4);
            let hash = move || {
                let payloads = chunks.into_iter().flatten();
                // What is hashed is kept, so that nobody leaves it out.
                payloads.fold([0; 32], |mut all: [u8; 32], payload| {
                    let hash: [u8; 32] = Sha256::digest(payload.as_bytes()).into();
                    all.iter_mut().zip(hash).for_each(|(all, byte)| *all ^= byte);
                    all
                })
            };
            (queue, thread::spawn(hash))
        };
        let (queues, threads) = (0..2).map(hasher).unzip();
        Self { queues, threads, next: std::cell::Cell::new(0) }
    }

    fn hash_full(&self, chunk: &mut Vec<Box<str>>) -> anyhow::Result<()> {
        if chunk.len() < CHUNK {
            return Ok(());
        }
        let full = std::mem::replace(chunk, Vec::with_capacity(CHUNK));
        let next = self.next.get();
        self.next.set(next + 1);
        Ok(self.queues[next % self.queues.len()].send(full)?)
    }

    fn finish(self, last: Vec<Box<str>>) -> anyhow::Result<()> {
        self.queues[0].send(last)?;
        drop(self.queues);
        for thread in self.threads {
            let hash = thread.join().map_err(|_| anyhow::anyhow!("a hashing thread panicked"))?;
            std::hint::black_box(hash);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_is_taken_through_the_whole_log() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::in_file(&folder.path().join("guildhall.db"), 3_000).await.unwrap();
        for way in WAYS {
            assert!(place.turn(way).await.unwrap().rate > 0.0, "{way}");
        }
        assert_eq!(place.read_and_hash().await.unwrap(), 3_000);
    }
}
