//! Durable appends on PostgreSQL: Guildhall's group commit, and what it is held against.

use std::fmt;
use std::time::Duration;

use guildhall_core::{Append, Chronicle, NewEntry};
use guildhall_store_postgres::{PostgresChronicle, PostgresStore};
use guildhall_workload::{Mix, Workload};
use sqlx::{Connection, PgConnection};

use crate::cluster::Database;
use crate::rounds::Turn;
use crate::tasks::{Appender, Appending, TURN, append};

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

impl Appending<Way> {
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
                appenders.resize_with(self.tasks, || Mine::Guildhall(chronicle.clone()));
            }
            Way::Identity | Way::HeadRow => {
                let mut connection = PgConnection::connect(database.url()).await?;
                let tables = include_str!("postgres/floors.sql");
                sqlx::raw_sql(tables).execute(&mut connection).await?;
                for _ in 0..self.tasks {
                    let connection = PgConnection::connect(database.url()).await?;
                    appenders.push(Mine::Floor(connection, self.way.insert()));
                }
            }
        }
        // Each task appends a log of its own; none of their streams meet. The number is a version
        // that no other entry of the task has.
        let logs = (0..).map(|seed| (1_i64..).zip(Workload::new(seed, Mix::CUSTODY)));
        append(appenders.into_iter().zip(logs), time).await
    }
}

/// What a task appends with.
enum Mine {
    Guildhall(PostgresChronicle),
    Floor(PgConnection, &'static str),
}

impl Appender for Mine {
    type Event = (i64, NewEntry);

    async fn append(&mut self, (version, entry): Self::Event) -> anyhow::Result<()> {
        match self {
            Self::Guildhall(chronicle) => {
                chronicle.append(Append::of([entry])).await?;
            }
            Self::Floor(connection, insert) => {
                sqlx::query(*insert)
                    .bind(*entry.event_id.as_uuid())
                    .bind(*entry.stream_id.as_uuid())
                    .bind(version)
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
        for appending in Appending::all(&Way::ALL) {
            let turn = appending.turn_of(cluster.url(), Duration::ZERO).await.unwrap();
            assert!(turn.rate > 0.0, "{appending}");
        }
    }
}
