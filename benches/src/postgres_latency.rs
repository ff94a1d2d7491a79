//! How soon an append on PostgreSQL can be seen in the Ops DB, and what that is held against.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use guildhall_core::{Append, Chronicle, NewEntry, Position};
use guildhall_projector::{Runtime, Settings, Status};
use guildhall_store_postgres::PostgresStore;
use guildhall_workload::{Mix, Workload};
use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cluster::Database;
use crate::machine::peak_bytes;
use crate::rounds::{Latency, Turn};

/// From the acknowledgement of an append to the moment at which the projector has committed its
/// rows. The appender and the projector have a store each, so the wake-up goes through the server.
pub const COMMIT_TO_VISIBLE: &str = "commit to visible";
/// The floor: from sending a bare `NOTIFY` on one connection to hearing it on another.
pub const NOTIFY: &str = "bare NOTIFY";

/// All of them, in the order in which they are shown.
pub const WAYS: [&str; 2] = [COMMIT_TO_VISIBLE, NOTIFY];

/// How many events there are a second.
pub const RATE: u32 = 500;

/// How many events a turn has.
const EVENTS: u64 = 5_000;

/// How long an event may take before a turn fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes one turn in a database of its own, on the server at this URL.
///
/// # Errors
/// Where the way is none of [`WAYS`], and the store's.
pub async fn turn(way: &str, admin_url: &str) -> anyhow::Result<Turn> {
    turn_of(way, admin_url, EVENTS).await
}

async fn turn_of(way: &str, admin_url: &str, events: u64) -> anyhow::Result<Turn> {
    let database = Database::create_on(admin_url);
    let latencies = match way {
        COMMIT_TO_VISIBLE => commit_to_visible(&database, events).await?,
        NOTIFY => notify(&database, events).await?,
        other => bail!("{other:?} is not a way to learn of an event"),
    };
    let latency = Some(Latency::of(latencies));
    Ok(Turn { rate: f64::from(RATE), peak_bytes: peak_bytes(), digest: None, latency })
}

async fn commit_to_visible(database: &Database, events: u64) -> anyhow::Result<Vec<Duration>> {
    let appending = PostgresStore::open(database.url()).await?.chronicle();
    let store = PostgresStore::open(database.url()).await?;
    let projector = Arc::new(store.projector().start()?);
    let runtime = Runtime::spawn(Arc::new(store.chronicle()), projector, Settings::default());

    let mut log = Workload::new(7, Mix::CUSTODY);
    let mut next = || log.next().context("a log without an end");
    let first = appending.append(Append::of([next()?])).await?[0].position;
    timeout(PATIENCE, runtime.wait_until(first)).await??;
    let last = Position::try_from(first.get() + events)?;
    let seen = tokio::spawn(watch_until(runtime.watch_status(), last));

    let mut appends = JoinSet::new();
    let mut clock = clock();
    for _ in 0..events {
        clock.tick().await;
        let (chronicle, entry): (_, NewEntry) = (appending.clone(), next()?);
        appends.spawn(async move {
            let appended = chronicle.append(Append::of([entry])).await?;
            anyhow::Ok((appended[0].position, Instant::now()))
        });
    }
    let acknowledged = appends.join_all().await;
    let seen = timeout(PATIENCE, seen).await???;
    runtime.shutdown().await?;
    let mut latencies = Vec::new();
    for append in acknowledged {
        let (position, acknowledged) = append?;
        let nth = seen.partition_point(|(seen, _)| *seen < position);
        let (_, visible) = seen.get(nth).context("an entry was not seen")?;
        latencies.push(visible.saturating_duration_since(acknowledged));
    }
    Ok(latencies)
}

/// Which positions the projector committed, and when it said so.
async fn watch_until(
    mut status: watch::Receiver<Status>,
    last: Position,
) -> anyhow::Result<Vec<(Position, Instant)>> {
    let mut seen = Vec::new();
    loop {
        status.changed().await?;
        let (position, now) = (status.borrow_and_update().position, Instant::now());
        seen.push((position, now));
        if position >= last {
            return Ok(seen);
        }
    }
}

async fn notify(database: &Database, events: u64) -> anyhow::Result<Vec<Duration>> {
    let mut listener = PgListener::connect(database.url()).await?;
    listener.listen("bench").await?;
    let hearing = tokio::spawn(async move {
        let mut heard = Vec::new();
        for _ in 0..events {
            let notification = listener.recv().await?;
            heard.push((notification.payload().parse::<usize>()?, Instant::now()));
        }
        anyhow::Ok(heard)
    });
    let mut connection = PgConnection::connect(database.url()).await?;
    let mut sent = Vec::new();
    let mut clock = clock();
    for nth in 0..events {
        clock.tick().await;
        sent.push(Instant::now());
        sqlx::query("SELECT pg_notify('bench', $1)")
            .bind(nth.to_string())
            .execute(&mut connection)
            .await?;
    }
    let heard = timeout(PATIENCE, hearing).await???;
    Ok(heard.into_iter().map(|(nth, heard)| heard.duration_since(sent[nth])).collect())
}

fn clock() -> tokio::time::Interval {
    let mut clock = interval(Duration::from_secs(1) / RATE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    clock
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::cluster::Cluster;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_hears_every_event() {
        let cluster = Cluster::start();
        for way in WAYS {
            let turn = turn_of(way, cluster.url(), 50).await.unwrap();
            let latency = turn.latency.unwrap();
            assert!(latency.p50 <= latency.p99 && latency.p99 > 0.0, "{way}: {latency:?}");
        }
    }
}
