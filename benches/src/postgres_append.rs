//! Durable appends on PostgreSQL: Guildhall's group commit, and what it is held against.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{Append, Chronicle, NewEntry};
use guildhall_store_postgres::{PostgresChronicle, PostgresStore};
use sqlx::{Connection, PgConnection};
use tokio::sync::Barrier;

use crate::cluster::Database;
use crate::machine::peak_bytes;
use crate::rounds::Turn;

/// How many tasks append at the same time.
pub const TASKS: [usize; 3] = [1, 8, 32];

/// How long a turn appends.
const TURN: Duration = Duration::from_secs(2);

/// How an append becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Guildhall as it is.
    GroupCommit,
    /// One prepared `INSERT` a transaction, a connection for each task, into a table with the
    /// Chronicle's columns and keys whose positions come from a sequence: readers can miss entries.
    /// Nothing is hashed, looked up or refused.
    Identity,
    /// The same into positions without a gap: each statement takes the row that holds the last one.
    HeadRow,
}

impl Way {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::GroupCommit, Self::Identity, Self::HeadRow];

    /// What a floor appends with.
    const fn insert(self) -> &'static str {
        match self {
            Self::GroupCommit => "",
            Self::Identity => {
                "INSERT INTO entries (event_id, stream_id, version, event_type, payload, metadata, \
                 recorded_at, leaf_hash) VALUES ($1, $2, $3, $4, $5, '{}', now(), $6)"
            }
            Self::HeadRow => {
                "WITH next AS (UPDATE head SET position = position + 1 RETURNING position) \
                 INSERT INTO entries (position, event_id, stream_id, version, event_type, payload, \
                 metadata, recorded_at, leaf_hash) \
                 SELECT position, $1, $2, $3, $4, $5, '{}', now(), $6 FROM next"
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GroupCommit => "group commit",
            Self::Identity => "identity",
            Self::HeadRow => "head row",
        })
    }
}

/// A way, and how many tasks go it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appending {
    /// The way.
    pub way: Way,
    /// How many tasks append at the same time.
    pub tasks: usize,
}

impl fmt::Display for Appending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.way, self.tasks)
    }
}

impl FromStr for Appending {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (way, tasks) = text.split_once('/').context("no way/tasks")?;
        let way = Way::ALL.into_iter().find(|known| known.to_string() == way);
        Ok(Self { way: way.context("no such way")?, tasks: tasks.parse()? })
    }
}

impl Appending {
    /// Appends for a while to a new Chronicle in a database of its own, on the server at this URL.
    ///
    /// # Errors
    /// The store's.
    pub async fn turn(self, admin_url: &str) -> anyhow::Result<Turn> {
        self.turn_of(admin_url, TURN).await
    }

    async fn turn_of(self, admin_url: &str, time: Duration) -> anyhow::Result<Turn> {
        let database = Database::create_on(admin_url);
        let mut appenders = Vec::new();
        match self.way {
            Way::GroupCommit => {
                let chronicle = PostgresStore::open(database.url()).await?.chronicle();
                appenders.resize_with(self.tasks, || Appender::Guildhall(chronicle.clone()));
            }
            Way::Identity | Way::HeadRow => {
                let mut connection = PgConnection::connect(database.url()).await?;
                let tables = include_str!("postgres/floors.sql");
                sqlx::raw_sql(tables).execute(&mut connection).await?;
                for _ in 0..self.tasks {
                    let connection = PgConnection::connect(database.url()).await?;
                    appenders.push(Appender::Floor(connection, self.way.insert()));
                }
            }
        }
        let (appended, seconds) = append(appenders, time).await?;
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 fit into a turn")]
        let rate = appended as f64 / seconds;
        Ok(Turn { rate, peak_bytes: peak_bytes(), digest: None, latency: None })
    }
}

/// Lets each append a log of its own, one event after the other; none of their streams meet.
/// Answers how many there were, and in how many seconds.
async fn append(appenders: Vec<Appender>, time: Duration) -> anyhow::Result<(usize, f64)> {
    let start = Arc::new(Barrier::new(appenders.len() + 1));
    let tasks: Vec<_> = (0..)
        .zip(appenders)
        .map(|(seed, mut appender)| {
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                let mut log = Workload::new(seed, Mix::CUSTODY);
                // The first connects, or prepares the statement.
                appender.append(log.next().context("no end")?, 1).await?;
                start.wait().await;
                let began = Instant::now();
                let mut appended = 0;
                for entry in log {
                    appended += 1;
                    appender.append(entry, appended + 1).await?;
                    if began.elapsed() >= time {
                        break;
                    }
                }
                anyhow::Ok(appended)
            })
        })
        .collect();
    start.wait().await;
    let began = Instant::now();
    let mut appended = 0;
    for task in tasks {
        appended += usize::try_from(task.await??)?;
    }
    Ok((appended, began.elapsed().as_secs_f64()))
}

/// A task's own.
enum Appender {
    Guildhall(PostgresChronicle),
    Floor(PgConnection, &'static str),
}

impl Appender {
    /// Appends an entry. `nth` is a version that no other entry of the task has.
    async fn append(&mut self, entry: NewEntry, nth: i64) -> anyhow::Result<()> {
        match self {
            Self::Guildhall(chronicle) => {
                chronicle.append(Append::of([entry])).await?;
            }
            Self::Floor(connection, insert) => {
                sqlx::query(*insert)
                    .bind(*entry.event_id.as_uuid())
                    .bind(*entry.stream_id.as_uuid())
                    .bind(nth)
                    .bind(entry.event_type.as_str())
                    .bind(entry.payload.as_str())
                    .bind([7_u8; 32].as_slice())
                    .execute(connection)
                    .await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::cluster::Cluster;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_appends_from_every_task() {
        let cluster = Cluster::start();
        for way in Way::ALL {
            for tasks in TASKS {
                let appending: Appending = Appending { way, tasks }.to_string().parse().unwrap();
                let turn = appending.turn_of(cluster.url(), Duration::ZERO).await.unwrap();
                assert!(turn.rate > 0.0, "{appending}");
            }
        }
    }
}
