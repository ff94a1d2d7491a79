//! Snapshots end, when they are dropped and when their time is up, and give their connection back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod server;

use std::time::Duration;

use guildhall_core::{OpsDb, SnapshotEnded};
use guildhall_store_postgres::{PostgresOptions, PostgresStore};
use server::Database;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

async fn store(database: &Database, snapshot_time: Duration) -> PostgresStore {
    let mut options = PostgresOptions::at(database.url());
    options.max_connections = 3;
    options.snapshot_time = snapshot_time;
    PostgresStore::open_with(options).await.unwrap()
}

/// How many sessions keep a moment.
async fn kept(database: &Database) -> i64 {
    let mut observer = PgConnection::connect(database.url()).await.unwrap();
    let sessions = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    );
    sessions.fetch_one(&mut observer).await.unwrap()
}

async fn until_none_is_kept(database: &Database) {
    let let_go = async { while kept(database).await > 0 {} };
    timeout(SOON, let_go).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_that_is_dropped_gives_its_connection_back() {
    let database = Database::create();
    let store = store(&database, Duration::from_secs(600)).await;
    // More than there are connections, one after the other.
    for _ in 0..10 {
        let moment = store.ops_db().snapshot().await.unwrap();
        moment.overview().await.unwrap();
        assert_eq!(kept(&database).await, 1);
        drop(moment);
        until_none_is_kept(&database).await;
    }
    store.ops_db().overview().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_whose_time_is_up_ends_by_itself_and_says_so() {
    let database = Database::create();
    let store = store(&database, Duration::from_millis(100)).await;
    let moment = store.ops_db().snapshot().await.unwrap();
    until_none_is_kept(&database).await;
    let asking = async {
        loop {
            if let Err(error) = moment.overview().await {
                return error;
            }
        }
    };
    let error = timeout(SOON, asking).await.unwrap();
    assert!(error.is_transient() && error.source.is::<SnapshotEnded>(), "{error:?}");
    store.ops_db().snapshot().await.unwrap().overview().await.unwrap();
}
