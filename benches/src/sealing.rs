//! Sealing: what a seal costs, and what a sealer costs those beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guildhall_core::{Append, Chronicle, Position, Rebuild, Seals};
use guildhall_projector::proof::{Sealer, SealerSettings};
use guildhall_projector::{Settings, rebuild};
use guildhall_proof::{KeyType, SigningKey};
use guildhall_store_postgres::PostgresStore;
use guildhall_store_sqlite::SqliteStore;
use guildhall_workload::{Mix, Workload};

use crate::cluster::{Cluster, Database};
use crate::machine::peak_bytes;
use crate::rounds::Latency;

/// How many entries a seal has to cover.
const NEW: usize = 1_000;

/// How many seals are timed.
const SEALS: usize = 30;

/// How long appends are counted, with a sealer and without, in turn.
const TURN: Duration = Duration::from_secs(3);

/// How many such turns there are of each.
const TURNS: usize = 4;

/// Seeds of logs that nobody has appended yet.
static SEED: AtomicU64 = AtomicU64::new(100);

/// Where the log is.
#[derive(Debug)]
pub enum Place {
    /// A SQLite file in this folder.
    Folder(tempfile::TempDir),
    /// A database of this server.
    Server(Cluster),
}

/// What it costs. Rates are with a sealer, and without.
#[derive(Debug)]
pub struct Cost {
    /// Store and size.
    pub name: String,
    /// The first seal, of the whole log.
    pub first: Duration,
    /// Taking up where the last seal left off: a sealer that begins, where nothing is new.
    pub load: Duration,
    /// A seal after 1,000 new entries.
    pub seal: Latency,
    /// Appends of one event each, by eight tasks, a second.
    pub appends: (f64, f64),
    /// Entries projected a second.
    pub projected: (f64, f64),
    /// The process's highest resident memory, in bytes.
    pub peak_bytes: Option<u64>,
}

/// An open store, and what has to outlive it.
struct Opened {
    name: &'static str,
    log: Arc<dyn Seals>,
    projector: Arc<dyn Rebuild>,
    _database: Option<Database>,
}

async fn open(place: &Place) -> anyhow::Result<Opened> {
    match place {
        Place::Folder(folder) => {
            let store = SqliteStore::open(folder.path().join("guildhall.db")).await?;
            Ok(Opened {
                name: "SQLite",
                log: Arc::new(store.chronicle()),
                projector: Arc::new(store.projector().start()?),
                _database: None,
            })
        }
        Place::Server(cluster) => {
            let database = Database::create_on(cluster.url());
            let store = PostgresStore::open(database.url()).await?;
            Ok(Opened {
                name: "PostgreSQL",
                log: Arc::new(store.chronicle()),
                projector: Arc::new(store.projector().start()?),
                _database: Some(database),
            })
        }
    }
}

/// Measures all of it, on a log of so many entries.
///
/// # Errors
/// The store's, and the sealer's.
pub async fn measure(place: &Place, entries: usize) -> anyhow::Result<Cost> {
    measure_for(place, entries, SEALS, TURN).await
}

async fn measure_for(
    place: &Place,
    entries: usize,
    seals: usize,
    turn: Duration,
) -> anyhow::Result<Cost> {
    let opened = open(place).await?;
    let log = &opened.log;
    let mut workload = Workload::new(7, Mix::CUSTODY);
    let mut left = entries;
    while left > 0 {
        let some = left.min(5_000);
        log.append(Append::of(workload.by_ref().take(some))).await?;
        left -= some;
    }
    let key = SigningKey::from_seed("guildhall/bench".parse()?, KeyType::Ed25519, &[7; 32])?;
    let key = Arc::new(key);
    let builder = || Sealer::builder(Arc::clone(log), key.clone());

    let began = Instant::now();
    builder().seal().await?;
    let first = began.elapsed();
    let began = Instant::now();
    builder().seal().await?;
    let load = began.elapsed();

    let at_once = SealerSettings::default().entries(1).every(Duration::from_millis(1));
    let sealer = builder().settings(at_once).start();
    let mut took = Vec::new();
    for _ in 0..seals {
        let new = log.append(Append::of(workload.by_ref().take(NEW))).await?;
        let last = new.last().map_or(Position::ZERO, |appended| appended.position);
        sealer.wait_until(last).await?;
        took.extend(sealer.status().took);
    }
    sealer.shutdown().await?;
    let seal = Latency::of(took);

    let every_second = SealerSettings::default().every(Duration::from_secs(1));
    let mut appends = (0.0, 0.0);
    for _ in 0..TURNS {
        let sealer = builder().settings(every_second.clone()).start();
        appends.0 += append_for(log, turn).await?;
        sealer.shutdown().await?;
        appends.1 += append_for(log, turn).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let turns = TURNS as f64 * turn.as_secs_f64();
    let appends = (appends.0 / turns, appends.1 / turns);

    let sealer = builder().settings(every_second).start();
    let beside = project(&opened).await?;
    sealer.shutdown().await?;
    let alone = project(&opened).await?;
    let name = format!("{}, {entries}", opened.name);
    let (projected, peak_bytes) = ((beside, alone), peak_bytes());
    Ok(Cost { name, first, load, seal, appends, projected, peak_bytes })
}

/// How many events eight tasks append in that time, one event an append.
async fn append_for(log: &Arc<dyn Seals>, time: Duration) -> anyhow::Result<f64> {
    let until = Instant::now() + time;
    let tasks: Vec<_> = (0..8u64)
        .map(|_| {
            let log = Arc::clone(log);
            // None of their streams meet.
            let seed = SEED.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut appended = 0u32;
                for entry in Workload::new(seed, Mix::CUSTODY) {
                    if Instant::now() >= until {
                        break;
                    }
                    log.append(Append::of([entry])).await?;
                    appended += 1;
                }
                anyhow::Ok(appended)
            })
        })
        .collect();
    let mut appended = 0;
    for task in tasks {
        appended += task.await??;
    }
    Ok(f64::from(appended))
}

/// Entries a second, projected from the log's beginning by a rebuild, while some are appended.
async fn project(opened: &Opened) -> anyhow::Result<f64> {
    let log: Arc<dyn Chronicle> = opened.log.clone();
    let trickle = tokio::spawn({
        let (log, seed) = (Arc::clone(&log), SEED.fetch_add(1, Ordering::Relaxed));
        async move {
            let mut workload = Workload::new(seed, Mix::CUSTODY);
            let mut due = tokio::time::interval(Duration::from_millis(100));
            loop {
                due.tick().await;
                if let Err(error) = log.append(Append::of(workload.by_ref().take(20))).await {
                    return error;
                }
            }
        }
    });
    let began = Instant::now();
    let rebuilt = rebuild(log, &*opened.projector, &Settings::default(), |_| {}).await;
    let took = began.elapsed();
    trickle.abort();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    Ok(rebuilt?.entries as f64 / took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_small_log_is_measured_on_both_stores() {
        let folder = Place::Folder(tempfile::tempdir().unwrap());
        for place in [folder, Place::Server(Cluster::start())] {
            let cost = measure_for(&place, 500, 2, Duration::from_millis(200)).await.unwrap();
            assert!(cost.seal.p50 > 0.0 && cost.appends.0 > 0.0 && cost.projected.0 > 0.0);
        }
    }
}
